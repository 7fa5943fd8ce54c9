"""The protocols of networks, backbones and codecs.

Shapes: N images, C channels, H x W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    # both load torchvision, which most networks need not
    from visus.ops.prediction_grid import PredictionGrid
    from visus.ops.suppression import Method
from visus.answers.reader import Reader
from visus.structures import Batch, Detections


class Output(NamedTuple):
    """The outputs of a classifier with auxiliary heads, in train and in eval mode.

    Such a network names its heads' modules in ``auxiliary_heads`` (a tuple of attribute names) and their shares of the
    loss in ``auxiliary_weights``. Its ``from_features`` gives no auxiliary logits, for they come from maps in between.

    Args:
        logits: [N,K].
        auxiliary: logits [N,K] of each auxiliary head in train mode; empty in eval mode.
    """

    logits: Tensor
    auxiliary: tuple[Tensor, ...] = ()


@runtime_checkable
class Network(Protocol):
    """A paper's network: images in, raw outputs out.

    ``head`` lists the prefixes of parameters whose shape depends on the number of classes, so that transfer knows what
    to leave behind.
    """

    head: tuple[str, ...]

    def __call__(self, images: Tensor) -> Any:
        """The raw outputs of [N,C,H,W]: logits [N,K], [N,K,h,w], an :class:`Output`, or what the codec reads."""


@runtime_checkable
class Backbone(Network, Protocol):
    """A network with feature maps, which other networks and Grad-CAM use.

    ``network(images) == network.from_features(network.features(images), (H, W))`` in train and eval mode, but for the
    auxiliary logits of an :class:`Output`. ``channels`` gives the channels of each map by its stride.
    """

    channels: Mapping[int, int]

    def features(self, images: Tensor) -> dict[int, Tensor]:
        """[N,C,H,W] -> {stride: [N,channels[stride],~H/stride,~W/stride]}, from fine to coarse.

        The images themselves are not among the maps.
        """

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Any:
        """The raw outputs from the maps. ``size``: (H, W) of the images, which outputs in pixels need."""


@runtime_checkable
class RegionNetwork(Protocol):
    """A detector that sees each region of an image by itself: its maps are those of regions, not of images."""

    def region_maps(self, images: Tensor, boxes: Sequence[Tensor]) -> dict[int, Tensor]:
        """[N,C,H,W] and N x [P_n,4] xyxy -> {stride: [R,D,h,w]}: the maps of all regions."""

    def from_region_maps(self, maps: dict[int, Tensor], boxes: Sequence[Tensor], size: Sequence[int]) -> Any:
        """The raw outputs from the maps of regions of images of a size (H, W)."""

    def placed(self, heat: Tensor, boxes: Tensor, size: Sequence[int]) -> Tensor:
        """[R,h,w] >= 0, of the maps of regions [R,4] of one image -> [H,W]: the largest value at each pixel."""


@runtime_checkable
class WarmStart(Protocol):
    """A network whose training may begin with the weights of a smaller network of its family."""

    def initial_state_from(self, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], frozenset[str]] | None:
        """The first values of this network, from those of a smaller one.

        Args:
            state: the ``state_dict`` of a trained network.

        Returns:
            All values by name, and the names of those that were drawn at random; None if ``state`` is not of a network
            that this one can begin with.
        """


class Codec(Protocol):
    """Computes the loss of one network and decodes its outputs; a task finds it as ``network.codec``.

    It is given the network itself, so that it may run it several times, in parts, or word by word. Most need one pass:
    see :mod:`visus.models.codecs`. A network of plain logits has none, and its task brings one.
    """

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Named scalar terms, in train and in eval mode; their sum is minimised. The batch's images are normalised."""

    def answers(self, network: nn.Module, batch: Batch) -> Sequence[Any]:
        """One value an image, in network pixels; the values name their classes by number."""


@runtime_checkable
class ReadableCodec(Codec, Protocol):
    """A codec whose answers are read from the outputs of one forward pass without torch.

    So the network can leave as a file that needs no torch: what computes it, reads it with the same reader.
    """

    def named_outputs(self, outputs: Any) -> dict[str, Tensor]:
        """The raw outputs [N,...] that the reader needs, by name: those alone that depend on the images.

        No auxiliary heads, anchors, sizes or Python numbers.
        """

    def reader(self, network: nn.Module) -> Reader:
        """What reads them; plain data, which a file can keep."""


@runtime_checkable
class AnchoredCodec(Protocol):
    """The codec of a detector with a grid of predictors: it says where they are, and which object each one learns.

    ``assigns`` says what objects are assigned to, and thus how the network explains what it learns; detectors with two
    stages say "regions". ``overlap``, ``keep`` and ``suppression`` are the settings of non-maximum suppression; see
    :mod:`visus.ops.suppression`.
    """

    assigns: Literal["predictors"]
    overlap: float
    keep: int
    suppression: Method

    def encode(self, targets: Any, device: torch.device) -> Sequence[Any]:
        """The objects of each image; those without area are left out."""

    def decode(self, outputs: Any) -> list[Detections]:
        """The answers, in network pixels."""

    def prediction_grid(self, outputs: Any) -> PredictionGrid:
        """The boxes and cells of the A predictors of an input."""

    def assign(self, outputs: Any, encoded: Sequence[Any]) -> Tensor:
        """[N,A] int64: the object that each predictor is to learn, -1 (background) or -2 (does not count).

        The losses of these codecs read nothing else to know who learns what.
        """
