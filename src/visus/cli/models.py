"""visus models"""

from __future__ import annotations

from typing import Annotated

import typer

HELP = """List the models: name and edition, task, year, exact parameters, published weights.

\b
  visus models
  visus models resnet              those whose name holds it
  visus models --task detection --json
"""


def models(
    search: Annotated[str, typer.Argument(help="Part of a name.", show_default=False)] = "",
    task: Annotated[str | None, typer.Option(help="classification, detection or segmentation.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    from visus.api.list_models import list_models
    from visus.cli.output import say_json, say_table

    cards = list_models(search, task=task)
    if json_:
        say_json({"models": [card.to_dict() for card in cards]})
        return
    say_table(
        ("model", "task", "year", "parameters", "input", "weights", "what"),
        [
            (
                card.full_name,
                card.task,
                str(card.year),
                card.parameters,
                "x".join(map(str, card.input)),
                card.weights[0].trained_on if card.weights else "-",
                card.title,
            )
            for card in cards
        ],
    )
