"""Runs a whole training: a single run, or the phases of a table in ``recipes/phases.py``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from visus.engine.progress import choose_progress
from visus.engine.run_folder import RunFolder, folder_name, new_folder
from visus.errors import InterruptedRunError, UsageError, VisusError
from visus.recipes.phases import PhaseOf
from visus.structures.extensions import load_object
from visus.workflow.changed_data import require_same_data
from visus.workflow.phases import Artefact, Context, Phase, finished, made_from, read_manifest, run_phases, silent
from visus.workflow.plan import Plan, Preparation, prepare, prepare_again
from visus.workflow.request import Request
from visus.workflow.run_training import begin, carry_on

MODEL = "model.safetensors"
PROPOSALS = "proposals"
"""The kind of an artefact whose files hold region proposals."""


def execute(prepared: Preparation, *, quiet: bool = False) -> Path:
    """Trains by a plan in a new run folder; a training that ends before its first checkpoint leaves no folder.

    A plan that is one phase of several is followed by the others, each in a folder of its own.

    Returns:
        The run folder; of a training in phases, the last one's.
    """
    plan, dataset = prepared.plan, prepared.dataset.name
    if plan.phase is None:
        name = plan.name or f"{dataset}-{prepared.card.name}"
        return begin(new_folder(Path(plan.out), name), prepared, quiet=quiet)
    path = new_folder(Path(plan.out), plan.phase.run_name(plan.name, dataset))
    return _run_from(path, plan, plan.phase, partial(_begin_first, prepared), dataset, quiet=quiet)


def resume(
    run: Path, *, device: str | None, workers: int | None, quiet: bool, allow_changed_data: bool = False
) -> Path:
    """Continues a training that stopped; see :func:`visus.resume`.

    Returns:
        The run folder; of a training in phases, the last one's.
    """
    folder = RunFolder.open(_where_to_go_on(run, quiet=quiet))
    plan = Plan.load(folder.path / "config.yaml")
    plan = replace(
        plan,
        device=device or plan.device,
        workers=plan.workers if workers is None else workers,
        allow_changed_data=allow_changed_data,
    )
    # One of several processes ends with its phase: the process that launched them goes on.
    if plan.phase is None or "WORLD_SIZE" in os.environ:
        _go_on(folder, plan, quiet=quiet)
        return folder.path
    dataset = _dataset_name(plan)
    # The other phases are beside this one, wherever the resuming process works: "runs" is a relative path.
    beside = replace(plan, out=str(folder.path.parent))
    return _run_from(folder.path, beside, plan.phase, load_object(plan.phase.card.function), dataset, quiet=quiet)


def _where_to_go_on(run: Path, *, quiet: bool) -> Path:
    """The folder that is resumed: of a training in phases that of its first phase, where no folder or none with a plan
    bears the name of the whole training or of a phase.

    Finished phases are skipped from there on.

    Raises:
        UsageError: if several trainings have phases of these names, or none has.
    """
    if (run / "config.yaml").exists():
        return run
    first: dict[Path, int] = {}
    for config in sorted(run.parent.glob("*/config.yaml")):
        try:
            plan = Plan.load(config)
        except VisusError:  # no run, or a damaged one
            continue
        if config.parent.is_symlink() or plan.phase is None or not _is_of_training(run.name, plan, plan.phase):
            continue
        first[config.parent] = plan.phase.number
    folders = [folder for folder, number in first.items() if number == min(first.values())]
    if len(folders) > 1:
        raise UsageError(
            f"{run} may be one of {len(folders)} trainings in phases",
            expected="the folder of the one that is meant",
            got=" or ".join(map(str, folders)),
            remedy=f"visus train --resume {folders[-1]}",
        )
    if folders:
        choose_progress(quiet=quiet).say(f"{run} is a training in phases: it goes on from {folders[0]}")
    return folders[0] if folders else run


def _is_of_training(name: str, plan: Plan, phase: PhaseOf) -> bool:
    """Whether a folder of this name would be the training's, or that of one of its phases."""
    parts = (replace(phase, number=number) for number in range(phase.count))
    names = {folder_name(part.run_name(plan.name, _dataset_name(plan))) for part in parts}
    return name in names or re.sub(r"-\d+$", "", name) in names


