"""Base classes of codecs that need only one forward pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from visus.structures import Batch, Label


class OnePassCodec(ABC):
    """Encodes targets and decodes the raw outputs of one forward pass; decode is the inverse of encode."""

    @abstractmethod
    def encode(self, targets: Any, device: torch.device) -> Any:
        """Encodes a batch's targets in the form that :meth:`terms` compares with the outputs."""

    @abstractmethod
    def terms(self, outputs: Any, encoded: Any) -> dict[str, Tensor]:
        """Named scalar terms of the loss; their sum is minimised."""

    @abstractmethod
    def decode(self, outputs: Any) -> Any:
        """Decodes outputs to one value an image, in network pixels; class names are numbers."""

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The loss terms of a batch of normalised images."""
        return self.terms(network(batch.images), self.encode(batch.targets, batch.images.device))

    def answers(self, network: nn.Module, batch: Batch) -> list[Any]:
        """One value an image, as :meth:`decode` gives them."""
        answers: list[Any] = self.decode(network(batch.images))
        return answers


class ClassifierCodec(OnePassCodec):
    """The codec of a classifier; ``decode`` gives scores [N,K] instead of values."""

    def encode(self, targets: Tensor, device: torch.device) -> Any:
        """Class ids [N] int64."""
        return targets.to(device)

    @abstractmethod
    def decode(self, outputs: Any) -> Tensor:
        """Scores [N,K] in [0, 1]; the largest is the answer."""

    def logits(self, outputs: Any) -> Tensor:
        """[N,K] values that an explanation differentiates: larger for a class that the outputs speak for.

        Here they are the logarithms of the scores, whose gradients fade where the network is sure.
        """
        return self.decode(outputs).clamp(min=1e-12).log()

    def answers(self, network: nn.Module, batch: Batch) -> list[Label]:
        """N labels with the scores of all classes."""
        rows = self.decode(network(batch.images)).detach().float().cpu().numpy()  # [N, K]
        names = tuple(str(k) for k in range(rows.shape[1]))
        return [Label(names, int(row.argmax()), row) for row in rows]
