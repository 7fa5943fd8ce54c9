"""VGG of 11, 13, 16 and 19 layers: configurations A, A-LRN, B, C, D and E.

Simonyan, Zisserman: Very deep convolutional networks for large-scale image recognition, ICLR 2015 (arXiv:1409.1556),
table 1.

Editions. ``paper``: images larger than 224x224 are seen densely, as in section 3.2: the dense layers slide over the
last map and the class scores are averaged. ``torchvision`` (A, B, D, E): the last map of any image is pooled to 7x7
before the dense layers. At 224x224 both are the same function. The parameters have torchvision's names.

Beginnings (section 3.1). The paper trained A first, and let each deeper network begin with A's first four convolutions
and its dense layers: :func:`grow_from`, or an A's file given as weights. All other values it drew from a normal
distribution of variance 0.01, with biases of 0: ``initialisation="normal"``. That is the printed variance, and large
for many layers: in a fresh A, pixels of deviation 60 become logits of about 10^8 (measured once). The paper found later
that the values of Glorot and Bengio need no smaller network first; they are the default, in growing too.

Letters: N images, C input channels, K classes, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from visus.errors import ShapeError, WeightsError
from visus.layers.response_normalization import ResponseNormalization

LargerImages = Literal["dense", "pooled"]
Initialisation = Literal["glorot", "normal"]
Configuration = Literal["A", "A-LRN", "B", "C", "D", "E"]

WIDTHS = (64, 128, 256, 512, 512)  # table 1: maps of the five stages
KERNELS: Mapping[Configuration, tuple[tuple[int, ...], ...]] = {  # table 1: kernels of each stage's convolutions
    "A": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "A-LRN": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "B": ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3)),
    "C": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),
    "D": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "E": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
}
FIRST_FOUR = ((0, 0), (1, 0), (2, 0), (2, 1))  # A's first four convolutions: stage and index in it
DENSE = ("classifier.0", "classifier.3", "classifier.6")
DEVIATION = 0.1  # section 3.1: a variance of 0.01


class ConvolutionalStages(nn.Sequential):
    """The convolutions, with a 2x2 max pooling between the stages.

    [N,C,H,W] -> {stride: map}: the last map of each stage, [N,64,H,W] to [N,512,H/16,W/16].
    """

    def __init__(self, configuration: Configuration, in_channels: int) -> None:
        super().__init__()
        for stage, (width, kernels) in enumerate(zip(WIDTHS, KERNELS[configuration], strict=True)):
            if stage > 0:
                self.append(nn.MaxPool2d(2))
            for kernel in kernels:
                self.append(nn.Conv2d(in_channels, width, kernel, padding=kernel // 2))
                self.append(nn.ReLU(inplace=True))
                in_channels = width
            if stage == 0 and configuration == "A-LRN":
                self.append(ResponseNormalization())  # section 2.3: with the constants of Krizhevsky et al.

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        check_size(x, 16)
        maps: dict[int, Tensor] = {}
        for layer in self:
            if isinstance(layer, nn.MaxPool2d):
                maps[2 ** len(maps)] = x
            x = layer(x)
        maps[2 ** len(maps)] = x
        return maps


class VGG(nn.Module):
    """A VGG network. [N,C,H,W] -> [N,K] logits.

    Args:
        configuration: the column of table 1.
        classes: K.
        in_channels: C.
        larger_images: "dense": slide the dense layers and average (H, W >= 224); "pooled": pool the last map to 7x7
            (H, W >= 32).
        dropout: share of the values after each of the first two dense layers that is dropped in training.
        initialisation: "glorot" or "normal", see above.
    """

    channels: Mapping[int, int] = {1: 64, 2: 128, 4: 256, 8: 512, 16: 512}
    head: tuple[str, ...] = ("classifier.6",)
    classifier_modules: tuple[str, ...] = ("pool5", "avgpool", "classifier")

    def __init__(
        self,
        configuration: Configuration,
        classes: int,
        in_channels: int,
        larger_images: LargerImages,
        dropout: float,
        initialisation: Initialisation,
    ) -> None:
        super().__init__()
        self.configuration: Configuration = configuration
        self.initialisation: Initialisation = initialisation
        self.smallest_side = 224 if larger_images == "dense" else 32
        self.features = ConvolutionalStages(configuration, in_channels)
        self.pool5 = nn.MaxPool2d(2)
        self.avgpool = nn.Identity() if larger_images == "dense" else nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),  # fc6
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),  # fc7
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, classes),  # fc8
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                draw(layer.weight, initialisation)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.avgpool(self.pool5(features[16]))  # [N, 512, h, w], 7x7 at 224x224
        x = x.unfold(2, 7, 1).unfold(3, 7, 1)  # [N, 512, h - 6, w - 6, 7, 7]
        x = x.permute(0, 2, 3, 1, 4, 5).flatten(3)  # [N, h - 6, w - 6, 25088]
        return torch.mean(self.classifier(x), (1, 2))  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        check_size(images, self.smallest_side)
        return self.from_features(self.features(images), images.shape[-2:])

    def initial_state_from(self, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], frozenset[str]] | None:
        """The first values of this network, from those of a trained A (section 3.1).

        "The first four convolutional layers" are A's; each goes to the layer of the same index in the same stage, which
        are the only ones of their shapes. All other weights are drawn as this network's ``initialisation`` says, with
        biases of 0; so is a last dense layer for other classes.

        Args:
            state: of a configuration A, by the names that the parameters have here.

        Returns:
            All values by name, and the names of those that were drawn from torch's global generator; None if ``state``
            is not that of an A, or this network is not deeper than A.
        """
        if not is_a(state) or self.configuration in ("A", "A-LRN"):
            return None
        theirs, ours = (dict(convolutions(name)) for name in ("A", self.configuration))
        source = {ours[position]: theirs[position] for position in FIRST_FOUR} | {name: name for name in DENSE}
        values: dict[str, Tensor] = {}
        drawn = set()
        for name, parameter in self.state_dict().items():
            layer, _, kind = name.rpartition(".")
            value = state[f"{source[layer]}.{kind}"] if layer in source else None
            if value is None or (layer in self.head and value.shape != parameter.shape):
                drawn.add(name)
                value = torch.zeros(parameter.shape)
                if kind == "weight":
                    draw(value, self.initialisation)
            values[name] = value
        return values, frozenset(drawn)


def draw(weight: Tensor, initialisation: Initialisation) -> None:
    """Fills ``weight`` with first values from torch's global generator."""
    if initialisation == "glorot":
        nn.init.xavier_uniform_(weight)
    else:
        nn.init.normal_(weight, 0, DEVIATION)


