"""Base codec of detectors that decode their boxes by non-maximum suppression.

Letters: N images, A boxes of an image, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor

from visus.models.codecs import OnePassCodec
from visus.models.detection.box_targets import BoxTargets, box_targets_of
from visus.ops.nms import Method, multiclass_nms
from visus.structures import Detections


class ScoredBoxes(Protocol):
    """Raw outputs that can be read as boxes with scores."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the input in pixels."""

    def boxes(self) -> Tensor:
        """[N,A,4] xyxy in network pixels, not clipped."""

    def scores(self) -> Tensor:
        """[N,A,K] in [0, 1]."""


class BoxCodec(OnePassCodec):
    """Encodes objects for the loss, and decodes scored boxes by non-maximum suppression.

    Args:
        confidence, overlap, candidates, keep, suppression: of :func:`~visus.ops.nms.multiclass_nms`, whose ``method``
            the last one is.
    """

    assigns: Literal["predictors"] = "predictors"

    def __init__(
        self,
        *,
        confidence: float,
        overlap: float,
        candidates: int = 400,
        keep: int = 200,
        suppression: Method = "greedy",
    ) -> None:
        self.confidence = confidence
        self.overlap = overlap
        self.candidates = candidates
        self.keep = keep
        self.suppression = suppression

    def encode(self, targets: Sequence[Detections], device: torch.device) -> list[BoxTargets]:
        """Moves a batch's objects to the device, without boxes of no area, whose logarithms are infinite."""
        return box_targets_of(targets, device)

    def decode(self, outputs: ScoredBoxes) -> list[Detections]:
        """Decodes one Detections for each image, best object first; class names are numbers.

        Boxes are clipped to the image before suppression, as torchvision does; SSD's released code clips after it.
        """
        scores = outputs.scores()
        names = tuple(str(k) for k in range(scores.shape[-1]))
        answers = []
        for boxes, image_scores in zip(outputs.boxes(), scores, strict=True):
            best = multiclass_nms(
                boxes,
                image_scores,
                outputs.size,
                confidence=self.confidence,
                iou_threshold=self.overlap,
                candidates=self.candidates,
                keep=self.keep,
                method=self.suppression,
            )
            best_boxes, labels, values = (part.detach().cpu().numpy() for part in best)
            answers.append(Detections(names, best_boxes, labels, outputs.size, scores=values))
        return answers