def _dataset_name(plan: Plan) -> str:
    source = Path(plan.data)
    return source.name if source.is_dir() else source.stem


@contextmanager
def _stoppable(path: Path) -> Iterator[None]:
    """Ends the work between trainings at Ctrl-C and SIGTERM, and says that a phase that left nothing can go on, too.

    Trainings handle signals themselves. ``path``: the folder of the first phase, from which the others follow.
    """
    from visus.engine.interruption import Interrupted, Interruption

    def go_on() -> str:
        return f"go on with: visus train --resume {path}" if (path / "config.yaml").is_file() else "start it again"

    with Interruption() as interruption:
        try:
            with interruption.at_once():
                yield
        except InterruptedRunError as error:
            if "--resume" in error.remedy:
                raise
            raise InterruptedRunError.by_signal(error.exit_code - 128, error.problem, remedy=go_on()) from None
        except (Exception, Interrupted):
            if not interruption.signal:
                raise
            raise InterruptedRunError.by_signal(
                interruption.signal, "stopped between the steps of two phases", remedy=go_on()
            ) from None


def _run_from(
    path: Path, plan: Plan, first: PhaseOf, run: Callable[[Context], Artefact], dataset: str, *, quiet: bool
) -> Path:
    """Runs the phase of a plan and those after it; skips finished phases.

    Args:
        path: the folder of the plan's phase: an empty one, or that of a run that stopped.
        plan: of this phase.
        first: the same phase.
        run: does its work.
        dataset: the data set's name.
        quiet: no progress on standard error.

    Returns:
        The folder of the last phase.
    """
    parts = {first.name: first}
    phases = [Phase(first.name, run, partial(request_of, plan, first))]
    following = first.next
    while following is not None:
        parts[following.name] = following
        function = load_object(following.card.function)
        phases.append(Phase(following.name, function, partial(request_of, plan, following)))
        following = following.next

    def folder_of(phase: Phase, artefacts: Mapping[str, Artefact]) -> Path:
        part = parts[phase.name]
        return path if part is first else _folder_of(plan, part, dataset, artefacts)

    say = choose_progress(quiet=quiet).say
    with _stoppable(path):
        earlier = _artefacts_before(path, plan, first, dataset)
        made = run_phases(phases, folder_of, artefacts=earlier, quiet=quiet, say=say)
    return made[phases[-1].name].folder


def train(context: Context) -> Artefact:
    """A phase that trains: continues the run in the context's folder, or begins one there.

    Returns:
        An artefact of the kind "run", with the model file.
    """
    request, folder = _request(context), context.folder
    if (folder / "config.yaml").is_file():
        plan = Plan.load(folder / "config.yaml")
        allowed = request.allow_changed_data
        plan = replace(plan, device=request.device, workers=request.workers, allow_changed_data=allowed)
        _go_on(RunFolder.open(folder), plan, quiet=context.quiet)
    else:
        try:
            prepared = prepare(request)
            runs = [artefact.folder for artefact in context.artefacts.values() if artefact.kind == "run"]
            if runs:
                _require_same_data(RunFolder(folder), prepared, quiet=context.quiet, earlier=runs[-1])
        except BaseException:
            RunFolder(folder).discard()
            raise
        for message in prepared.messages:
            context.say(message)
        begin(folder, prepared, quiet=context.quiet)
    return _left(context)


def _go_on(folder: RunFolder, plan: Plan, *, quiet: bool) -> None:
    """Continues the run in a folder with the data that it began with."""
    prepared = prepare_again(plan)
    _require_same_data(folder, prepared, quiet=quiet)
    carry_on(folder, prepared, quiet=quiet, stays="WORLD_SIZE" not in os.environ)


def _require_same_data(folder: RunFolder, prepared: Preparation, *, quiet: bool, earlier: Path | None = None) -> None:
    allowed, progress = prepared.plan.allow_changed_data, choose_progress(quiet=quiet)
    require_same_data(folder, prepared, allowed=allowed, progress=progress, earlier=earlier)


