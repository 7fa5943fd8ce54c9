"""visus summary"""

from __future__ import annotations

from typing import Annotated

import typer

HELP = """Work a network out, line by line: shapes, parameters, operations, memory, receptive field.

\b
  visus summary lenet5
  visus summary resnet50@torchvision --size 256 --classes 10
  visus summary runs/photos-resnet18        a trained one
  visus summary ssd --backbone mobilenet_v2 --json
"""


def summary(
    model: Annotated[str, typer.Argument(help="Model name, run folder or model file.")],
    size: Annotated[
        int | None, typer.Option(min=1, help="Height and width of the input; the paper's if not given.")
    ] = None,
    classes: Annotated[int | None, typer.Option(min=1, help="Number of classes; the paper's if not given.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Backbone of a composed model.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    from visus.api.summary import summary as work_out
    from visus.cli.output import say, say_json

    result = work_out(model, size=size, classes=classes, backbone=backbone)
    if json_:
        say_json(result.to_dict())
    else:
        say(str(result))
