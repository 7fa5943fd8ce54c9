"""Landmarks: named points of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from visus.structures import Landmarks
from visus.tasks.codec_task import CodecTask
from visus.tasks.scoring import LandmarkScoring


class LandmarkOutputs(Protocol):
    """The raw outputs of a landmark network, as far as the task needs them."""

    @property
    def visible(self) -> Tensor:
        """[N,K] logits."""


class LandmarkTask(LandmarkScoring, CodecTask):
    """Named points; ``classes`` are the names of the K points."""

    def score(self, network: nn.Module, outputs: LandmarkOutputs, prediction: Sequence[Any]) -> Tensor:  # noqa: ARG002
        """Returns [N]: the sum of the logits of the points predicted as visible; of all points if none is."""
        totals = []
        for row, value in zip(outputs.visible, cast("Sequence[Landmarks]", prediction), strict=True):
            is_visible = torch.from_numpy(value.visible).to(row.device)
            totals.append(row[is_visible].sum() if bool(is_visible.any()) else row.sum())
        return torch.stack(totals)
