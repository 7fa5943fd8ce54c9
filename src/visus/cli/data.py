"""visus data check | show | anchors | propose | convert | split | sample | merge | list"""

from __future__ import annotations

from typing import Annotated

import typer

from visus.cli import arranging, proposing
from visus.cli.data_options import Accept, AsJson, Crowds, Format, Link, Quiet, Save

HELP = (
    "Look at data sets: what is wrong (check), what is in them (show), which anchors fit their boxes (anchors), which "
    "regions may hold objects (propose), which have names (list). Write them in another format (convert), divided anew "
    "(split), in part (sample), or several as one (merge)."
)

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)

CHECK_HELP = """Read every image and label of a data set and say what is wrong, with file names and counts.

Each finding says whether it stops a training, is repaired while reading, or is only a note. Exit code 4 when
something stops a training.

\b
  visus data check photos/
  visus data check bccd/ --report data.html
  visus data check nuclei/ --task segmentation --json
"""

SHOW_HELP = """Draw a grid of images with their targets.

\b
  visus data show bccd/ --save grid.png
  visus data show photos/ --split val --count 25 --save grid.png
"""

ANCHORS_HELP = """Find the anchors that fit a data set's boxes: k-means with 1 - IoU as the distance.

YOLO v2 and v3 and their compositions take them; the last line says how. The mean IoU of other numbers of anchors shows
where more of them hardly help.

\b
  visus data anchors bccd/
  visus data anchors bccd/ --count 9 --size 416 --save anchors.svg
  visus train bccd/ --model yolov2 --set "model_options.anchors=[[31,35],[96,88],[120,120]]"
"""

CONVERT_HELP = """Write a data set in another format; what that loses is said before anything is written.

The folder is there whole at the end, or not at all; the data that are read stay as they are.

\b
  visus data convert bccd/ --to coco --save bccd-coco/
  visus data convert nuclei/ --to yolo --save nuclei-yolo/ --link
  visus data convert street/ --to masks --save street-masks/ --dry-run
"""

LIST_HELP = """List the data sets that have a name, and whether they are on this machine.

\b
  visus data list
"""


@app.command(help=CHECK_HELP)
def check(
    data: Annotated[str, typer.Argument(help="Folder, file or name.")],
    task: Annotated[
        str | None, typer.Option(help="Task, such as detection; visus data check DATA lists what the labels allow.")
    ] = None,
    format: Format = None,
    crowds: Crowds = None,
    accept: Accept = None,
    report: Annotated[str | None, typer.Option(help="Write an HTML page to this file.")] = None,
    quiet: Quiet = False,
    json_: AsJson = False,
) -> None:
    from visus.api.check_data import check_data
    from visus.cli.output import LateProgress, note, say, say_json

    with LateProgress("images", quiet=quiet) as progress:
        result = check_data(
            data, task=task, format=format, crowds=crowds, accept=accept or (), report=report, progress=progress
        )
    if json_:
        say_json(result.to_dict())
    else:
        say(str(result))
    if report is not None and result.task is not None:
        note(f"report: {report}")
    if result.stops:
        raise typer.Exit(4)


@app.command(help=SHOW_HELP)
def show(
    data: Annotated[str, typer.Argument(help="Folder, file or name.")],
    save: Annotated[str, typer.Option(metavar="FILE", help="PNG or JPEG to write.")] = "grid.png",
    split: Annotated[str | None, typer.Option(help="train, val or test; the first if not given.")] = None,
    task: Annotated[
        str | None, typer.Option(help="Task, such as detection; visus data check DATA lists what the labels allow.")
    ] = None,
    format: Format = None,
    count: Annotated[int, typer.Option(min=1, max=400, help="Number of images.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Which images are chosen.")] = 0,
) -> None:
    from visus.api.show_data import show_data
    from visus.cli.output import say
    from visus.cli.saving import save_picture

    picture = show_data(data, split=split, task=task, format=format, count=count, seed=seed)
    save_picture(picture, save, "data show")
    say(save)


@app.command(help=ANCHORS_HELP)
def anchors(
    data: Annotated[str, typer.Argument(help="Folder, file or name, with boxes.")],
    count: Annotated[int, typer.Option(min=1, max=100, help="Number of anchors.")] = 5,
    size: Annotated[int, typer.Option(min=32, max=4096, help="Side of the network's input in pixels.")] = 416,
    fit: Annotated[
        str, typer.Option(help="How an image is brought to that size: letterbox, stretch or shorter_side.")
    ] = "letterbox",
    split: Annotated[str, typer.Option(help="Whose boxes: train, val or test.")] = "train",
    format: Format = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the clustering.")] = 0,
    save: Annotated[str | None, typer.Option(metavar="FILE", help="Write the curve as .svg or .png.")] = None,
    json_: AsJson = False,
) -> None:
    from visus.api.find_anchors import find_anchors
    from visus.cli.output import note, say, say_json

    anchors = find_anchors(data, count=count, size=size, fit=fit, split=split, format=format, seed=seed)
    if save is not None:
        anchors.save(save)
        note(f"curve: {save}")
    if json_:
        say_json(anchors.to_dict())
    else:
        say(str(anchors))


@app.command(help=CONVERT_HELP)
def convert(
    data: Annotated[str, typer.Argument(help="Folder, file or name.")],
    to: Annotated[str, typer.Option(help="Format: coco, yolo, voc, masks, csv or folders.")],
    save: Save,
    task: Annotated[
        str | None, typer.Option(help="Whose labels; the first of the data's that the format can hold, if not given.")
    ] = None,
    format: Format = None,
    crowds: Crowds = None,
    accept: Accept = None,
    link: Link = False,
    unsplit: Annotated[bool, typer.Option("--unsplit", help="Leave away splits that the data do not give.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is lost, and write nothing.")] = False,
    json_: AsJson = False,
) -> None:
    from visus.api.convert_data import convert_data
    from visus.cli.output import note, say, say_json

    result = convert_data(
        data,
        to,
        save,
        task=task,
        format=format,
        crowds=crowds,
        accept=accept or (),
        link=link,
        unsplit=unsplit,
        dry_run=dry_run,
        tell=lambda found: note(str(found)) if json_ else say(str(found)),
    )
    if json_:
        say_json(result.to_dict())
    elif result.written:
        say(f"written: {save}")


app.command(help=proposing.PROPOSE_HELP)(proposing.propose)
app.command(help=arranging.SPLIT_HELP)(arranging.split)
app.command(help=arranging.SAMPLE_HELP)(arranging.sample)
app.command(help=arranging.MERGE_HELP)(arranging.merge)


@app.command("list", help=LIST_HELP)
def list_(json_: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False) -> None:
    from visus.cli.output import say_json, say_table
    from visus.data.reading.named import list_named

    rows = list_named()
    if json_:
        say_json({"data_sets": rows})
    else:
        say_table(("name", "task", "here", "what"), [(r["name"], r["task"], r["here"], r["what"]) for r in rows])
