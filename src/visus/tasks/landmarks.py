"""Landmarks: named points of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from visus.metrics.landmarks import LandmarkMetric
from visus.structures import Landmarks, Sample
from visus.tasks.codec_task import CodecTask
from visus.tasks.task import PrimaryMetric


class LandmarkOutputs(Protocol):
    """The raw outputs of a landmark network, as far as the task needs them."""

    @property
    def visible(self) -> Tensor:
        """[N,K] logits."""


class LandmarkTask(CodecTask):
    """Named points; ``classes`` are the names of the K points."""

    name = "landmarks"
    primary = PrimaryMetric("pck", "PCK@0.1")

    def metrics(self, samples: Sequence[Sample] | None = None) -> LandmarkMetric:  # noqa: ARG002
        """Makes a new metric; each image is scored by itself."""
        return LandmarkMetric(self.classes)

    def score(self, network: nn.Module, outputs: LandmarkOutputs, prediction: Sequence[Any]) -> Tensor:  # noqa: ARG002
        """Returns [N]: the sum of the logits of the points predicted as visible; of all points if none is."""
        totals = []
        for row, value in zip(outputs.visible, cast("Sequence[Landmarks]", prediction), strict=True):
            is_visible = torch.from_numpy(value.visible).to(row.device)
            totals.append(row[is_visible].sum() if bool(is_visible.any()) else row.sum())
        return torch.stack(totals)
