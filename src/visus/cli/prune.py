"""visus prune"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

HELP = """Prune a trained model: the smallest weights become zero in steps, and the others are trained again after each.

The result is a run folder like any other, with a curve of the score against the size. The given run stays as it is.

\b
  visus prune runs/digits-lenet5 --sparsity 0.9              every tenth weight is left
  visus prune runs/photos-alexnet --sparsity 0.8 --layer conv1=0.2
  visus prune runs/photos-alexnet --layer fc6=0.95 --layer fc7=0.95    nothing else
  visus prune runs/photos-resnet18 --sparsity 0.8 --steps 3 --epochs 2 --set optimizer.lr=0.0005
  visus prune --resume runs/photos-resnet18-pruned           go on where it stopped
"""


def prune(
    context: typer.Context,
    run: Annotated[str | None, typer.Argument(help="Run folder of a training.", show_default=False)] = None,
    sparsity: Annotated[
        float | None,
        typer.Option(
            help="Share of zeros in the end, of all layers without their own; 0.9: every tenth weight is left.",
            show_default=False,
        ),
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(metavar="LAYER=SHARE", help="Share of a layer, by what its name begins with; 0 keeps it."),
    ] = None,
    threshold: Annotated[
        str,
        typer.Option(
            help="What is compared: deviation (weights over the standard deviation of their layer, as the "
            "paper), share (each layer loses the same) or magnitude (weights as they are)."
        ),
    ] = "deviation",
    steps: Annotated[int, typer.Option(help="Prunings, each with a fine-tuning after it.")] = 5,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of each fine-tuning; half of the training's if not given.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change the recipe of the fine-tunings.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run folder; RUN-pruned if not given.")] = None,
    out: Annotated[str | None, typer.Option(help="Folder of run folders; that of RUN if not given.")] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with a pruning that stopped.")] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps; auto if not given.", show_default=False)
    ] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that load images.")] = None,
    allow_changed_data: Annotated[
        bool, typer.Option("--allow-changed-data", help="Go on although the data have changed since the training.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on standard error.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Answer as JSON, one document.")] = False,
) -> None:
    from visus.api.prune import prune as prune_run
    from visus.api.prune import resume_pruning
    from visus.cli.output import say, say_json
    from visus.errors import UsageError

    if (run is None) == (resume is None):
        raise UsageError("one run is to be named", expected="RUN, or --resume RUN", got="both" if run else "none")
    if resume is not None:
        asked = {"sparsity": sparsity, "layer": layer, "epochs": epochs, "set": set_, "name": name, "out": out}
        given = [f"--{option}" for option, value in asked.items() if value is not None]
        given += [f"--{option}" for option in ("threshold", "steps") if _is_given(context, option)]
        if given:
            raise UsageError(
                f"{' and '.join(given)} cannot be combined with --resume",
                expected="the settings that the pruning began with",
                remedy="leave them away, or prune the first run again",
            )
        done = resume_pruning(
            resume, device=device, workers=workers, allow_changed_data=allow_changed_data, quiet=quiet
        )
    else:
        done = prune_run(
            str(run),
            sparsity=sparsity,
            layers=shares_of(layer or ()),
            threshold=threshold,
            steps=steps,
            epochs=epochs,
            changes=set_ or (),
            device=device or "auto",
            workers=workers,
            name=name,
            out=out,
            allow_changed_data=allow_changed_data,
            quiet=quiet,
        )
    if json_:
        say_json(done.to_dict())
    else:
        say(str(done))


def shares_of(texts: Sequence[str]) -> dict[str, float]:
    """["fc6=0.9"] -> {"fc6": 0.9}.

    Raises:
        UsageError: for another form.
    """
    from visus.errors import UsageError

    shares = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            share = float(number)
        except ValueError:
            share = float("nan")
        if not name or share != share:
            raise UsageError("a layer's share is written otherwise", expected="LAYER=SHARE, such as fc6=0.9", got=text)
        shares[name] = share
    return shares


def _is_given(context: typer.Context, option: str) -> bool:
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"
