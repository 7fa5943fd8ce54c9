"""visus cite"""

from __future__ import annotations

from typing import Annotated

import typer

HELP = """Print the BibTeX entry of the paper that a model is from.

\b
  visus cite resnet50
  visus cite ssd+mobilenet_v2      both papers
  visus cite lenet5 unet >> references.bib
"""


def cite(models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Names of models.")]) -> None:
    from visus.api.cite import cite as cite_one
    from visus.cli.output import say

    entries = dict.fromkeys(entry for model in models for entry in cite_one(model).split("\n\n"))
    say("\n\n".join(entries))