def _begin_first(prepared: Preparation, context: Context) -> Artefact:
    """The first phase of a fresh training, which was prepared already."""
    begin(context.folder, prepared, quiet=context.quiet)
    return _left(context)


def _left(context: Context) -> Artefact:
    part = _request(context).phase
    if part is None:
        raise TypeError("a phase that trains needs its PhaseOf")
    return Artefact.of(part.name, "run", context.folder, [MODEL])


def _request(context: Context) -> Request:
    if context.request is None:
        raise TypeError("a training needs a request")
    return context.request


def request_of(plan: Plan, part: PhaseOf, artefacts: Mapping[str, Artefact]) -> Request:
    """Makes the request of a phase.

    It has the data of ``plan``, read in the same way; the weights of the previous run, or those that the training began
    with; and the proposals of the phase before it, if it reads them.
    """
    runs = [artefact for artefact in artefacts.values() if artefact.kind == "run"]
    proposals = () if plan.phase is not None and plan.phase.card.given else plan.proposals
    if part.card.given:
        made = [artefact for artefact in artefacts.values() if artefact.kind == PROPOSALS][-1]
        proposals = tuple(str(made.path(file)) for file in made.files)
    first = part.weights if part.card.afresh else plan.weights
    return Request(
        data=plan.data,
        task=plan.task,
        format=plan.reader,
        model=part.model,
        weights=str(runs[-1].path(MODEL)) if runs and not part.card.afresh else first,
        changes=part.changes,
        device=plan.device,
        workers=plan.workers,
        processes=plan.processes,
        deterministic=plan.deterministic,
        task_options=plan.task_options,
        name=plan.name,
        out=plan.out,
        phase=part,
        proposals=proposals,
        allow_changed_data=plan.allow_changed_data,
    )


def _folder_of(plan: Plan, part: PhaseOf, dataset: str, artefacts: Mapping[str, Artefact]) -> Path:
    """The folder in which this phase began from these artefacts, or a new folder."""
    earlier, direct = made_from(artefacts), list(artefacts)[-1]
    for folder in _folders_of(Path(plan.out), plan, part, dataset):
        manifest = read_manifest(folder)
        if manifest is None or manifest["name"] != part.name:
            continue
        # A phase that was resumed alone knows the run before it, not those before that.
        if direct in manifest["made_from"] and manifest["made_from"].items() <= earlier.items():
            return folder.resolve()
    return new_folder(Path(plan.out), folder_name(part.run_name(plan.name, dataset)))


def _artefacts_before(path: Path, plan: Plan, part: PhaseOf, dataset: str) -> dict[str, Artefact]:
    """The artefacts that the phase in a folder was made from, if they are still there and undamaged.

    Beside it lie those with the digests of its manifest; the run whose weights it began with may lie elsewhere, and may
    have changed since.
    """
    manifest = read_manifest(path)
    digests = {} if manifest is None else manifest["made_from"]
    found: dict[str, Artefact] = {}
    for earlier in part.earlier:
        artefacts = [_finished(folder, earlier.name) for folder in _folders_of(path.parent, plan, earlier, dataset)]
        same = [one for one in artefacts if one is not None and digests.get(earlier.name) == one.digest]
        direct = _finished(Path(plan.weights).parent, earlier.name)
        for artefact in [*same, direct][:1]:
            if artefact is not None:
                found[earlier.name] = artefact
    return found


def _finished(folder: Path, name: str) -> Artefact | None:
    """The finished, undamaged artefact of this name in a folder."""
    manifest = read_manifest(folder)
    return finished(name, folder.resolve(), {}, silent) if manifest and manifest["name"] == name else None


def _folders_of(out: Path, plan: Plan, part: PhaseOf, dataset: str) -> list[Path]:
    """The folders in which a phase of this name may have run."""
    name = folder_name(part.run_name(plan.name, dataset))
    numbered = re.compile(re.escape(name) + r"(-\d+)?")
    return [folder for folder in sorted(out.glob(f"{name}*")) if numbered.fullmatch(folder.name)]
