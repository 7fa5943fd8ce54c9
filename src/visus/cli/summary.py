"""visus summary"""

from __future__ import annotations

from typing import Annotated, Any

import typer

HELP = """Work a network out, line by line: shapes, parameters, operations, memory, receptive field.

\b
  visus summary lenet5
  visus summary resnet50@torchvision --input 3x256x256 --classes 10
  visus summary runs/photos-resnet18                    a trained one
  visus summary vgg16 --explain                         every number with its formula
  visus summary alexnet --compare alexnet@torchvision   what differs
  visus summary resnet50 --compare torchvision:resnet50 is it the same network?
  visus summary ssd --backbone mobilenet_v2 --save ssd.csv
  visus summary googlenet --save googlenet.svg          a picture
"""


def summary(
    model: Annotated[str, typer.Argument(help="Model name, run folder or model file.")],
    input_: Annotated[
        str | None,
        typer.Option("--input", metavar="CxHxW", help="Channels, height and width of the input, such as 3x224x224."),
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=1, help="Height and width of the input; the paper's if not given.")
    ] = None,
    classes: Annotated[int | None, typer.Option(min=1, help="Number of classes; the paper's if not given.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Backbone of a composed model.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Write each number out as a formula.")] = False,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="OTHER",
            help="Show what differs in another model, run folder or model file; or judge whether another library's "
            "network is the same: torchvision:NAME, timm:NAME, pytorchcv:NAME or keras:NAME; or, with the word facts, "
            "whether it is the network that its published facts give.",
        ),
    ] = None,
    judge: Annotated[
        bool,
        typer.Option("--judge", help="With --compare, also run both with equal weights and say where they part."),
    ] = False,
    save: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write a .txt, .csv, .json or .svg file (a picture) instead of printing."),
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Answer as CSV.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    from visus.api.summary import summary as work_out
    from visus.cli.output import note, say, say_json
    from visus.errors import UsageError
    from visus.workflow.companions import require_companion

    if csv and json_:
        raise UsageError("--csv and --json cannot be combined", remedy="leave one of them out")
    require_companion("--judge", judge, "--compare", compare is not None)
    shape = _shape(input_)
    if compare is not None:
        if explain or backbone is not None:
            raise UsageError(
                "a comparison takes no --explain and no --backbone",
                remedy="leave them out; a composed model is written like ssd+mobilenet_v2",
            )
        choices = {"size": size, "input": shape, "classes": classes}
        _compare(model, compare, choices, judge=judge, save=save, csv=csv, as_json=json_)
        return
    result = work_out(model, size=size, input=shape, classes=classes, backbone=backbone)
    if save is not None:
        note(f"wrote {result.save(save, explain=explain)}")
    if json_:
        say_json(result.to_dict())
    elif csv:
        say(result.to_csv(formulas=explain).removesuffix("\n"))
    elif save is None:
        say(result.explain() if explain else str(result))


def _compare(
    model: str, other: str, choices: dict[str, Any], *, judge: bool, save: str | None, csv: bool, as_json: bool
) -> None:
    """Says what differs in another network: its layers, or for another library's network what running it shows."""
    from visus.analysis.libraries import is_library_network
    from visus.api.compare import compare as work_out_both
    from visus.api.judge import FACTS
    from visus.api.judge import judge as run_both
    from visus.cli.output import note, say, say_json
    from visus.errors import UsageError

    other_library = is_library_network(other) or other == FACTS
    if (judge or other_library) and (csv or save is not None):
        raise UsageError("what running two networks shows is said in words", remedy="leave out --csv and --save")
    verdict = run_both(model, other, **choices) if judge or other_library else None
    if verdict is not None and other_library:
        if as_json:
            say_json(verdict.to_dict())
        else:
            say(f"{verdict.ours} and {verdict.theirs}: {verdict}")
        return
    both = work_out_both(model, other, **choices)
    if save is not None:
        note(f"wrote {both.save(save)}")
    if as_json:
        say_json({**both.to_dict(), **({} if verdict is None else {"judgement": verdict.to_dict()})})
    elif csv:
        say(both.to_csv().removesuffix("\n"))
    elif save is None:
        say(str(both) if verdict is None else f"{both}\n\nrun with equal weights: {verdict}")


def _shape(text: str | None) -> tuple[int, int, int] | None:
    from visus.errors import UsageError

    if text is None:
        return None
    sides = text.lower().replace(",", "x").split("x")
    if len(sides) != 3 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise UsageError("--input must be a shape", expected="channels x height x width, such as 3x224x224", got=text)
    return int(sides[0]), int(sides[1]), int(sides[2])
