"""The phases of alternating training that train nothing: Ren et al., Faster R-CNN, arXiv:1506.01497, section 3.2.

Between steps 1 and 2 the region proposal network makes the proposals of all images, which the second stage is trained
on. Without the steps that make both stages share their convolutions, the networks of the two steps are joined.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from visus.data.augmentation.prepared import Prepared
from visus.data.augmentation.preparing import Preparer
from visus.data.proposals.array_file import write_arrays
from visus.engine.device_batches import to_device
from visus.engine.disk import write_text
from visus.engine.model_file import load_state
from visus.engine.predict import predict
from visus.engine.progress import Progress, choose_progress
from visus.errors import TaskMismatchError
from visus.metrics.proposal_recall import ProposalRecall
from visus.models.detection.region_proposals import ProposalRules, ProposingCodec, proposals_of
from visus.structures import Batch, Proposals, Sample
from visus.tasks.task import Task
from visus.workflow.loading import load_model
from visus.workflow.model import Model
from visus.workflow.phases import Artefact, Context
from visus.workflow.plan import Plan, prepare_again
from visus.workflow.run_training import assemble
from visus.workflow.training_phases import MODEL, PROPOSALS

FILE, RECALL = "proposals.npz", "recall.json"


@dataclass(frozen=True, slots=True)
class _Proposing:
    """The part of a task that answers with proposals."""

    task: Task
    rules: ProposalRules

    def collate(self, prepared: Sequence[Prepared]) -> Batch:
        return self.task.collate(prepared)

    def predict(self, network: nn.Module, batch: Batch) -> list[Proposals]:
        detector: Any = network
        size = (batch.images.shape[2], batch.images.shape[3])
        objectness = detector.objectness(detector.features(batch.images), size)
        boxes = proposals_of(objectness, size, self.rules).boxes
        return [Proposals(part.float().cpu().numpy(), size) for part in boxes]


def propose(context: Context) -> Artefact:
    """A phase: the proposals of all images by the run before it, as many as in training, or as at test for the others.

    Raises:
        TaskMismatchError: if the run trained no region proposal network.
        DataError: if an image cannot be read.
    """
    run = [artefact for artefact in context.artefacts.values() if artefact.kind == "run"][-1]
    plan = Plan.load(run.folder / "config.yaml")
    allowed = context.request is not None and context.request.allow_changed_data
    device = plan.device if context.request is None else context.request.device
    prepared = prepare_again(replace(plan, device=device, allow_changed_data=allowed))
    model = load_model(run.folder, device=device)
    codec = _codec(model)
    progress = choose_progress(quiet=context.quiet)
    found: dict[str, Proposals] = {}
    scores = {}
    for split, samples in prepared.dataset.splits.items():
        rules = codec.trained if split == "train" else codec.tested
        recall = ProposalRecall(model.classes, rules.after)
        for sample, proposals in zip(samples, _proposals(model, samples, rules, plan, progress), strict=True):
            found[sample.id] = proposals
            recall.update(proposals, sample.target(plan.task, masks=False))
        scores[split] = recall.compute().to_dict()
        share = scores[split]["recall"]["0.5"]
        context.say(
            f"proposals of {split}: at most {rules.after:,} an image"
            + ("" if share is None else f", {share:.1%} of the objects are covered by half or more")
        )
    write_arrays(context.folder / FILE, found)
    write_text(context.folder / RECALL, json.dumps(scores, indent=2) + "\n")
    return Artefact.of(_name(context), PROPOSALS, context.folder, [FILE])


def _proposals(
    model: Model, samples: Sequence[Sample], rules: ProposalRules, plan: Plan, progress: Progress
) -> Iterator[Proposals]:
    """The proposals of each image in pixels of its file, within it."""
    preprocessing = model.info.preprocessing
    answers = predict(
        model.network,
        cast("Task", _Proposing(model.task, rules)),
        samples,
        Preparer(plan.task, preprocessing, None, 0),
        to_device=to_device(preprocessing, model.device),
        batch_size=plan.recipe.batch_size,
        progress=progress,
        work="proposals",
    )
    for answer in answers:
        if answer.error is not None:
            raise answer.error
        yield answer.value.repaired()[0]


def _codec(model: Model) -> ProposingCodec:
    codec = getattr(model.network, "codec", None)
    if isinstance(codec, ProposingCodec):
        return codec
    raise TaskMismatchError(
        f"{model.info.model} has no region proposal network",
        expected="a model that proposes regions itself, such as faster_rcnn",
        got=type(model.network).__name__,
    )


def join(context: Context) -> Artefact:
    """A phase: the network whose stages share nothing, of the last values of steps 1 and 2; it is scored as a whole.

    Raises:
        WeightsError: if a model file of the steps is damaged.
        RecipeError: if the model's stages always share their convolutions.
    """
    if context.request is None or context.request.phase is None:
        raise TypeError("a phase needs a request")
    first, second = [artefact for artefact in context.artefacts.values() if artefact.kind == "run"][-2:]
    plan = Plan.load(second.folder / "config.yaml")
    recipe = plan.recipe.with_changes({"model_options.shared": False, "model_options.learns": "both", "frozen": ()})
    prepared = prepare_again(
        replace(
            plan,
            recipe=recipe,
            weights="none",
            proposals=(),
            phase=context.request.phase,
            device=context.request.device,
            allow_changed_data=context.request.allow_changed_data,
        )
    )
    assemble(context.folder, prepared, joined(first.path(MODEL), second.path(MODEL)), quiet=context.quiet)
    return Artefact.of(_name(context), "run", context.folder, [MODEL])


def joined(first: Path, second: Path) -> dict[str, Tensor]:
    """The values of a network whose stages share nothing: the first stage of one model file, the rest of another."""
    proposing, detecting = load_state(first)[1], load_state(second)[1]
    state = {name: value for name, value in detecting.items() if not name.startswith("rpn.")}
    state |= {name: value for name, value in proposing.items() if name.startswith("rpn.")}
    return state | {f"rpn_{name}": value for name, value in proposing.items() if name.startswith("backbone.")}


def _name(context: Context) -> str:
    if context.request is None or context.request.phase is None:
        raise TypeError("a phase needs a request")
    return context.request.phase.name
