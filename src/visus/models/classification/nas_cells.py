"""The cells and networks that NASNet, PNASNet and AmoebaNet share.

Zoph, Vasudevan, Shlens, Le: Learning transferable architectures for scalable image recognition, CVPR 2018
(arXiv:1707.07012), section 3 and figures 2 and 4; details as in the authors' released code (tensorflow/models, slim's
nasnet.py and nasnet_utils.py).

A cell takes the outputs of the two cells before it, brings both to its width F by 1x1 convolutions (the earlier one,
where it is twice as large, by two strided ones that see different pixels), and combines pairs of hidden states five
times by adding what an operation makes of each. Hidden state 0 is the cell before, 1 the one before that, 2 to 6 are
the sums; the cell's output is some of them, one behind the other.

TensorFlow's SAME padding throughout, but none in the first convolution. BatchNorm's epsilon is that of the released
code; its decay of 0.9997 is not: torch's own momentum of 0.1 is here, which short trainings need.

Letters: N images, C input channels, K classes, H x W pixels, F = width of a cell, s = stride.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from visus.errors import ShapeError
from visus.layers.drop_path import ScheduledDropPath
from visus.layers.same_padding import SameAvgPool2d, SameConv2d, SameMaxPool2d
from visus.models.protocols import Output

Operation = Literal["sep3", "sep5", "sep7", "avg3", "max3", "identity", "1x7_7x1"]
Term = tuple[Operation, int]
"""(operation, the hidden state that it sees)."""


class CellPlan(NamedTuple):
    """A cell: its five pairs of terms, and the hidden states that are its output."""

    pairs: tuple[tuple[Term, Term], ...]
    outputs: tuple[int, ...]


def normalised(in_channels: int, width: int, *, stride: int = 1) -> nn.Sequential:
    """ReLU, a 1x1 convolution, BatchNorm. [N,C,H,W] -> [N,F,H/s,W/s]."""
    return nn.Sequential(
        nn.ReLU(), nn.Conv2d(in_channels, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width, eps=0.001)
    )


def separable(in_channels: int, width: int, kernel: int, *, stride: int) -> nn.Sequential:
    """ReLU, a separable convolution, BatchNorm, twice; the first one strides. [N,C,H,W] -> [N,F,H/s,W/s]."""
    layers: list[nn.Module] = []
    for channels, step in ((in_channels, stride), (width, 1)):
        layers += [
            nn.ReLU(),
            SameConv2d(channels, channels, kernel, stride=step, groups=channels, bias=False),
            nn.Conv2d(channels, width, 1, bias=False),
            nn.BatchNorm2d(width, eps=0.001),
        ]
    return nn.Sequential(*layers)


def factored_7x7(in_channels: int, width: int, *, stride: int) -> nn.Sequential:
    """A 1x7 and a 7x1 convolution between two 1x1 ones, on a quarter of the width. [N,C,H,W] -> [N,F,H/s,W/s]."""
    narrow = width // 4
    return nn.Sequential(
        *normalised(in_channels, narrow),
        nn.ReLU(inplace=True),
        SameConv2d(narrow, narrow, (1, 7), stride=(1, stride), bias=False),
        nn.BatchNorm2d(narrow, eps=0.001),
        nn.ReLU(inplace=True),
        SameConv2d(narrow, narrow, (7, 1), stride=(stride, 1), bias=False),
        nn.BatchNorm2d(narrow, eps=0.001),
        *normalised(narrow, width),
    )


def operation(name: Operation, in_channels: int, width: int, stride: int, drop: float) -> nn.Module:
    """An operation of a cell. [N,C,H,W] -> [N,F,H/s,W/s]."""
    if name == "identity":
        is_plain = stride == 1 and in_channels == width
        return nn.Identity() if is_plain else normalised(in_channels, width, stride=stride)
    layers: nn.Sequential
    if name == "1x7_7x1":
        layers = factored_7x7(in_channels, width, stride=stride)
    elif name in ("avg3", "max3"):
        layers = nn.Sequential((SameAvgPool2d if name == "avg3" else SameMaxPool2d)(3, stride=stride))
        if in_channels != width:
            layers.extend(normalised(in_channels, width)[1:])
    else:
        layers = separable(in_channels, width, int(name[-1]), stride=stride)
    return layers.append(ScheduledDropPath(drop)) if drop else layers


class FactorizedReduction(nn.Module):
    """Two 1x1 convolutions of stride 2, the second of the map moved by one pixel, so that no diagonal is lost.

    [N,C,H,W] -> [N,F,H/2,W/2].
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.even = nn.Conv2d(in_channels, width // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(in_channels, width - width // 2, 1, stride=2, bias=False)  # the larger half
        self.bn = nn.BatchNorm2d(width, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        moved = nn.functional.pad(x, (-1, 1, -1, 1))  # zeros come in at the right and below
        return self.bn(torch.cat((self.even(x), self.odd(moved)), 1))


class Cell(nn.Module):
    """A cell (figure 2). [N,C,H,W] and the map before -> [N,outputs*F,H/s,W/s].

    Args:
        plan: the operations.
        channels: of the cell before.
        previous: brings the one before that to this cell's size.
        previous_width: its channels then.
        width: F.
        stride: of the operations on hidden states 0 and 1.
        drop: the probability with which an operation's output is left out at the end of the training.
    """

    def __init__(
        self,
        plan: CellPlan,
        channels: int,
        previous: nn.Module,
        previous_width: int,
        *,
        width: int,
        stride: int,
        drop: float,
    ) -> None:
        super().__init__()
        self.plan = plan
        self.current = normalised(channels, width)
        self.previous = previous
        widths = (width, previous_width)

        def term(name: Operation, state: int) -> nn.Module:
            is_input = state < 2
            return operation(name, widths[state] if is_input else width, width, stride if is_input else 1, drop)

        self.pairs = nn.ModuleList(nn.ModuleList(term(*t) for t in pair) for pair in plan.pairs)

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        states = [self.current(current), self.previous(previous)]
        for terms, ((_, i), (_, j)) in zip(self.pairs, self.plan.pairs, strict=True):
            left, right = cast("nn.ModuleList", terms)
            states.append(left(states[i]) + right(states[j]))
        return torch.cat([states[k] for k in self.plan.outputs], 1)


class CellNetworkAuxiliaryHead(nn.Module):
    """A classifier on the last map of stride 16. [N,C,H,W] -> [N,K] logits.

    Means over 5x5 at stride 3 give side x side positions of a map of the paper's size, for which the last convolution
    is made; of other sizes, which the papers do not have, as many even windows do.
    """

    def __init__(self, in_channels: int, classes: int, *, side: int, scale: float) -> None:
        super().__init__()
        projected, wide = int(128 * scale), int(768 * scale)
        self.side = side
        self.relu = nn.ReLU()
        self.proj = nn.Conv2d(in_channels, projected, 1, bias=False)
        self.bn0 = nn.BatchNorm2d(projected, eps=0.001)
        self.conv = nn.Conv2d(projected, wide, side, bias=False)
        self.bn1 = nn.BatchNorm2d(wide, eps=0.001)
        self.fc = nn.Linear(wide, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        if all((pixels - 5) // 3 + 1 == self.side for pixels in x.shape[-2:]):
            x = nn.functional.avg_pool2d(x, 5, stride=3)
        else:
            x = nn.functional.adaptive_avg_pool2d(x, self.side)
        x = self.relu(self.bn0(self.proj(x)))  # [N, 128, side, side]
        x = self.relu(self.bn1(self.conv(x))).flatten(1)  # [N, 768]
        return self.fc(x)  # [N, K]


class CellSettings(NamedTuple):
    """One cell of figure 2.

    Args:
        width: F, the channels of its operations.
        reduces: whether it halves the map.
        back: which output it sees beside the last one: 2, the one before the last; 3, the one before that; 1, the last
            itself.
    """

    width: int
    reduces: bool
    back: int


def figure_2(width: int, cells: int, *, starts_stacks: bool, looks_past: bool) -> list[CellSettings]:
    """The cells of the network from the images on; arguments as of :class:`CellNetwork`.

    Two reducing cells of the stem (F/4 and F/2), N cells (F), a reducing cell and N cells (2 F), and the same again
    (4 F). Where a stack starts with its reduction, the reducing cell is the first of the N.
    """
    settings = [CellSettings(width // 4, True, 1), CellSettings(width // 2, True, 2)]
    settings += [CellSettings(width, False, 2)] * cells
    for f in (2 * width, 4 * width):
        settings.append(CellSettings(f, True, 2))
        if not starts_stacks:
            settings.append(CellSettings(f, False, 3 if looks_past else 2))
        settings += [CellSettings(f, False, 2)] * (cells - 1)
    return settings


def earlier_input(channels: Sequence[int], strides: Sequence[int], *, back: int, width: int) -> tuple[nn.Module, int]:
    """The layer that resizes a cell's second input to the size of its first; and the channels after it.

    Args:
        channels, strides: of all outputs so far.
        back: which of them it is, counted from the end.
        width: the cell's channels, F.
    """
    if back == 1:  # the first cell takes its one input as it is for the other
        return nn.Identity(), channels[-1]
    if strides[-back] != strides[-1]:
        return FactorizedReduction(channels[-back], width), width
    return normalised(channels[-back], width), width


class CellNetwork(nn.Module):
    """A convolution, two reducing cells, and three stacks of cells with a reduction between them (figure 2).

    [N,C,H,W] -> logits [N,K], in training with those of the auxiliary head; H, W >= 3.

    Args:
        normal: the plan of the cells that keep the size.
        reduction: of those that halve it.
        stem: channels of the first convolution.
        width: F of the first stack; it doubles at each reduction, and the two stem cells have a quarter and a half.
        cells: of each stack: N.
        starts_stacks: whether a stack's first cell reduces, as PNASNet's; else a reducing cell stands before it.
        looks_past: whether the first cell after a reducing one sees, as the cell before the one before it, that which
            the reducing cell saw (slim's ``skip_reduction_layer_input``).
        drop: the probability with which the last cell leaves out an operation's output at the end of the training.
        drop_grows: whether it grows linearly from cell to cell, as NASNet's; else it is the same in all.
        classes: K.
        in_channels: C.
        dropout: share of the pooled values that is dropped in training.
        auxiliary_side: of the auxiliary head's map.
        auxiliary_scale: of the auxiliary head's widths.
    """

    head: tuple[str, ...] = ("classifier", "auxiliary.fc")
    classifier_modules: tuple[str, ...] = ("relu", "avgpool", "dropout", "classifier", "auxiliary")
    auxiliary_heads: tuple[str, ...] = ("auxiliary",)
    auxiliary_weights: tuple[float, ...] = (0.4,)  # the released code; Real et al. 2019, methods details

    def __init__(
        self,
        normal: CellPlan,
        reduction: CellPlan,
        *,
        stem: int,
        width: int,
        cells: int,
        starts_stacks: bool = False,
        looks_past: bool,
        drop: float,
        drop_grows: bool = True,
        classes: int,
        in_channels: int,
        dropout: float,
        auxiliary_side: int,
        auxiliary_scale: float = 1.0,
    ) -> None:
        super().__init__()
        settings = figure_2(width, cells, starts_stacks=starts_stacks, looks_past=looks_past)
        self.conv0 = nn.Sequential(
            nn.Conv2d(in_channels, stem, 3, stride=2, bias=False), nn.BatchNorm2d(stem, eps=0.001)
        )
        self.cells = nn.ModuleList()
        self._backs = tuple(cell_settings.back for cell_settings in settings)
        channels, strides = [stem], [2]  # of the outputs so far: the first convolution's, then those of the cells
        for number, (f, reduces, back) in enumerate(settings, start=1):
            plan = reduction if reduces else normal
            stride = 2 if reduces else 1
            previous, previous_width = earlier_input(channels, strides, back=back, width=f)
            cell_drop = drop * number / len(settings) if drop_grows else drop
            self.cells.append(
                Cell(plan, channels[-1], previous, previous_width, width=f, stride=stride, drop=cell_drop)
            )
            channels.append(f * len(plan.outputs))
            strides.append(strides[-1] * stride)
        self._strides = tuple(strides)
        self.channels: Mapping[int, int] = dict(zip(strides, channels, strict=True))
        self.relu = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(channels[-1], classes)
        self.auxiliary = CellNetworkAuxiliaryHead(
            self.channels[16], classes, side=auxiliary_side, scale=auxiliary_scale
        )
        self._initialise()

    def _initialise(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                # contrib.layers.variance_scaling_initializer(mode="FAN_OUT"): a variance of 2 / fan-out after the cut.
                fan_out = math.prod(layer.weight.shape[2:]) * layer.weight.shape[0] // getattr(layer, "groups", 1)
                deviation = math.sqrt(1.3 * 2 / fan_out)
                nn.init.trunc_normal_(layer.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
            if isinstance(layer, nn.Linear):
                nn.init.zeros_(layer.bias)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_size(images, normalises=self.conv0[1].training)
        outputs = [self.conv0(images)]  # [N, stem, H/2, W/2]
        for cell, back in zip(self.cells, self._backs, strict=True):
            outputs.append(cell(outputs[-1], outputs[-back]))
        return dict(zip(self._strides, outputs, strict=True))  # the last map of each stride stays

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Output:
        x = self.avgpool(self.relu(features[32])).flatten(1)  # [N, channels[32]]
        return Output(self.classifier(self.dropout(x)))  # [N, K]

    def forward(self, images: Tensor) -> Output:
        if self.auxiliary.bn1.training and len(images) == 1:
            raise ShapeError(
                "BatchNorm needs more than one value a channel in training, which is what the auxiliary head has",
                expected="two images or more",
                got=f"one image of {images.shape[-2]}x{images.shape[-1]}",
                remedy="use larger batches",
            )
        features = self.features(images)
        answer = self.from_features(features, images.shape[-2:])
        if not self.training:
            return answer
        return Output(answer.logits, (self.auxiliary(features[16]),))


def check_size(images: Tensor, *, normalises: bool) -> None:
    """Raises ShapeError if the first convolution leaves nothing, or BatchNorm has a single value to learn from."""
    height, width = images.shape[-2:]
    if min(height, width) < 3:
        raise ShapeError(
            "the first convolution leaves nothing of images of this size",
            expected="3x3 or more",
            got=f"{height}x{width}",
            remedy=f"resize the images to {max(height, 3)}x{max(width, 3)}",
        )
    if normalises and len(images) == 1 and max(height, width) <= 34:
        raise ShapeError(
            "BatchNorm needs more than one value a channel in training",
            expected="two images or more, or images of more than 34 pixels",
            got=f"one image of {height}x{width}",
            remedy="use larger images or batches",
        )
