"""visus models"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from visus.models.card import Card

HELP = """List the models: editions, task, year, exact parameters and multiply-accumulates, input, proof level.

Of a model that is named in full: whose padding, whose epsilon of BatchNorm and whose first weights each edition has.

\b
  visus models
  visus models resnet              those whose name holds it
  visus models resnet50            what a table of layers leaves open, too
  visus models "vgg1?"             a pattern for the whole name
  visus models --task detection --json
  visus models --weights yolov2-voc.weights    the editions that a file fits, and why
"""


def models(
    pattern: Annotated[
        str, typer.Argument(help="Part of a name, or a pattern with * and ? for the whole one.", show_default=False)
    ] = "",
    task: Annotated[str | None, typer.Option(help="Only models for this task, such as detection.")] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="List the editions that this file of weights fits, and why.", show_default=False
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    from textwrap import fill

    from visus.api.list_models import list_models
    from visus.cli.output import note, say, say_json, say_table
    from visus.data.messages import counted
    from visus.errors import UsageError

    if weights is not None:
        if task is not None:
            raise UsageError(
                "--weights and --task cannot be combined",
                expected="a file, and the name of a model or none",
                got=f"--task {task}",
                remedy="leave out --task",
            )
        _identify(weights, pattern, as_json=json_)
        return
    cards = list_models(pattern, task=task)
    if json_:
        say_json([card.to_dict() for card in cards])
        return
    if not cards:
        note(f"no model's name fits {pattern}; see all with: visus models")
        return
    groups = _alike(cards)
    say_table(
        ("model", "editions", "task", "year", "parameters", "MACs", "input", "proof", "weights"),
        [
            (
                group[0].name,
                ", ".join(card.edition for card in group),
                group[0].task,
                str(group[0].year),
                group[0].parameters,
                group[0].macs,
                "x".join(map(str, group[0].input)),
                group[0].proof_level,
                "yes" if any(card.weights for card in group) else "-",
            )
            for group in groups
        ],
    )
    for card in cards:
        if pattern in (card.name, card.full_name) and card.conventions is not None:
            say(f"\n{card.full_name}")
            for what, text in card.conventions.lines().items():
                say(fill(f"{what}: {text}", width=100, initial_indent="  ", subsequent_indent="    "))
    names = len({card.name for card in cards})
    note(
        f"{counted(names, 'models')}, {counted(len(cards), 'editions')}; "
        "what differs between two: visus summary A --compare B"
    )


def _identify(file: str, model: str, *, as_json: bool) -> None:
    """Prints the editions that a file fits, the best first, and on standard error which one it belongs to."""
    from visus.api.identify import identify
    from visus.cli.output import note, say_json, say_table

    found = identify(file, model=model or None)
    if as_json:
        say_json(found.to_dict())
        return
    say_table(
        ("edition", "task", "fills", "classes", "values", "why"),
        [
            (one.card.full_name, one.card.task, one.fills, one.classes, one.values, one.reason)
            for one in found.candidates
        ],
    )
    note(found.reason if found.chosen is not None else f"the file does not tell which: {found.reason}")


def _alike(cards: Sequence[Card]) -> list[list[Card]]:
    """Groups neighbouring editions of a model that have equal lines in the table."""
    groups: list[list[Card]] = []
    for card in cards:
        last = groups[-1][0] if groups else None
        if last is not None and _line(last) == _line(card):
            groups[-1].append(card)
        else:
            groups.append([card])
    return groups


def _line(card: Card) -> tuple[object, ...]:
    return card.name, card.parameters, card.macs, card.input, card.proof_level
