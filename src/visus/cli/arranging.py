"""visus data split | sample | merge"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from visus.cli.data_options import AsJson, Format, Link, Save

if TYPE_CHECKING:
    from collections.abc import Callable

    from visus.workflow.arranging import ArrangedData

SPLIT_HELP = """Write a data set with new splits: stratified by class, groups kept whole, the same for the same seed.

The images of train are divided, or all of data without splits; other splits that the data give stay. What each split
holds is said before anything is written, and the data that are read stay as they are.

\b
  visus data split photos/ --val 0.2 --test 0.1 --save photos-split/
  visus data split scans/ --val 0.2 --group-by '(patient\\d+)_' --save scans-split/    a regular expression on paths
  visus data split faces/ --val 0.2 --group-by person --save faces-split/            a column of the table
  visus data split frames/ --val 0.2 --group-by folder --save frames-split/ --link
"""

SAMPLE_HELP = """Write some images of a data set with their labels: of each split and class its share.

\b
  visus data sample photos/ --count 500 --save photos-500/
"""

MERGE_HELP = """Write several data sets as one: classes matched by name, images of equal names kept apart.

\b
  visus data merge street/ station/ --save both/
  visus data merge a.json b/ --save both/ --to coco --link
"""

To = Annotated[
    str | None, typer.Option(help="Format: coco, yolo, voc, masks, csv or folders; the data's if not given.")
]
Task = Annotated[str | None, typer.Option(help="Whose labels; the data's first if not given.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what each split would hold, and write nothing.")]
Seed = Annotated[int, typer.Option(min=0, help="Which images.")]


def split(
    data: Annotated[str, typer.Argument(help="Folder, file or name.")],
    save: Save,
    val: Annotated[float, typer.Option(min=0, max=1, help="Share of the images for val.")] = 0.0,
    test: Annotated[float, typer.Option(min=0, max=1, help="Share of the images for test.")] = 0.0,
    group_by: Annotated[
        str | None,
        typer.Option(metavar="WHAT", help="Keeps images together: a regular expression on paths, folder, or a column."),
    ] = None,
    seed: Seed = 0,
    to: To = None,
    task: Task = None,
    format: Format = None,
    anew: Annotated[bool, typer.Option("--anew", help="Divide all images, whatever splits the data give.")] = False,
    link: Link = False,
    dry_run: DryRun = False,
    json_: AsJson = False,
) -> None:
    from visus.api.split_data import split_data

    result = split_data(
        data,
        save,
        val=val,
        test=test,
        group_by=group_by,
        seed=seed,
        to=to,
        task=task,
        format=format,
        anew=anew,
        link=link,
        dry_run=dry_run,
        tell=_teller(as_json=json_),
    )
    _end(result, as_json=json_)


def sample(
    data: Annotated[str, typer.Argument(help="Folder, file or name.")],
    count: Annotated[int, typer.Option(min=1, help="Number of images.")],
    save: Save,
    seed: Seed = 0,
    to: To = None,
    task: Task = None,
    format: Format = None,
    link: Link = False,
    dry_run: DryRun = False,
    json_: AsJson = False,
) -> None:
    from visus.api.sample_data import sample_data

    result = sample_data(
        data,
        save,
        count=count,
        seed=seed,
        to=to,
        task=task,
        format=format,
        link=link,
        dry_run=dry_run,
        tell=_teller(as_json=json_),
    )
    _end(result, as_json=json_)


def merge(
    data: Annotated[list[str], typer.Argument(help="Folders, files or names; two or more.")],
    save: Save,
    to: To = None,
    task: Task = None,
    format: Format = None,
    link: Link = False,
    dry_run: DryRun = False,
    json_: AsJson = False,
) -> None:
    from visus.api.merge_data import merge_data

    tell = _teller(as_json=json_)
    result = merge_data(data, save, to=to, task=task, format=format, link=link, dry_run=dry_run, tell=tell)
    _end(result, as_json=json_)


def _teller(*, as_json: bool) -> Callable[[ArrangedData], None]:
    from visus.cli.output import note, say

    return lambda result: note(str(result)) if as_json else say(str(result))


def _end(result: ArrangedData, *, as_json: bool) -> None:
    from visus.cli.output import say, say_json

    if as_json:
        say_json(result.to_dict())
    elif result.written:
        say(f"written: {result.folder}")
