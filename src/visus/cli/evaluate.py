"""visus evaluate"""

from __future__ import annotations

from typing import Annotated

import typer

from visus.cli.data_options import ProposalFiles, Quiet

HELP = """Judge a trained model on labelled images.

\b
  visus evaluate runs/photos-resnet18                        the test split, else val
  visus evaluate runs/photos-resnet18 --split val
  visus evaluate runs/photos-resnet18 --data more/ --split test
  visus evaluate runs/nuclei-unet --objects                  also count objects, and score their masks
  visus evaluate runs/birds-localizer --slide                windows of several sizes, and their boxes merged
  visus evaluate model.safetensors --data photos/ --json
  visus evaluate model.onnx --data photos/                   an exported model; needs no PyTorch
"""


def evaluate(
    run: Annotated[str, typer.Argument(help="Run folder, model file, exported file or released file of weights.")],
    split: Annotated[str | None, typer.Option(help="train, val, test or all; test if there is one.")] = None,
    data: Annotated[str | None, typer.Option(help="Other data than the run was trained on.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images at a time.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Which edition a released file of weights is, where several fit.", show_default=False),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    report: Annotated[str | None, typer.Option(help="Write an HTML report to this file.")] = None,
    objects: Annotated[
        bool, typer.Option("--objects", help="Segmentation: also count objects and score their masks.")
    ] = False,
    min_area: Annotated[int, typer.Option(min=0, help="With --objects: leave out those of fewer pixels.")] = 1,
    grow: Annotated[
        float | None,
        typer.Option(min=0, help="With --objects: pixels that each gets back of a gap or border; as in training."),
    ] = None,
    slide: Annotated[
        bool, typer.Option("--slide", help="Localization: slide over each image and judge the merged boxes.")
    ] = False,
    smallest: Annotated[
        float | None,
        typer.Option(min=1, help="With --slide: side of the smallest windows in pixels; half of the image's."),
    ] = None,
    proposals: ProposalFiles = None,
    quiet: Quiet = False,
    json_: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    from visus.api.evaluate import evaluate as judge
    from visus.cli.output import say, say_json

    result = judge(
        run,
        data=data,
        split=split,
        batch_size=batch_size,
        device=device,
        edition=model,
        report=report,
        objects=objects,
        min_area=min_area,
        grow=grow,
        slide=slide,
        smallest=smallest,
        proposals=proposals or (),
        quiet=quiet,
    )
    if json_:
        say_json(result.to_dict())
    else:
        say(str(result))
