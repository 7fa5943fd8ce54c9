"""visus train"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from visus.cli.data_options import Accept, Crowds, ProposalFiles, Quiet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from visus.api.run import Run
    from visus.engine.recipe import Recipe
    from visus.workflow.plan import Preparation
    from visus.workflow.run_training import DryRun

HELP = """Train a model on own images or on a named data set.

DATA is a folder (class folders, VOC, COCO, YOLO, masks, CSV, IDX; its layout is recognised), a file (CSV, JSON, YAML),
or a name (visus data list). Without --model, the model, its weights and the recipe are chosen for the data, and said.

\b
  visus train digits --model lenet5                       a named data set
  visus train photos/ --model resnet18 --epochs 5         a folder with cats/ and dogs/
  visus train bccd/ --model ssd --backbone mobilenet_v2   boxes
  visus train nuclei/ --task segmentation --model unet    masks
  visus train voc/ --model fcn8s --recipe fcn-voc-staged  FCN-32s, then FCN-16s, then FCN-8s: three runs
  visus train photos/ --set optimizer.lr=3e-4 --set augmentation.mirror=0
  visus train photos/ --show-recipe                       every field, its type, value and source
  visus train photos/ --dry-run                           two batches through everything
  visus train --resume runs/photos-resnet18               go on where it stopped
  visus train --config runs/photos-resnet18/config.yaml   the same again, from the start
