"""visus prove"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from visus.cli.data_options import Quiet

HELP = """Check networks against published facts: counts, layer tables, printed figures.

Each fact gets a verdict: it holds, ours is wrong, the published figure is wrong (with the reason). Printed figures,
cells of layer tables, values derived from them, and what ports have are counted apart. Exit code 1 when ours is wrong.

\b
  visus prove resnet50                 every edition of a network
  visus prove googlenet@paper vgg16    several
  visus prove --all                    every network
  visus prove lenet5 --verbose         every fact
  visus prove --all --save proof.json  or badges.md, a table of the networks in Markdown
"""


def prove(
    models: Annotated[
        list[str] | None, typer.Argument(help="Names of models, with or without @edition.", show_default=False)
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every network of the catalogue.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show every fact that was checked.")] = False,
    quiet: Quiet = False,
    json_: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
    save: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Also write a .json file (all verdicts), .md (a table of networks) or .txt."),
    ] = None,
) -> None:
    from visus.api.prove import prove as hold
    from visus.cli.output import LateProgress, say, say_json
    from visus.errors import UsageError

    if bool(models) == all_:
        raise UsageError(
            "name the models to prove, or --all, but not both" if models else "no model to prove was named",
            expected="visus prove MODEL ..., or visus prove --all",
            remedy="see the names with: visus models",
        )
    from visus.proof.report import checked  # loads torch

    file = None if save is None else checked(save)  # before the work, not after it
    with LateProgress("networks", quiet=quiet) as progress:
        report = hold(*(models or ()), progress=progress)
    if file is not None:
        report.save(file)
    if json_:
        say_json(report.to_dict())
    else:
        say(report.text(verbose=verbose, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    if not report.holds:
        raise typer.Exit(1)
