"""Localisation: the class of an image's one object, and its box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from visus.structures import Detections
from visus.tasks.codec_task import CodecTask
from visus.tasks.scoring import LocalizationScoring


class LocalizerOutputs(Protocol):
    """The raw outputs of a localizer, as far as the task needs them."""

    @property
    def vector(self) -> Tensor:
        """[N, 1 + 4B + K]: presence, B boxes, a value a class."""


class Localization(LocalizationScoring, CodecTask):
    """One class and one box for an image.

    Values are Detections, as in detection: the target has one object or none, an answer up to five guesses with their
    scores, the surest first. So everything that draws, saves, counts and undoes boxes serves here too.
    """

    def score(self, network: nn.Module, outputs: LocalizerOutputs, prediction: Sequence[Any]) -> Tensor:  # noqa: ARG002
        """Returns [N]: presence and the values of the predicted classes, each weighted by its score."""
        classes = outputs.vector[:, -len(self.classes) :]
        totals = []
        guesses = cast("Sequence[Detections]", prediction)
        for presence, row, guess in zip(outputs.vector[:, 0], classes, guesses, strict=True):
            if len(guess) == 0:
                totals.append(presence)
                continue
            labels = torch.from_numpy(guess.labels).to(row.device)
            weights = torch.ones(len(guess)) if guess.scores is None else torch.from_numpy(guess.scores)
            totals.append(((presence + row[labels]) * weights.to(row)).sum())
        return torch.stack(totals)
