"""visus data propose"""

from __future__ import annotations

from typing import Annotated

import typer

from visus.cli.data_options import AsJson, Format, ProposalFiles, Quiet

PROPOSE_HELP = """Find regions that may hold objects, by selective search, and say how many of the objects they cover.

R-CNN, SPP-net and Fast R-CNN look at such regions. They are computed once for each image and kept in the cache folder;
trainings and predictions find them there, and a run that was stopped goes on. Exit code 4 when an image cannot be read.

\b
  visus data propose bccd/
  visus data propose bccd/ --split test --mode quality --count 10000 --curves recall.svg
  visus data propose bccd/ --hierarchy grouping.png --image BloodImage_00000.jpg
  visus data propose bccd/ --save proposals.csv
  visus data propose voc/ --proposals voc_2007_trainval.mat --proposals voc_2007_test.mat    score those of others
"""


def propose(
    data: Annotated[str, typer.Argument(help="Folder, file or name.")],
    split: Annotated[str | None, typer.Option(help="train, val or test; all images if not given.")] = None,
    mode: Annotated[str | None, typer.Option(help="Of selective search: single, fast or quality; fast.")] = None,
    count: Annotated[int, typer.Option(min=1, help="The best so many of each image.")] = 2000,
    proposals: ProposalFiles = None,
    format: Format = None,
    save: Annotated[str | None, typer.Option(metavar="FILE", help="Write the proposals as .csv or .json.")] = None,
    curves: Annotated[
        str | None, typer.Option(metavar="FILE", help="Draw recall over number and over IoU as .svg or .png.")
    ] = None,
    hierarchy: Annotated[
        str | None, typer.Option(metavar="FILE", help="Draw how one image is grouped, as .png or .jpg.")
    ] = None,
    image: Annotated[str | None, typer.Option(help="With --hierarchy: its name; the first image if not given.")] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that compute; one a core if not given.")] = None,
    quiet: Quiet = False,
    json_: AsJson = False,
) -> None:
    from visus.api.find_proposals import find_proposals
    from visus.cli.output import note, say, say_json
    from visus.workflow.companions import refuse_beside, require_companion

    require_companion("--image", image is not None, "--hierarchy", hierarchy is not None)
    why = "those of files have no hierarchy"
    refuse_beside("--hierarchy", hierarchy is not None, "--proposals", bool(proposals), why)
    found = find_proposals(
        data,
        split=split,
        mode=mode,
        count=count,
        proposals=proposals or (),
        format=format,
        workers=workers,
        quiet=quiet,
    )
    if save is not None:
        found.save(save)
        note(f"proposals: {save}")
    if curves is not None:
        found.save_curves(curves)
        note(f"curves: {curves}")
    if hierarchy is not None:
        from visus.cli.saving import save_picture

        save_picture(found.draw_hierarchy(image), hierarchy, "data propose")
        note(f"hierarchy: {hierarchy}")
    if json_:
        say_json(found.to_dict())
    else:
        say(str(found))
    if found.failed:
        raise typer.Exit(4)