def convolutions(configuration: Configuration) -> Iterator[tuple[tuple[int, int], str]]:
    """((stage, index in it), name) of each convolution."""
    number = 0
    for stage, kernels in enumerate(KERNELS[configuration]):
        for index in range(len(kernels)):
            yield (stage, index), f"features.{number}"
            number += 2  # a convolution and its ReLU
        number += 2 if configuration == "A-LRN" and stage == 0 else 1  # the normalisation, the pooling


def is_a(state: Mapping[str, Tensor]) -> bool:
    """Whether ``state`` is that of a configuration A, of any number of channels and classes."""
    with torch.device("meta"):
        a = vgg11(classes=1, in_channels=1).state_dict()
    return state.keys() == a.keys() and all(
        state[name].shape[2:] == value.shape[2:] and (name.startswith(DENSE[-1]) or len(state[name]) == len(value))
        for name, value in a.items()
    )


def grow_from(network: VGG, state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Starts a deeper VGG with the first four convolutions and the dense layers of a trained A (section 3.1).

    Args:
        network: of configuration B, C, D or E, of as many channels as A.
        state: the ``state_dict`` of a trained A, such as ``vgg11`` or torchvision's.

    Returns:
        The names of the layers that were drawn as the network's ``initialisation`` says: all others, and the last one
        if the classes differ.

    Raises:
        WeightsError: if ``state`` is not that of an A of as many channels, or ``network`` is not deeper than A. The
            network is then unchanged.

    Example:
        >>> network = vgg13(classes=1000, in_channels=3, initialisation="normal")  # as section 3.1 prints it
        >>> drawn = grow_from(network, trained_vgg11.state_dict())
    """
    initial = network.initial_state_from(state)
    first = "features.0.weight"
    if initial is None or initial[0][first].shape != network.state_dict()[first].shape:
        raise WeightsError(
            "a deeper VGG grows from a trained configuration A",
            expected="a vgg13, vgg16_c, vgg16 or vgg19, and the state of a vgg11 of as many channels",
            got=f"configuration {network.configuration}, and {len(state)} values"
            + (f" such as {next(iter(state))} {list(next(iter(state.values())).shape)}" if state else ""),
            remedy="build the deeper network, or give the state of a vgg11",
        )
    values, drawn = initial
    network.load_state_dict(values)
    return tuple(name.removesuffix(".weight") for name in values if name in drawn and name.endswith(".weight"))


def check_size(images: Tensor, smallest: int) -> None:
    """Raises ShapeError if images [N,C,H,W] of this size are too small for the poolings or dense layers."""
    height, width = images.shape[-2:]
    if min(height, width) < smallest:
        raise ShapeError(
            "VGG cannot take images of this size",
            expected=f"{smallest}x{smallest} or more",
            got=f"{height}x{width}",
            remedy=f"resize the images to {max(height, smallest)}x{max(width, smallest)}",
        )


Share = Annotated[float, Field(ge=0, lt=1)]

# The options of each builder: ``larger_images``: how images larger than 224x224 are seen; ``dropout``: of the dense
# layers; ``initialisation``: Glorot and Bengio's, or section 3.1's normal distribution.


def vgg11(
    *,
    classes: int,
    in_channels: int,
    larger_images: LargerImages = "dense",
    dropout: Share = 0.5,
    initialisation: Initialisation = "glorot",
) -> nn.Module:
    """Configuration A, of 11 layers."""
    return VGG("A", classes, in_channels, larger_images, dropout, initialisation)


def vgg11_lrn(
    *,
    classes: int,
    in_channels: int,
    larger_images: LargerImages = "dense",
    dropout: Share = 0.5,
    initialisation: Initialisation = "glorot",
) -> nn.Module:
    """Configuration A-LRN: A with response normalisation after the first convolution."""
    return VGG("A-LRN", classes, in_channels, larger_images, dropout, initialisation)


def vgg13(
    *,
    classes: int,
    in_channels: int,
    larger_images: LargerImages = "dense",
    dropout: Share = 0.5,
    initialisation: Initialisation = "glorot",
) -> nn.Module:
    """Configuration B, of 13 layers."""
    return VGG("B", classes, in_channels, larger_images, dropout, initialisation)


def vgg16_c(
    *,
    classes: int,
    in_channels: int,
    larger_images: LargerImages = "dense",
    dropout: Share = 0.5,
    initialisation: Initialisation = "glorot",
) -> nn.Module:
    """Configuration C: 1x1 convolutions in place of D's third ones."""
    return VGG("C", classes, in_channels, larger_images, dropout, initialisation)


def vgg16(
    *,
    classes: int,
    in_channels: int,
    larger_images: LargerImages = "dense",
    dropout: Share = 0.5,
    initialisation: Initialisation = "glorot",
) -> nn.Module:
    """Configuration D, of 16 layers."""
    return VGG("D", classes, in_channels, larger_images, dropout, initialisation)


def vgg19(
    *,
    classes: int,
    in_channels: int,
    larger_images: LargerImages = "dense",
    dropout: Share = 0.5,
    initialisation: Initialisation = "glorot",
) -> nn.Module:
    """Configuration E, of 19 layers."""
    return VGG("E", classes, in_channels, larger_images, dropout, initialisation)