"""


_WITH_RESUME = {"device", "workers", "allow_changed_data", "quiet", "json_"}
_WITH_CONFIG = {"set_", "epochs", "batch_size", "seed", "device", "name", "out", "workers", "show_recipe", "dry_run"}
_WITH_CONFIG |= {"quiet", "json_"}


def train(
    context: typer.Context,
    data: Annotated[
        str | None, typer.Argument(help="Folder, file or name of the data set.", show_default=False)
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model, such as resnet18 or resnet18@torchvision.")] = None,
    task: Annotated[
        str | None, typer.Option(help="Task, such as detection; visus data check DATA lists what the labels allow.")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="Backbone of a composed model, such as mobilenet_v2.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="none, default (published ones; the default), or a file.", show_default=False)
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Name of a published recipe (or one in phases), or a YAML file.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the training images.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images a step.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change a recipe field.")
    ] = None,
    format: Annotated[str | None, typer.Option(help="Reader of the data, when two could read it.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    seed: Annotated[int | None, typer.Option(min=0, help="Of weights, order, augmentation and dropout.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run folder.")] = None,
    out: Annotated[str, typer.Option(help="Folder of run folders.")] = "runs",
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that load images; chosen if not given.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Processes that train together (one a GPU).")] = 1,
    deterministic: Annotated[bool, typer.Option(help="Only operators that give the same result twice.")] = False,
    touching: Annotated[
        str | None,
        typer.Option(
            metavar="WAY",
            help="Segmentation of numbered or outlined objects: how touching ones stay apart: gap, border, outline or "
            "merge; gap for instance maps, else merge.",
            show_default=False,
        ),
    ] = None,
    crowds: Crowds = None,
    accept: Accept = None,
    proposals: ProposalFiles = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with a run that stopped.")] = None,
    allow_changed_data: Annotated[
        bool, typer.Option("--allow-changed-data", help="With --resume: go on although the data have changed.")
    ] = False,
    config: Annotated[str | None, typer.Option(metavar="FILE", help="Train again from a run's config.yaml.")] = None,
    show_recipe: Annotated[bool, typer.Option("--show-recipe", help="Print the recipe and exit.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Two batches through everything, then exit.")] = False,
    quiet: Quiet = False,
    json_: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    from visus.cli.output import note, say, say_json
    from visus.errors import UsageError
    from visus.files.extras import require_train
    from visus.workflow.companions import refuse_beside, require_companion
    from visus.workflow.plan import prepare
    from visus.workflow.request import Request, given_options

    require_train("training")
    sources = [option for option, value in (("DATA", data), ("--resume", resume), ("--config", config)) if value]
    if len(sources) != 1:
        raise UsageError(
            "name the training data exactly once",
            expected="DATA, --resume RUN or --config FILE",
            got=" and ".join(sources) or "none",
        )
    done: Run | DryRun
    if resume is not None:
        _require_only(context, _WITH_RESUME, "resume")
        from visus.api.train import resume as go_on

        done = go_on(
            resume,
            device=None if device == "auto" else device,
            workers=workers,
            allow_changed_data=allow_changed_data,
            quiet=quiet,
        )
    else:
        require_companion("--allow-changed-data", allow_changed_data, "--resume", False)
        refuse_beside("--dry-run", dry_run, "--show-recipe", show_recipe, "nothing is run")
        if config is not None:
            _require_only(context, _WITH_CONFIG, "config")
        changes = _changes(set_, epochs=epochs, batch_size=batch_size, seed=seed)
        request = Request(
            data=str(data),
            model=model,
            task=task,
            format=format,
            backbone=backbone,
            weights=weights,
            recipe=recipe,
            changes=changes,
            device=device,
            workers=workers,
            processes=processes,
            deterministic=deterministic,
            task_options=given_options(touching=touching, crowds=crowds),
            accept=tuple(accept or ()),
            proposals=tuple(proposals or ()),
            name=name,
            out=out,
        )
        prepared = prepare(request) if config is None else _prepare_again(context, config, changes)
        if show_recipe:
            _show(prepared.plan.recipe, set(changes), as_json=json_)
            return
        for message in prepared.messages:
            note(message)
        from visus.api.run import Run
        from visus.workflow.run_training import rehearse
        from visus.workflow.training_phases import execute

        done = rehearse(prepared, quiet=quiet) if dry_run else Run(execute(prepared, quiet=quiet))
    from visus.engine.launch import is_answering

    if not is_answering():
        return
    if json_:
        say_json(done.to_dict())
    else:
        say(done.describe())


def _changes(set_: list[str] | None, **fields: int | None) -> dict[str, Any]:
    """The changes to the recipe: those of --set, and those of options such as --epochs."""
    from visus.engine.recipe import named_changes

    return named_changes(set_ or ()) | {name: value for name, value in fields.items() if value is not None}


def _require_only(context: typer.Context, known: set[str], option: str) -> None:
    """Raises UsageError for an option that has no effect together with ``--resume`` or ``--config``."""
    from visus.errors import UsageError

    names = {parameter.name: parameter.opts[0] for parameter in context.command.params if parameter.name}
    options = [name for name in names if name != option and _is_given(context, name)]
    if not set(options) <= known:
        raise UsageError(
            f"--{option} already contains other choices",
            expected="together with it only " + ", ".join(names[name] for name in names if name in known),
            got=", ".join(names[name] for name in options if name not in known),
            remedy="leave these out, or start from the data: visus train DATA",
        )


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _prepare_again(context: typer.Context, config: str, changes: Mapping[str, Any]) -> Preparation:
    """The saved plan with the changes of the command line."""
    from dataclasses import replace
    from pathlib import Path

    from visus.workflow.plan import Plan, prepare_again

    plan = Plan.load(Path(config))
    options = {name: context.params[name] for name in ("device", "name", "out", "workers") if _is_given(context, name)}
    return prepare_again(replace(plan, recipe=plan.recipe.with_changes(changes), **options))


def _show(recipe: Recipe, changed: set[str], *, as_json: bool) -> None:
    """Prints every field with its type, default, value and the origin of the value."""
    from visus.cli.output import say, say_json, say_table
    from visus.engine.recipe import ABOUT, Recipe

    defaults = {name: value for name, _, value, _ in Recipe().fields()}
    rows = []
    for name, kind, value, meaning in recipe.fields():
        if name in ABOUT:
            continue
        origin = recipe.source_of(name) or ("default" if value == defaults[name] else "recipe")
        if any(name == change or name.startswith(f"{change}.") for change in changed):
            origin = "changed here"
        rows.append((name, kind, str(defaults[name]), str(value), origin, meaning))
    if as_json:
        keys = ("field", "type", "default", "value", "from", "meaning")
        fields = [dict(zip(keys, row, strict=True)) for row in rows]
        say_json({"source": recipe.source, "recipe": recipe.model_dump(mode="json"), "fields": fields})
        return
    say(f"source: {recipe.source or 'given'}")
    if recipe.source_of("keep"):
        say(f"keeps: {recipe.keep} ({recipe.source_of('keep')})")
    if recipe.missing is not None:
        say(f"missing: {'; '.join(recipe.missing) or 'nothing'}")
    say_table(("field", "type", "default", "value", "from", "meaning"), rows)
