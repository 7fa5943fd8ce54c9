"""Explains what the two stages of a detector learn from an image.

The first stage is a one-stage detector of any object: its anchors learn which of them to move where, and its best boxes
are the proposals. The second stage looks at the proposals and samples those that it learns from. Networks whose
proposals come with the image have no first stage to explain. All of this comes from the network's own codec, which also
trains the network.

Letters: A anchors, P proposals, S sampled regions, H x W pixels of the network's input.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from visus.data.messages import counted
from visus.explanation.gradcam import in_eval_mode
from visus.explanation.object_marks import MOST_LINES, better, worst
from visus.explanation.targets import (
    COVERED,
    ExplainedTargets,
    as_seen,
    learned_objects,
    named,
    require_classes,
    solid,
)
from visus.ops.boxes import box_iou
from visus.ops.matching import NEUTRAL
from visus.ops.prediction_grid import PredictionGrid
from visus.structures import Batch, Detections
from visus.structures.drawing.canvas import percent

if TYPE_CHECKING:
    from visus.models.detection.region_codec import RegionCodec
    from visus.models.detection.region_proposals import ProposingCodec
    from visus.models.detection.two_stage import ObjectnessOutput, TwoStageDetector, TwoStageOutput


@dataclass(frozen=True, slots=True, eq=False)
class ProposedObject:
    """A target object, and the regions that learn it.

    Args:
        name: the name of its class.
        box: [4] xyxy in network pixels.
        ignored: whether the object does not count.
        matches: how many of the proposals show it.
        sampled: how many of the sampled regions show it; its own box may be one of them.
        overlap: the intersection over union with the proposal that fits it best; 0 without proposals.
    """

    name: str
    box: NDArray[np.float32]
    ignored: bool
    matches: int
    sampled: int
    overlap: float


@dataclass(frozen=True, slots=True, eq=False)
class LearnedRegions:
    """What a training step of the second stage learns from an image.

    Args:
        matches: [P] int64: the number of the object that each proposal of a training step shows, -1 (background) or -2
            (is never sampled).
        boxes: [S,4] float32 xyxy: the sampled regions.
        sampled: [S] int64: the object that each of them shows, or -1.
        own_boxes: whether the objects' own boxes join the proposals before sampling.
    """

    matches: NDArray[np.int64]
    boxes: NDArray[np.float32]
    sampled: NDArray[np.int64]
    own_boxes: bool

    def counts(self) -> dict[str, int]:
        """How many proposals show an object, are never sampled, or are background, and how many regions are sampled."""
        learn, neutral = int((self.matches >= 0).sum()), int((self.matches == NEUTRAL).sum())
        return {
            "proposals": len(self.matches),
            "learn": learn,
            "neutral": neutral,
            "background": len(self.matches) - learn - neutral,
            "sampled": len(self.boxes),
            "sampled_learn": int((self.sampled >= 0).sum()),
        }


@dataclass(frozen=True, slots=True, eq=False)
class ExplainedRegions:
    """A two-stage detector on one image: anchors, proposals, regions and answers; prints as text, and draws panels.

    Args:
        model: the name of the network.
        image: [3,h,w] uint8: the file as it lies in the network's input, perhaps in another resolution.
        size: (height, width) of the network's input, to whose pixels all boxes refer.
        first: the anchors of the first stage, and what they learn; None: the proposals come with the image.
        before: [B,4] float32 xyxy: the boxes of the first stage before suppression, the best first; None as ``first``.
        proposals: [P,4] float32 xyxy: the proposals of a prediction, the best first.
        objects: the target objects; None: there were no targets.
        learned: what the second stage learns; None without targets.
        candidates: predictions of at least ``score`` before suppression; None: the network is not trained.
        kept: the predictions that suppression keeps.
        score: the lowest score of predictions that are shown.
    """

    model: str
    image: NDArray[np.uint8]
    size: tuple[int, int]
    first: ExplainedTargets | None
    before: NDArray[np.float32] | None
    proposals: NDArray[np.float32]
    objects: tuple[ProposedObject, ...] | None
    learned: LearnedRegions | None
    candidates: Detections | None
    kept: Detections | None
    score: float

    def title(self) -> str:
        """The model's name and its numbers of anchors and proposals, in words."""
        proposals = f"{len(self.proposals):,} proposal{'' if len(self.proposals) == 1 else 's'}"
        if self.first is not None:
            return f"{self.first.title()}, {proposals}"
        height, width = self.size
        return f"{self.model} at {width} x {height}: {proposals}, which came with the image"

    def overlaps(self) -> NDArray[np.float32]:
        """[G,P]: the intersections over union of objects and proposals."""
        boxes = np.asarray([obj.box for obj in self.objects or ()], np.float32).reshape(-1, 4)
        return box_iou(torch.from_numpy(boxes), torch.from_numpy(self.proposals)).numpy()

    def covered(self) -> int:
        """How many objects a proposal covers by half; ignored objects are left out."""
        overlaps = self.overlaps()
        return sum(
            bool((row >= COVERED).any())
            for row, obj in zip(overlaps, self.objects or (), strict=True)
            if not obj.ignored
        )

    def sentence(self, number: int) -> str:
        """Says in words which proposals show an object."""
        obj = (self.objects or ())[number]
        if obj.ignored:
            return f"{obj.name}: not counted"
        proposals = f"{obj.matches:,} proposal{'' if obj.matches == 1 else 's'}" if obj.matches else "no proposal"
        fit = f"the best overlaps it by {percent(obj.overlap)}"
        if obj.matches == 0 and obj.sampled:
            return f"{obj.name}: shown by no proposal, its own box is drawn; {fit}"
        times = "once" if obj.sampled == 1 else f"{obj.sampled:,} times"
        return f"{obj.name}: shown by {proposals}, drawn {times}; {fit}"

    def __str__(self) -> str:
        lines = [self.title()]
        lines += [] if self.first is None else self.first.lines()
        if self.before is not None:
            lines.append(f"proposals: {len(self.before):,} before suppression, {len(self.proposals):,} after")
        if self.objects is not None:
            objects = counted(sum(not obj.ignored for obj in self.objects), "objects")
            lines.append(f"proposals cover {self.covered():,} of {objects} by half or more")
        if self.objects is not None and self.learned is not None:
            counts = self.learned.counts()
            lines.append(
                f"second stage: of {counted(counts['proposals'], 'proposals')} {counts['learn']:,} show an object, "
                f"{counts['background']:,} are background, {counts['neutral']:,} are never drawn"
            )
            own = " of these and the objects' own boxes" if self.learned.own_boxes else ""
            lines.append(
                f"a step draws {counted(counts['sampled'], 'regions')}{own}, "
                f"{counts['sampled_learn']:,} that show an object"
            )
            told = worst([obj.overlap for obj in self.objects], MOST_LINES)
            lines += [f"  {self.sentence(number)}" for number in told]
            lines += [f"  {better(rest)}"] if (rest := len(self.objects) - len(told)) else []
        if self.candidates is not None and self.kept is not None:
            lines.append(
                f"answers: {len(self.candidates):,} of a score of {self.score:g} or more, {len(self.kept):,} are kept"
            )
        return "\n".join(lines)

    def draw(self) -> Image.Image:
        """Draws the panels that have content: grids, anchors, who learns them, proposals, regions, answers."""
        from visus.explanation.region_drawing import draw_regions

        return draw_regions(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; boxes in network pixels."""
        first = None if self.first is None else self.first.to_dict()
        if first is not None:
            for name in ("model", "size", "candidates", "kept"):
                del first[name]
        values: dict[str, Any] = {
            "model": self.model,
            "size": list(self.size),
            "first_stage": first,
            "before_suppression": None if self.before is None else len(self.before),
            "proposals": len(self.proposals),
            "covered": None if self.objects is None else self.covered(),
            "counts": None if self.learned is None else self.learned.counts(),
            "objects": None,
            "candidates": None if self.candidates is None else len(self.candidates),
            "kept": None if self.kept is None else self.kept.to_dict()["objects"],
        }
        if self.objects is not None:
            values["objects"] = [
                {
                    "label": obj.name,
                    "box": [round(float(v), 2) for v in obj.box],
                    "ignored": obj.ignored,
                    "shown_by": obj.matches,
                    "learned_by": obj.sampled,
                    "overlap": obj.overlap,
                }
                for obj in self.objects
            ]
        return values


def explain_regions(
    network: nn.Module,
    batch: Batch,
    pixels: NDArray[np.uint8],
    *,
    classes: tuple[str, ...] | None,
    model: str,
    score: float,
    answers: bool = True,
    fill: int = 0,
) -> ExplainedRegions:
    """Finds what the stages of a detector propose, learn and answer for one image.

    What a step draws at random is drawn as with seed 0; torch's generator is left as it was. Arguments and errors: see
    :func:`visus.explanation.assignments.explain_targets`.
    """
    from visus.models.detection.two_stage import given_boxes

    detector = cast("TwoStageDetector", network)
    codec = cast("RegionCodec", network.codec)
    size = (batch.images.shape[2], batch.images.shape[3])
    first = before = learned = objects = candidates = kept = None
    with torch.inference_mode(), in_eval_mode(network), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        given = given_boxes(batch)
        features = detector.features(batch.images)
        outputs = detector.from_features(features, size, given)
        require_classes(classes, outputs.logits.shape[-1] - 1, model)
        target = None if batch.targets is None else solid(batch.targets[0])
        if outputs.objectness is not None:
            proposing = cast("ProposingCodec", codec)
            first = _first_stage(proposing, outputs.objectness, size, target, model)
            before = _unsuppressed(proposing, outputs.objectness, size)
        if target is not None:
            proposed = codec.learned_from(detector, features, size, given)
            objects, learned = _second_stage(codec, proposed.boxes[0], target)
        if answers:
            candidates, kept = (named(part, classes).above(score) for part in _answers(codec, outputs))
    image = as_seen(pixels, batch.placements[0], fill)
    return ExplainedRegions(
        model=model,
        image=image,
        size=size,
        first=None if first is None else replace(first, image=image, score=score),
        before=before,
        proposals=outputs.proposals[0, : outputs.counts[0]].float().cpu().numpy(),
        objects=objects,
        learned=learned,
        candidates=candidates,
        kept=kept,
        score=score,
    )


def _first_stage(
    codec: ProposingCodec, output: ObjectnessOutput, size: tuple[int, int], target: Detections | None, model: str
) -> ExplainedTargets:
    """The anchors as the predictors of a one-stage detector; its picture is added by the caller."""
    predictors = PredictionGrid(output.anchors, output.grids, "box", "anchors")
    boxes = codec.boxes_of_anchors(output)[0]
    objects = matches = sampled = None
    if target is not None:
        (encoded,) = codec.encode([target], output.anchors.device)
        matches = codec.assign_anchors(output.anchors, encoded, size)
        sampled = codec.sample_anchors(matches).cpu().numpy()
        objects = learned_objects(target, predictors, boxes, matches)
    return ExplainedTargets(
        model=model,
        image=np.zeros((3, 1, 1), np.uint8),
        size=size,
        predictors=predictors._replace(boxes=output.anchors.cpu()),
        boxes=boxes.cpu().numpy(),
        objects=objects,
        matches=None if matches is None else matches.cpu().numpy(),
        candidates=None,
        kept=None,
        score=0,
        sampled=sampled,
    )


def _unsuppressed(codec: ProposingCodec, output: ObjectnessOutput, size: tuple[int, int]) -> NDArray[np.float32]:
    """The boxes that enter suppression, of all maps together, the best first."""
    from visus.models.detection.region_proposals import proposals_of

    everything = replace(codec.tested, overlap=1.0, after=codec.tested.before * len(output.grids))
    return proposals_of(output, size, everything).boxes[0].cpu().numpy()


def _second_stage(
    codec: RegionCodec, proposals: Tensor, target: Detections
) -> tuple[tuple[ProposedObject, ...], LearnedRegions]:
    (encoded,) = codec.encode([target], proposals.device)
    matches = codec.assign(proposals, encoded)
    (sampled,) = codec.sample([proposals], [encoded])
    overlaps = box_iou(encoded.boxes, proposals) if len(proposals) else None
    objects = tuple(
        ProposedObject(
            name=target.classes[int(target.labels[number])],
            box=target.boxes[number],
            ignored=bool(target.ignored is not None and target.ignored[number]),
            matches=int((matches == number).sum()),
            sampled=int((sampled.matches == number).sum()),
            overlap=0.0 if overlaps is None else float(overlaps[number].max()),
        )
        for number in range(len(target))
    )
    boxes, shown = sampled.boxes.float().cpu().numpy(), sampled.matches.cpu().numpy()
    return objects, LearnedRegions(matches.cpu().numpy(), boxes, shown, codec.rules.add_objects)


def _answers(codec: RegionCodec, outputs: TwoStageOutput) -> Sequence[Detections]:
    """The answers before and after suppression."""
    every = copy.copy(codec)
    most = outputs.logits.shape[1] * (outputs.logits.shape[2] - 1)
    every.rules = replace(codec.rules, overlap=1.0, keep=most, suppression="greedy")
    return [decoder.decode(outputs)[0] for decoder in (every, codec)]
