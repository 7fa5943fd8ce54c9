"""Detection: boxes with their classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torchvision.ops import box_iou

from visus.metrics.detection import DetectionMetric
from visus.structures import Detections, Sample
from visus.tasks.codec_task import CodecTask
from visus.tasks.task import PrimaryMetric, quality_by


class DetectorOutputs(Protocol):
    """What any detector's raw outputs can be asked, so that a prediction can be traced back to them."""

    def class_logits(self) -> Tensor:
        """[N,A,K]: the logits of K classes for A boxes."""

    def boxes(self) -> Tensor:
        """[N,A,4] xyxy in network pixels."""


class Detection(CodecTask):
    """Boxes with their classes: targets and answers are Detections, the best object first in an answer."""

    name = "detection"
    primary = PrimaryMetric("map50", "mAP at IoU 0.5")

    def metrics(self, samples: Sequence[Sample] | None = None) -> DetectionMetric:  # noqa: ARG002
        """A fresh metric; every image is scored by itself."""
        return DetectionMetric(self.classes)

    def image_quality(self, prediction: Any, truth: Any) -> float:
        """The mAP at IoU 0.5 of one image, without kinds of errors."""
        return quality_by(DetectionMetric(self.classes, errors=False), self.primary, prediction, truth)

    def score(self, network: nn.Module, outputs: DetectorOutputs, prediction: Sequence[Any]) -> Tensor:  # noqa: ARG002
        """[N]: how strongly the network speaks for the objects that were predicted.

        For each object this is the logit of its class at the raw box that overlaps it most (boxes that survived
        suppression are among the raw ones, up to clipping); the objects of an image are summed, each weighted by its
        probability. An image without predicted objects is scored by its largest class logit: what came nearest.
        """
        logits, boxes = outputs.class_logits(), outputs.boxes().detach()  # [N, A, K], [N, A, 4]
        answers = cast("Sequence[Detections]", prediction)
        totals = []
        for image_logits, image_boxes, found in zip(logits, boxes, answers, strict=True):
            if len(found) == 0:
                totals.append(image_logits.amax())
                continue
            objects = torch.from_numpy(found.boxes).to(image_boxes)
            labels = torch.from_numpy(found.labels).to(image_boxes.device)
            height, width = found.size
            limits = image_boxes.new_tensor([width, height, width, height])
            nearest = box_iou(objects, image_boxes.clamp(min=0).minimum(limits)).argmax(1)  # [objects]
            weights = torch.ones(len(found)) if found.scores is None else torch.from_numpy(found.scores)
            totals.append((image_logits[nearest, labels] * weights.to(image_logits)).sum())
        return torch.stack(totals)
