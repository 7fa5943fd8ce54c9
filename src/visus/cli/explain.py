"""visus explain"""

from __future__ import annotations

from typing import Annotated

import typer

from visus.cli.data_options import Quiet

HELP = """Show where a model looked: Grad-CAM heat maps of its answers; or what a detector learns where.

\b
  visus explain runs/photos-resnet18 new/a.jpg --save out/
  visus explain runs/photos-resnet18 new/ --label dogs --save out/   why it could be dogs
  visus explain runs/bccd-ssd bccd/JPEGImages/1.jpg --targets        grids, anchors, who learns what
  visus explain runs/bccd-faster_rcnn bccd/ --targets                anchors, proposals, regions, answers
  visus explain retinanet cells/1.jpg --targets --data cells/        of a network as published, untrained
  visus explain ssd cells/1.jpg --targets --data cells/ --backbone mobilenet_v2 --set model_options.scales=coco
"""


def explain(
    run: Annotated[str, typer.Argument(help="Run folder or model file; with --targets a model's name, too.")],
    images: Annotated[list[str], typer.Argument(help="Image files and folders.")],
    save: Annotated[str, typer.Option(metavar="FOLDER", help="Where the pictures go.")] = "explanations",
    label: Annotated[str | None, typer.Option(help="Explain this class instead of the predicted one.")] = None,
    targets: Annotated[
        bool, typer.Option("--targets", help="Detectors: draw anchors, proposals, what learns what, what is kept.")
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(help="With --targets: the data that know the images' objects; the run's own if not given."),
    ] = None,
    score: Annotated[
        float | None, typer.Option(min=0, max=1, help="With --targets: answers below it are not shown; 0.3.")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="With --targets and a model's name: its backbone, such as mobilenet_v2.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="With --targets and a name: size, or a model_options field."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    quiet: Quiet = False,
    json_: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    from visus.cli.output import say, say_json
    from visus.workflow.companions import refuse_beside, require_companion

    for name, value in (("--data", data), ("--score", score), ("--backbone", backbone), ("--set", set_)):
        require_companion(name, value is not None, "--targets", targets)
    refuse_beside("--label", label is not None, "--targets", targets, "all classes are shown")
    if not targets:
        from visus.api.explain import explain_files

        pictures = explain_files(run, images, save=save, label=label, device=device, quiet=quiet)
        if json_:
            named = [{"image": name, "label": label, "file": file} for name, label, file in pictures]
            say_json({"explanations": named})
        else:
            for name, why, file in pictures:
                say(f"{name}: {why} -> {file}")
        return
    from visus.api.explain_targets import explain_target_files

    shown = 0.3 if score is None else score
    rows = explain_target_files(
        run,
        images,
        save=save,
        data=data,
        score=shown,
        backbone=backbone,
        changes=set_ or (),
        device=device,
        quiet=quiet,
    )
    if json_:
        say_json({"targets": [{k: v for k, v in row.items() if k != "text"} for row in rows]})
    else:
        for row in rows:
            say(f"{row['image']}: {row['text']}\n-> {row['file']}")
