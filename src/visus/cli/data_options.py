"""The options that several verbs have of the data that they read or write."""

from __future__ import annotations

from typing import Annotated

import typer

Format = Annotated[str | None, typer.Option(help="Reader, when two could read it.")]
Crowds = Annotated[
    str | None, typer.Option(metavar="WAY", help="Objects marked as crowds or difficult: ignore, or take as objects.")
]
Accept = Annotated[
    list[str] | None,
    typer.Option(metavar="FINDING", help="A finding of which more may be lost than is usual; may be repeated."),
]
ProposalFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--proposals",
        metavar="FILE",
        help="Region proposals, for networks that make none: .mat, .pkl, CSV or JSON; may be repeated.",
    ),
]
Save = Annotated[str, typer.Option(metavar="FOLDER", help="A new or empty folder.")]
Link = Annotated[bool, typer.Option("--link", help="Hard links to the images in place of copies.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
