"""The command line ``visus VERB ...``. This module loads no torch; each verb imports its needs when it runs."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import typer

from visus.cli import (
    cite,
    compress,
    data,
    doctor,
    evaluate,
    explain,
    export,
    models,
    predict,
    prove,
    prune,
    reproduce,
    serve,
    summary,
    train,
)
from visus.cli.output import note
from visus.errors import VisusError
from visus.files.extras import missing_extra
from visus.ops.memory_reuse import reuse_memory

HELP = """Classic vision networks exactly as their papers have them: trained, judged and explained on your own images.

\b
  visus train photos/                              train on a folder: photos/cats, photos/dogs
  visus evaluate runs/latest --split test          judge it on images it never saw
  visus predict runs/latest new/ --save out/       use it
  visus explain runs/latest new/a.jpg --save out/  see why
  visus export runs/latest                         take it away: a file that needs no PyTorch
  visus serve runs/latest                          answer over HTTP, with a page
  visus data check photos/                         find what is wrong with the data
  visus prove --all                                check every network against its paper

\b
Exit codes: 0 done; 1 a check failed; 2 wrong usage; 3 training diverged; 4 bad data; 5 bad model file;
6 out of memory; 70 a bug of visus; 74 disk; 130 and 143 ended by a signal.
VISUS_DEBUG=1 shows the traceback of any error; VISUS_MEMORY_REUSE=0 gives freed memory back at once (glibc).
"""

_VERBS: dict[str, tuple[Callable[..., Any], str]] = {
    "train": (train.train, train.HELP),
    "evaluate": (evaluate.evaluate, evaluate.HELP),
    "predict": (predict.predict, predict.HELP),
    "explain": (explain.explain, explain.HELP),
    "serve": (serve.serve, serve.HELP),
    "export": (export.export, export.HELP),
    "compress": (compress.compress, compress.HELP),
    "prune": (prune.prune, prune.HELP),
    "models": (models.models, models.HELP),
    "summary": (summary.summary, summary.HELP),
    "prove": (prove.prove, prove.HELP),
    "cite": (cite.cite, cite.HELP),
    "data": (data.app, data.HELP),
    "reproduce": (reproduce.reproduce, reproduce.HELP),
    "doctor": (doctor.doctor, doctor.HELP),
}


def app_of(verb: str = "") -> typer.Typer:
    """The command line of one verb, since the options of all take long to prepare; of all verbs for any other word."""
    app = typer.Typer(
        help=HELP, no_args_is_help=True, rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False
    )
    for name, (run, text) in _VERBS.items():
        if verb not in (name, "") and verb in _VERBS:
            continue
        if isinstance(run, typer.Typer):
            app.add_typer(run, name=name, help=text)
        else:
            app.command(name, help=text)(run)
    app.callback(invoke_without_command=True)(_version)
    return app


def _version(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        from visus import __version__
        from visus.cli.output import say

        say(__version__)
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits with its code; errors of users show no traceback."""
    debug = bool(os.environ.get("VISUS_DEBUG"))
    reuse_memory()
    try:
        given = sys.argv[1:] if arguments is None else list(arguments)
        app_of(given[0] if given else "")(args=given, prog_name="visus")
    except VisusError as error:
        if debug:
            traceback.print_exc()
        note(f"error: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        note("interrupted")
        sys.exit(130)
    except Exception as error:
        missing = missing_extra(error) if isinstance(error, ImportError) else None
        if missing is not None and not debug:
            note(f"error: {missing}")
            sys.exit(missing.exit_code)
        if debug:
            traceback.print_exc()
        frame = traceback.extract_tb(error.__traceback__)[-1]
        note(
            f"error: visus failed on its own: {type(error).__name__}: {error}\n"
            f"  where:    {os.path.basename(frame.filename)}:{frame.lineno} in {frame.name}\n"
            "  remedy:   this is a bug; run again with VISUS_DEBUG=1 and report what it prints"
        )
        sys.exit(70)
