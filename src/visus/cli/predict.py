"""visus predict"""

from __future__ import annotations

from typing import Annotated

import typer

from visus.cli.data_options import ProposalFiles, Quiet

HELP = """Use a trained model on files and folders: a line an image; pictures, CSV and JSON with --save.

An image that cannot be read becomes an error line; the others are still answered, and the exit code is 4.

\b
  visus predict runs/photos-resnet18 new/a.jpg
  visus predict runs/photos-resnet18 new/ --save out/      out/*.png, out/predictions.csv and .json
  visus predict runs/nuclei-unet new/ --objects            counted objects in place of a class for every pixel
  visus predict runs/digits-mnist_cnn page.png --slide --smallest 8    windows with their classes
  visus predict model.safetensors new/ --json
  visus predict model.onnx new/ --save out/                an exported model; needs no PyTorch
  visus predict runs/bccd-fast_rcnn new/ --rank fc6=1024 --rank fc7=256    truncated, as visus compress does it
"""


def predict(
    run: Annotated[str, typer.Argument(help="Run folder, model file, exported file or released file of weights.")],
    images: Annotated[list[str], typer.Argument(help="Image files and folders.")],
    save: Annotated[str | None, typer.Option(metavar="FOLDER", help="Write pictures, CSV and JSON there.")] = None,
    score: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Objects from this score on; 0.3, or with masks as the validation images were counted best.",
        ),
    ] = None,
    objects: Annotated[bool, typer.Option("--objects", help="Segmentation: answer with counted objects.")] = False,
    min_area: Annotated[int, typer.Option(min=0, help="With --objects: leave out those of fewer pixels.")] = 1,
    grow: Annotated[
        float | None,
        typer.Option(min=0, help="With --objects: pixels that each gets back of a gap or border; as in training."),
    ] = None,
    slide: Annotated[
        bool, typer.Option("--slide", help="Classification, localization: slide over each image.")
    ] = False,
    smallest: Annotated[
        float | None,
        typer.Option(min=1, help="With --slide: side of the smallest windows in pixels."),
    ] = None,
    rank: Annotated[
        list[str] | None,
        typer.Option(metavar="LAYER=NUMBER", help="Singular values that a dense layer keeps; see visus compress."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images at a time; 16. Not with --slide.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Which edition a released file of weights is, where several fit.", show_default=False),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    proposals: ProposalFiles = None,
    quiet: Quiet = False,
    json_: Annotated[bool, typer.Option("--json", help="Answer as JSON, one document.")] = False,
) -> None:
    from visus.api.predict import predict_files
    from visus.cli.compress import ranks_of
    from visus.cli.output import note, say, say_json

    failed = 0
    answers = []
    for answer in predict_files(
        run,
        images,
        save=save,
        score=score,
        objects=objects,
        min_area=min_area,
        grow=grow,
        slide=slide,
        smallest=smallest,
        ranks=ranks_of(rank or ()),
        batch_size=batch_size,
        device=device,
        edition=model,
        proposals=proposals or (),
        quiet=quiet,
    ):
        failed += answer.error is not None
        if json_:
            answers.append(answer.to_dict())
        else:
            say(answer.line())
    if json_:
        say_json({"predictions": answers})
    if save is not None:
        note(f"saved to {save}")
    if failed:
        note(f"{failed} image{'s' * (failed > 1)} could not be read")
        raise typer.Exit(4)
