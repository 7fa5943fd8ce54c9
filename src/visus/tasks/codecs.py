"""Codecs for networks without a codec: plain logits of an image, and plain logits of each pixel.

Letters: N images, K classes, H x W pixels of the batch, H' x W' of the network's outputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visus.answers.maps import MapReader
from visus.answers.tiles import Rectangle, View
from visus.errors import RecipeError, ShapeError, TaskMismatchError
from visus.losses.class_weights import balanced_weights, count_classes
from visus.losses.cross_entropy import cross_entropy
from visus.models.codecs import SoftmaxClassifierCodec, arrays_of
from visus.models.protocols import Codec, Output
from visus.structures import Batch
from visus.tasks.mirroring import network_output, seen
from visus.tasks.options import LossOptions

C = TypeVar("C", bound=Codec)


def own_codec(network: nn.Module, task: str) -> Codec:
    """Returns the codec of a network.

    Raises:
        TaskMismatchError: if the network has no codec.
    """
    codec = getattr(network, "codec", None)
    if codec is None:
        raise TaskMismatchError(
            f"{type(network).__name__} has no codec, so its outputs cannot be read as {task}",
            expected=f"a network for {task}",
            got="a network without a codec",
            remedy=f"visus models --task {task} lists the networks",
        )
    return cast(Codec, codec)


def codec_or_plain(network: nn.Module, plain: C, loss: LossOptions) -> C:
    """Returns the codec of a network, or ``plain`` if the network has none.

    Raises:
        RecipeError: if the network has a codec, and ``loss`` changes options of the plain codec's loss.
    """
    codec = getattr(network, "codec", None)
    if codec is None:
        return plain
    changed = loss.changed()
    if changed:
        name = changed[0]
        raise RecipeError(
            f"{type(network).__name__} has its own loss, which loss.{name} does not change",
            expected=f"loss.{name} left at {getattr(LossOptions(), name)}",
            got=str(getattr(loss, name)),
            remedy=f"leave loss.{name} out, or choose a network with one logit a class",
        )
    return cast(C, codec)


class LogitsCodec(SoftmaxClassifierCodec):
    """Softmax cross-entropy on logits [N,K], also of auxiliary heads (:class:`~visus.models.protocols.Output`).

    Args:
        classes: K.
        loss: ``label_smoothing`` and ``class_weights`` are read.
        frequencies: [K] share or count of each class in the training images, for ``class_weights`` "balanced"; None:
            they are counted in every batch anew.
    """

    def __init__(self, classes: int, loss: LossOptions, frequencies: Any = None) -> None:
        super().__init__()
        self.classes = classes
        self._loss = loss
        self._frequencies = frequencies

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """ "cross_entropy", and "auxiliary" with the network's own weight for each auxiliary head.

        The id -100 does not count; without others the terms are 0.

        Raises:
            ShapeError: if the network was built for another number of classes.
        """
        output = output_of(network(batch.images))
        targets = self.encode(batch.targets, batch.images.device)
        return with_auxiliary(network, output, lambda logits: {"cross_entropy": self._cross_entropy(logits, targets)})

    def terms(self, outputs: Any, encoded: Tensor) -> dict[str, Tensor]:
        """ "cross_entropy" of the output alone."""
        return {"cross_entropy": self._cross_entropy(output_of(outputs).logits, encoded)}

    def logits(self, outputs: Any) -> Tensor:
        """Returns the network's logits [N,K].

        Raises:
            ShapeError: if there are not K logits for each image.
        """
        return class_logits(outputs, self.classes)

    def _cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        weights = None
        if self._loss.class_weights != "none":
            counted = count_classes(targets, self.classes) if self._frequencies is None else self._frequencies
            weights = balanced_weights(counted)
        smoothing = self._loss.label_smoothing
        return cross_entropy(self.logits(logits), targets, class_weights=weights, label_smoothing=smoothing)


class PixelCodec(ABC):
    """The base codec of K logits for each pixel; subclasses say what the logits mean.

    Each pixel of the batch is trained and predicted. Networks that restrict their input's size, or lose pixels at the
    border, see the image with mirrored borders (:mod:`visus.tasks.mirroring`).

    Args:
        classes: names of the K classes.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes

    @abstractmethod
    def terms(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Returns the loss terms of one head. logits: [N,K,H,W]; targets: as the task collates them."""

    @abstractmethod
    def reader(self, network: nn.Module) -> MapReader:
        """Returns what reads the logits."""

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Returns the terms of the logits, and "auxiliary": those of the auxiliary heads by the network's weights.

        All terms are 0 if all pixels are ignored.

        Raises:
            ShapeError: if the network does not return K logits for each pixel.
        """
        output = network_output(network, batch.images, _whole(batch.images))
        return with_auxiliary(network, output, lambda logits: self.terms(self.logits(logits), batch.targets))

    def answers(self, network: nn.Module, batch: Batch) -> list[Any]:
        """Returns one map for each image, as large as the images; see :class:`~visus.answers.maps.MapReader`."""
        size = (batch.images.shape[2], batch.images.shape[3])

        def look(what: View) -> dict[str, NDArray[np.float32]]:
            return arrays_of(self.named_outputs(network(seen(batch.images, what))))

        reader = self.reader(network)
        return reader.gathered(look, len(batch), size, reader.rule)

    def named_outputs(self, outputs: Any) -> dict[str, Tensor]:
        """ "logits" [N,K,H',W']."""
        return {"logits": self.logits(outputs)}

    def logits(self, outputs: Any) -> Tensor:
        """Returns the logits [N,K,H',W'] of raw outputs, without those of auxiliary heads.

        Raises:
            ShapeError: if there are not K of them a pixel.
        """
        logits = output_of(outputs).logits
        if logits.ndim != 4 or logits.shape[1] != len(self.classes):
            raise ShapeError(
                "a segmentation network must return one logit for each pixel and class",
                expected=f"[N, {len(self.classes)}, H, W]",
                got=str(list(logits.shape)),
                remedy=f"build the network with classes={len(self.classes)}",
            )
        return logits


def aligned(logits: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Crops logits [N,K,H',W'] and values [...,H,W] to the same pixels.

    Outputs larger than the values come from a fitted batch (see ``mirroring.fitted``), with mirrored pixels at the
    right and at the bottom; smaller ones are the centre of the values.
    """
    for axis in (-2, -1):
        answered, asked = logits.shape[axis], values.shape[axis]
        values = values.narrow(axis, max(asked - answered, 0) // 2, min(asked, answered))
        logits = logits.narrow(axis, 0, values.shape[axis])
    return logits, values


def class_logits(outputs: Any, classes: int) -> Tensor:
    """Returns the logits [N,K] of raw outputs, without those of auxiliary heads.

    Raises:
        ShapeError: if there are not K logits for each image.
    """
    logits = output_of(outputs).logits
    if logits.ndim != 2 or logits.shape[1] != classes:
        raise ShapeError(
            "a classifier must return one value for each image and class",
            expected=f"[N, {classes}]",
            got=str(list(logits.shape)),
            remedy=f"build the network with classes={classes}",
        )
    return logits


def output_of(outputs: Any) -> Output:
    """The logits and auxiliary logits of raw outputs."""
    return outputs if isinstance(outputs, Output) else Output(outputs)


def with_auxiliary(
    network: nn.Module, output: Output, terms_of: Callable[[Tensor], Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """Returns the terms of the logits, and "auxiliary": those of the auxiliary heads, weighted by the network."""
    terms = dict(terms_of(output.logits))
    if output.auxiliary:
        shares = cast("tuple[float, ...]", network.auxiliary_weights)
        sums = [_sum(terms_of(logits)) for logits in output.auxiliary]
        terms["auxiliary"] = torch.stack([w * loss for w, loss in zip(shares, sums, strict=True)]).sum()
    return terms


def _sum(terms: Mapping[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()


def _whole(images: Tensor) -> Rectangle:
    return Rectangle(0, 0, images.shape[2], images.shape[3])
