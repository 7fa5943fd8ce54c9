"""visus compress"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

HELP = """Make a trained model smaller and faster: dense layers keep their largest singular values (truncated SVD).

The new file is a model file like any other. It states no figures: evaluate it.

\b
  visus compress runs/bccd-fast_rcnn small.safetensors --rank fc6=1024 --rank fc7=256    as Fast R-CNN's section 4.4
  visus evaluate small.safetensors bccd/
"""


def compress(
    run: Annotated[str, typer.Argument(help="Run folder, model file or released file of weights.")],
    file: Annotated[str, typer.Argument(help="Model file to write (.safetensors), or a folder for one.")],
    rank: Annotated[
        list[str] | None,
        typer.Option(metavar="LAYER=NUMBER", help="Singular values that a layer keeps; for each layer once."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Answer as JSON, one document.")] = False,
) -> None:
    from visus.api.compress import compress as compress_model
    from visus.cli.output import say, say_json

    done = compress_model(run, file, ranks_of(rank or ()))
    if json_:
        say_json(done.to_dict())
    else:
        say(str(done))


def ranks_of(texts: Sequence[str]) -> dict[str, int]:
    """["fc6=1024"] -> {"fc6": 1024}.

    Raises:
        UsageError: for another form.
    """
    from visus.errors import UsageError

    ranks = {}
    for text in texts:
        name, sign, number = text.partition("=")
        if not (name and sign and number.isascii() and number.isdigit()):
            raise UsageError("a rank is written otherwise", expected="LAYER=NUMBER, such as fc6=1024", got=text)
        ranks[name] = int(number)
    return ranks
