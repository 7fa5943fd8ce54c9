"""Detection: boxes and their classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol, cast

import torch
from torch import Tensor, nn

from visus.ops.boxes import box_iou
from visus.structures import Batch, Detections
from visus.tasks.codec_task import CodecTask
from visus.tasks.scoring import DetectionScoring


class DetectorOutputs(Protocol):
    """The raw outputs of a detector, as far as the task needs them to trace a prediction back."""

    def class_logits(self) -> Tensor:
        """[N,A,K]: the logits of K classes for A boxes."""

    def boxes(self) -> Tensor:
        """[N,A,4] xyxy in network pixels."""


class Detection(DetectionScoring, CodecTask):
    """Boxes and their classes. Targets and predictions are Detections, the best object first in a prediction."""

    choices: ClassVar[tuple[str, ...]] = ("marked",)

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Returns the loss terms of the network's codec, with marked objects as ``loss.marked`` says.

        Raises:
            TaskMismatchError: if the images have no labels, or the network has no codec.
        """
        if self._loss.marked != "neutral" and batch.targets is not None:
            learned = self._loss.marked == "learned"
            batch = replace(batch, targets=[_unmarked(target, learned=learned) for target in batch.targets])
        return super().losses(network, batch)

    def score(self, network: nn.Module, outputs: DetectorOutputs, prediction: Sequence[Any]) -> Tensor:  # noqa: ARG002
        """Returns [N]: how strongly the network supports the predicted objects.

        For each object this is the logit of its class at the raw box that overlaps it most (boxes that survived
        suppression are among the raw ones, up to clipping); the objects of an image are summed, each weighted by its
        probability. An image without predicted objects is scored by its largest class logit: what came nearest.
        """
        logits, boxes = outputs.class_logits(), outputs.boxes().detach()  # [N, A, K], [N, A, 4]
        answers = cast("Sequence[Detections]", prediction)
        totals = []
        for image_logits, image_boxes, answer in zip(logits, boxes, answers, strict=True):
            if len(answer) == 0:
                totals.append(image_logits.amax())
                continue
            objects = torch.from_numpy(answer.boxes).to(image_boxes)
            labels = torch.from_numpy(answer.labels).to(image_boxes.device)
            height, width = answer.size
            limits = image_boxes.new_tensor([width, height, width, height])
            nearest = box_iou(objects, image_boxes.clamp(min=0).minimum(limits)).argmax(1)  # [objects]
            weights = torch.ones(len(answer)) if answer.scores is None else torch.from_numpy(answer.scores)
            totals.append((image_logits[nearest, labels] * weights.to(image_logits)).sum())
        return torch.stack(totals)


def _unmarked(target: Detections, *, learned: bool) -> Detections:
    """The target with no object marked: with all of them, or without those that were."""
    if target.ignored is None:
        return target
    return replace(target if learned else target.select(~target.ignored), ignored=None)
