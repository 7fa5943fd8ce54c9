"""visus export"""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

HELP = """Make a file of a model that predicts without PyTorch, and check that it answers alike.

One file is enough: it holds the weights, class names, preprocessing, and how its outputs are read. Exit code 1 when it
answers otherwise than the model; nothing is written then.

\b
  visus export runs/photos-resnet18                        runs/photos-resnet18/model.onnx, and its check beside it
  visus predict runs/photos-resnet18/model.onnx new/       use it
  visus export runs/latest out/cats.onnx --size 320x320    images of another size
  visus export runs/latest --size any                      of any size, where that can be proved
  visus export runs/latest --images photos/                compare on these images
  visus export runs/latest --check-only                    check an old file in the packages installed now
  visus export mobilenet_v2@tf --weights default           a network of the catalogue, without a run
"""


def export(
    model: Annotated[str, typer.Argument(metavar="RUN", help="Run folder, model file, released file, or model name.")],
    file: Annotated[
        str | None,
        typer.Argument(help="File to write (.onnx), or a folder for one; without it beside the model file."),
    ] = None,
    to: Annotated[str, typer.Option(metavar="FORMAT", help="Format of the file: onnx.")] = "onnx",
    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Height and width of the images, such as 224x224, or any."),
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH", help="Images to compare on; those of the run's validation if not given. May be repeated."
        ),
    ] = None,
    check_only: Annotated[
        bool, typer.Option("--check-only", help="Write nothing: compare an old file with the model.")
    ] = False,
    find_difference: Annotated[
        bool, typer.Option("--find-difference", help="Where outputs differ, say at which layer they part.")
    ] = False,
    weights: Annotated[
        str | None, typer.Option(help="For a model name: default (the published ones), or a file; none if not given.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=1, help="For a model name: number of classes; the paper's if not given.")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="For the name of a composed model: its backbone.")] = None,
    edition: Annotated[
        str | None, typer.Option("--model", help="Edition of a released file of weights, where several fit.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No remarks on standard error.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Answer as JSON, one document.")] = False,
) -> None:
    from visus.api.export import export as export_model
    from visus.cli.output import say, say_json

    done = export_model(
        model,
        to,  # type: ignore[arg-type] # another text is an error there
        file,
        size=size_of(size),
        images=images or None,
        weights=weights,
        classes=classes,
        backbone=backbone,
        edition=edition,
        check_only=check_only,
        find_difference=find_difference,
        quiet=quiet,
    )
    if json_:
        say_json(done.to_dict())
    else:
        say(str(done))


def size_of(text: str | None) -> Any:
    """ "224x320" -> (224, 320); "any" and None as they are.

    Raises:
        UsageError: for another form.
    """
    from visus.errors import UsageError

    if text is None or text == "any":
        return text
    sides = re.fullmatch(r"([0-9]{1,6})[xX×]([0-9]{1,6})", text)
    if sides is None:
        raise UsageError("a size is written otherwise", expected="HEIGHTxWIDTH, such as 224x224, or any", got=text)
    return int(sides[1]), int(sides[2])
