"""Base classes of codecs that need only one forward pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visus.answers.classification import ScoresReader, SoftmaxReader
from visus.answers.reader import Reader
from visus.structures import Batch


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


class ReaderCodec(OnePassCodec):
    """A codec whose answers a torch-free :class:`~visus.answers.reader.Reader` reads from named raw outputs.

    Thus PyTorch and the engines that run an exported network answer by the same lines.
    """

    @abstractmethod
    def named_outputs(self, outputs: Any) -> dict[str, Tensor]:
        """The raw outputs [N,...] that the reader needs, by name: those alone that depend on the images."""

    @abstractmethod
    def reader(self, network: nn.Module) -> Reader:
        """What reads them."""

    def answers(self, network: nn.Module, batch: Batch) -> list[Any]:
        """One value an image, as the reader reads it."""
        outputs = arrays_of(self.named_outputs(network(batch.images)))
        return self.reader(network).read(outputs, (batch.images.shape[2], batch.images.shape[3]))


class ClassifierCodec(ReaderCodec):
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

    def named_outputs(self, outputs: Any) -> dict[str, Tensor]:
        """ "scores" [N,K], as :meth:`decode` gives them."""
        return {"scores": self.decode(outputs)}

    def reader(self, network: nn.Module) -> Reader:
        """Takes the scores as they are."""
        return ScoresReader()


class SoftmaxClassifierCodec(ClassifierCodec):
    """The codec of a classifier whose scores are the softmax of one value a class.

    Args:
        name: what these values are, as the name of the network's output.
        sign: 1 if larger values speak for a class, -1 if they speak against it.
    """

    def __init__(self, name: str = "logits", *, sign: Literal[1, -1] = 1) -> None:
        self._reader = SoftmaxReader(name, sign)

    @abstractmethod
    def logits(self, outputs: Any) -> Tensor:
        """[N,K] values, larger for a class that the outputs speak for; their softmax are the scores."""

    def decode(self, outputs: Any) -> Tensor:
        """Scores [N,K]: the softmax of :meth:`logits`."""
        named = self.named_outputs(outputs)
        return torch.from_numpy(self._reader.scores(arrays_of(named))).to(named[self._reader.name].device)

    def named_outputs(self, outputs: Any) -> dict[str, Tensor]:
        """The values [N,K] as the network gives them."""
        logits = self.logits(outputs)
        return {self._reader.name: logits if self._reader.sign > 0 else -logits}

    def reader(self, network: nn.Module) -> SoftmaxReader:
        """The softmax."""
        return self._reader


def arrays_of(outputs: Mapping[str, Tensor]) -> dict[str, NDArray[np.float32]]:
    """Raw outputs as float32 arrays in memory, without their history."""
    return {name: tensor.detach().float().cpu().numpy() for name, tensor in outputs.items()}
