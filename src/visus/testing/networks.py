"""The battery for networks: what every network must be and do, whichever paper it is from.

What is about shapes alone is asked of a network on torch's meta device, which computes nothing; what is about values,
of a network at a small input.

Letters: N images, C channels, H x W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from visus.analysis.meta_shapes import ShapesAlone
from visus.analysis.summary import summarize
from visus.engine.freezing import Freezing
from visus.errors import ShapeError
from visus.layers.drop_path import DropPath, SurvivalGate
from visus.models.building import build, load_builder
from visus.models.card import Card
from visus.models.protocols import Backbone, Network, Output
from visus.testing.cheap_values import CheapValues
from visus.testing.conformance import require

Size = tuple[int, int, int]

OTHER_SIZES = ((33, 47), (96, 64), (7, 7), (1, 1))
"""(height, width) that a network takes, or refuses with a reason."""


@dataclass
class NetworkCase:
    """A card, its network with values and as shapes, and an input small for it.

    Args:
        card: under test.
    """

    card: Card

    @cached_property
    def network(self) -> Any:
        """The network with random values, at the card's own classes."""
        torch.manual_seed(0)
        with CheapValues():
            network = build(self.card)
        _settle(network, self.images(2, seed=2))
        return network

    @cached_property
    def shapes(self) -> Any:
        """The network on the meta device, in eval mode."""
        return shapeless(self.card)

    @cached_property
    def size(self) -> Size:
        """(C, H, W): the smallest of a few sizes that the network takes; the card's own if that is small."""
        return small_input(self.card, self.shapes)

    @cached_property
    def output_shapes(self) -> list[torch.Size]:
        """Of the outputs for two images."""
        return shapes_of(self.shapes, (2, *self.size))

    def images(self, count: int, seed: int = 0) -> Tensor:
        """[count,C,H,W] uniform in [0, 1)."""
        return torch.rand(count, *self.size, generator=torch.Generator().manual_seed(seed))

    @cached_property
    def answered(self) -> tuple[Any, Tensor]:
        """The outputs in eval mode for ``images(2)``, and these images as the network left them."""
        images = self.images(2)
        with torch.no_grad():
            return self.network.eval()(images), images

    @property
    def outputs(self) -> Any:
        """The outputs in eval mode for ``images(2)``; no check changes the weights or the statistics."""
        return self.answered[0]

    @cached_property
    def maps(self) -> dict[int, Tensor]:
        """The maps in eval mode for ``images(2)``; of a backbone."""
        with torch.no_grad():
            maps: dict[int, Tensor] = self.network.eval().features(self.images(2))
        return maps


def shapeless(card: Card, **choices: Any) -> Any:
    """A card's network on the meta device: shapes without values, in eval mode.

    Args:
        card: of the network.
        **choices: as for :func:`visus.models.building.build`.
    """
    with torch.device("meta"):
        return build(card, **choices).eval()


def small_input(card: Card, network: Any) -> Size:
    """(C, H, W): the smallest of a few sizes that a network on the meta device takes; else the card's own."""
    if hasattr(network, "fitting_size"):
        return (card.input[0], *network.fitting_size((64, 64)))
    for side in (64, 96, 128, 160):
        if side < card.input[1] and _takes(network, (card.input[0], side, side)):
            return card.input[0], side, side
    return card.input


def shapes_of(network: nn.Module, batch: tuple[int, ...]) -> list[torch.Size]:
    """The shapes of all output tensors of a network on the meta device. batch: (N, C, H, W)."""
    return [leaf.shape for leaf in output_tensors(_blank_outputs(network, batch))]


def _blank_outputs(network: nn.Module, batch: tuple[int, ...]) -> Any:
    """The outputs of a network on the meta device, without values."""
    with torch.no_grad(), ShapesAlone():  # type: ignore[no-untyped-call]
        return network(torch.empty(batch, device="meta"))


def output_tensors(output: Any) -> list[Tensor]:
    """All tensors of fractions in a network's outputs, in order."""
    return [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def _takes(network: nn.Module, size: Size) -> bool:
    try:
        _blank_outputs(network, (1, *size))
    except ShapeError:
        return False
    return True


def _settle(network: nn.Module, images: Tensor) -> None:
    """Gives the BatchNorms of a very deep network the statistics of a batch.

    With those that they begin with, mean 0 and variance 1, each residual block answers twice the variance that it was
    given, and after about 256 blocks that is more than float32 holds. Any other network keeps them: where maps are a
    pixel large, the variances of a small batch are no better.
    """
    norms = _norms(network)
    if len(norms) < 500:
        return
    with torch.no_grad():
        if all(bool(torch.isfinite(leaf).all()) for leaf in output_tensors(network.eval()(images[:1]))):
            return
        for norm in norms:
            norm.momentum = 1.0
        network.train()(images)
    for norm in norms:
        norm.momentum = 0.1


def _norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]


def _require_same(one: Any, other: Any, rule: str) -> None:
    pairs = list(zip(output_tensors(one), output_tensors(other), strict=True))
    require(pairs, "a network answers with tensors of fractions")
    for a, b in pairs:
        _require_close(a, b, rule)


def _require_close(a: Tensor, b: Tensor, rule: str) -> None:
    """Equal but for rounding: to 1e-4 of the largest value, which grows from layer to layer before any training."""
    largest = max(1.0, float(b.abs().max())) if b.numel() else 1.0
    try:
        torch.testing.assert_close(a, b, atol=1e-4 * largest, rtol=1e-4)
    except AssertionError as error:
        require(False, rule, got=str(error))


# --- shapes


def is_a_network_whose_builder_can_be_imported(case: NetworkCase) -> None:
    """The builder is found, and what it builds is a network."""
    require(callable(load_builder(case.card)), "the card names a function", got=case.card.builder)
    require(isinstance(case.shapes, Network), "the builder gives a Network: see visus.models.protocols")


def has_exactly_the_cards_parameters(case: NetworkCase) -> None:
    """As many trainable values as the card says."""
    count = sum(p.numel() for p in case.shapes.parameters() if p.requires_grad)
    require(count == case.card.parameters, f"the network has {case.card.parameters:,} parameters", got=f"{count:,}")


def has_exactly_the_cards_operations(case: NetworkCase) -> None:
    """As many multiply-accumulates as the card says, and every parameter belongs to a line of the summary."""
    summary = summarize(case.shapes, case.card.input)
    require(case.card.macs in (None, summary.macs), f"the network takes {case.card.macs} MACs", got=summary.macs)
    lines = sum(line.parameters for line in summary.lines)
    require(lines == summary.parameters, "the summary's lines hold all parameters", got=f"{lines:,}")


def has_preprocessing_that_makes_its_input(case: NetworkCase) -> None:
    """The card's preprocessing gives the channels and the size of the card's input."""
    preprocessing, card = case.card.preprocessing, case.card
    require(
        preprocessing.channels == card.input[0] == len(preprocessing.mean) == len(preprocessing.std),
        f"the preprocessing gives {card.input[0]} channels, each with its mean and deviation",
        got=f"{preprocessing.channels} channels",
    )
    require(preprocessing.size in (None, card.input[1:]), f"it gives {card.input[1:]} pixels", got=preprocessing.size)


def changes_only_its_head_for_other_classes(case: NetworkCase) -> None:
    """Another number of classes changes the shapes of the parameters that ``head`` lists, and no others."""
    if not case.card.classes:  # it names nothing
        return
    other = shapeless(case.card, classes=3)
    before, after = case.shapes.state_dict(), other.state_dict()
    require(before.keys() == after.keys(), "other classes leave the names of parameters as they are")
    heads = tuple(f"{name}." for name in case.shapes.head)
    changed = [name for name in before if before[name].shape != after[name].shape]
    require(changed, "other classes change a shape")
    strange = [name for name in changed if not name.startswith(heads)]
    require(not strange, "only parameters of the head depend on the classes", got=strange)
    empty = [head for head in heads if not any(name.startswith(head) for name in before)]
    require(not empty, "every entry of head names parameters", got=empty)
    theirs = shapes_of(other, (2, *case.size))
    require(any(a != b for a, b in zip(case.output_shapes, theirs, strict=True)), "the outputs depend on the classes")


def takes_grey_and_coloured_images(case: NetworkCase) -> None:
    """The network can be built for one channel and for three, with outputs of the same shapes."""
    for channels in sorted({1, 3} - {case.card.input[0]}):
        network = shapeless(case.card, in_channels=channels)
        shapes = shapes_of(network, (2, channels, *case.size[1:]))
        require(shapes == case.output_shapes, f"{channels} channels leave the outputs' shapes as they are", got=shapes)


def takes_other_sizes_or_names_the_next_that_fits(case: NetworkCase) -> None:
    """Any size is answered, or refused by a ShapeError that says what came and what to do."""
    for height, width in OTHER_SIZES:
        try:
            outputs = _blank_outputs(case.shapes, (2, case.card.input[0], height, width))
        except ShapeError as refusal:
            complete = refusal.expected and refusal.remedy and f"{height}x{width}" in refusal.got
            require(complete, f"the refusal of {height}x{width} says expected, got and remedy", got=str(refusal))
        else:
            filled = all(leaf.numel() for leaf in output_tensors(outputs))
            require(filled, f"the outputs for {height}x{width} pixels are not empty")


# --- values


def answers_finitely_and_leaves_the_images_alone(case: NetworkCase) -> None:
    """The outputs are finite, and the input is as it was before."""
    require(torch.equal(case.answered[1], case.images(2)), "a network leaves its input as it is")
    outputs = output_tensors(case.outputs)
    require(outputs and all(torch.isfinite(leaf).all() for leaf in outputs), "the outputs are finite")


def answers_from_its_maps(case: NetworkCase) -> None:
    """Of a backbone: ``forward(images) == from_features(features(images), size)``, with the maps of ``channels``."""
    case.network.eval()
    if not isinstance(case.network, Backbone):
        return
    images, maps = case.images(2), case.maps
    same = any(map_.shape == images.shape and torch.equal(map_, images) for map_ in maps.values())
    require(not same, "the images are not among the maps")
    with torch.no_grad():  # from copies, since a network may work in place on what it is given
        outputs = case.network.from_features({stride: map_.clone() for stride, map_ in maps.items()}, images.shape[-2:])
    _require_same(case.outputs, outputs, "the outputs follow from the maps")
    channels = {stride: map_.shape[1] for stride, map_ in maps.items()}
    require(channels == dict(case.network.channels), "features has the maps of channels", got=channels)
    require(list(maps) == sorted(maps), "features goes from fine to coarse", got=list(maps))
    border = 2 * getattr(case.network, "border", 0)
    for stride, map_ in maps.items():
        for side, pixels in zip(map_.shape[2:], case.size[1:], strict=True):
            fits = 1 <= side <= -(-(pixels + border) // stride)
            require(fits, f"the map of stride {stride} is at most {pixels} / {stride} pixels large", got=side)


def passes_gradients_to_every_parameter(case: NetworkCase) -> None:
    """Each parameter that learns has a gradient; the outputs are of one type in train and eval mode."""
    torch.manual_seed(1)
    network = case.network.train()
    for layer in network.modules():
        if isinstance(layer, DropPath | SurvivalGate):
            layer.eval()  # a path that is left out has no gradient
    network.zero_grad()
    with _away_from_zero(network), _same_statistics(network):
        # Two images cost twice as much, and only BatchNorm over maps of a pixel needs them.
        outputs = network(case.images(2 if _norms(network) else 1))
        kind = type(_blank_outputs(case.shapes, (1, *case.size)))  # in eval mode
        require(type(outputs) is kind, f"the outputs in train mode are a {kind.__name__}", got=type(outputs).__name__)
        if isinstance(outputs, Output):
            counts = len(outputs.auxiliary), len(network.auxiliary_heads), len(network.auxiliary_weights)
            require(len(set(counts)) == 1, "each auxiliary head has its outputs and its weight", got=counts)
        leaves = [leaf for leaf in output_tensors(outputs) if leaf.requires_grad]
        total = torch.stack([(leaf * torch.randn_like(leaf)).sum() for leaf in leaves]).sum()
        torch.autograd.backward(total)
        learning = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
        silent = [name for name, p in learning if p.grad is None or not p.grad.any()]
        network.zero_grad()
    require(not silent, "gradients reach every parameter", got=silent)


@contextmanager
def _away_from_zero(network: nn.Module) -> Iterator[None]:
    """Small values for kernels that begin at zero, such as FCN's scores: until they learn, nothing passes them."""
    zeros = [p for p in network.parameters() if p.requires_grad and p.ndim > 1 and not p.any()]
    with torch.no_grad():
        for parameter in zeros:
            nn.init.normal_(parameter, 0, 0.01)
    try:
        yield
    finally:
        for parameter in zeros:
            nn.init.zeros_(parameter)


@contextmanager
def _same_statistics(network: nn.Module, of_heads: tuple[str, ...] = ("",)) -> Iterator[None]:
    """BatchNorms whose names begin with ``of_heads`` (all) normalise by their batch and keep their statistics."""
    named = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.BatchNorm2d)]
    norms = [(layer, layer.momentum) for name, layer in named if f"{name}.".startswith(of_heads)]
    for norm, _ in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in norms:
            norm.momentum = momentum


def answers_an_image_alike_whatever_its_batch_mates(case: NetworkCase) -> None:
    """In eval mode, the maps of an image do not depend on the other images of its batch."""
    network = case.network.eval()
    answers = network.features if isinstance(network, Backbone) else network
    images = case.images(2)
    if len(_norms(network)) > 100:  # rounding grows from layer to layer: double precision keeps it small
        network.double()
        with torch.no_grad():
            both, alone = answers(images.double()), answers(images[1:].double())
        network.float()
    else:
        both = case.maps if isinstance(network, Backbone) else case.outputs
        with torch.no_grad():
            alone = answers(images[1:])
    for one, other in zip(output_tensors(both), output_tensors(alone), strict=True):
        _require_close(one[1:], other, "an image is answered alike whatever its batch mates")


def gives_its_state_to_a_fresh_network(case: NetworkCase) -> None:
    """A fresh network that loads the state answers as the first one does."""
    fresh = shapeless(case.card)
    if not dict(fresh.named_buffers()).keys() <= fresh.state_dict().keys():
        with CheapValues():
            fresh = build(case.card).eval()  # what is built and not saved, such as a table of connections, needs values
    fresh.load_state_dict(case.network.state_dict(), assign=True)
    with torch.no_grad():
        outputs = fresh(case.images(2))
    _require_same(outputs, case.outputs, "a state makes a fresh network the same network")


def learns_from_a_single_image_or_says_why_not(case: NetworkCase) -> None:
    """One image in train mode has finite outputs, or is refused by a ShapeError with a remedy."""
    case.network.train()
    try:
        with torch.no_grad(), _same_statistics(case.network):
            leaves = output_tensors(case.network(case.images(1)))
    except ShapeError as error:  # BatchNorm over one value a channel
        require(error.remedy, "the refusal of a single image says what to do", got=str(error))
        return
    require(leaves and all(torch.isfinite(leaf).all() for leaf in leaves), "the outputs of one image are finite")


def keeps_the_statistics_of_what_is_frozen(case: NetworkCase) -> None:
    """With a frozen backbone only the head learns, and no BatchNorm outside of it takes in new statistics."""
    network = case.network
    heads = tuple(f"{name}." for name in network.head)
    if hasattr(network, "backbone"):
        heads = tuple(f"{name}." for name, _ in network.named_children() if name != "backbone")
    learns = any(name.startswith(heads) for name, _ in network.named_parameters())
    freezing = Freezing(network, "backbone" if learns else "batchnorm", epochs=1)
    network.train()
    freezing.apply(0)
    for norm in freezing.norms(0):
        norm.eval()
    before = {name: value.clone() for name, value in network.named_buffers()}
    if before:
        with torch.no_grad(), _same_statistics(network, of_heads=heads):
            network(case.images(2))
    learning = {name for name, p in network.named_parameters() if p.requires_grad}
    freezing.apply(1)
    outside = [name for name in learning if not name.startswith(heads)]
    require(not learns or not outside, "with a frozen backbone only the head learns", got=outside)
    moved = [
        name
        for name, value in network.named_buffers()
        if not name.startswith(heads) and not torch.equal(value, before[name])
    ]
    require(not moved, "what is frozen keeps its statistics", got=moved)


SHAPE_CHECKS: tuple[Callable[[NetworkCase], None], ...] = (
    is_a_network_whose_builder_can_be_imported,
    has_exactly_the_cards_parameters,
    has_exactly_the_cards_operations,
    has_preprocessing_that_makes_its_input,
    changes_only_its_head_for_other_classes,
    takes_grey_and_coloured_images,
    takes_other_sizes_or_names_the_next_that_fits,
)
"""Those that compute nothing."""

NETWORK_CHECKS: tuple[Callable[[NetworkCase], None], ...] = (
    *SHAPE_CHECKS,
    answers_finitely_and_leaves_the_images_alone,
    answers_from_its_maps,
    passes_gradients_to_every_parameter,
    answers_an_image_alike_whatever_its_batch_mates,
    gives_its_state_to_a_fresh_network,
    learns_from_a_single_image_or_says_why_not,
    keeps_the_statistics_of_what_is_frozen,
)
"""The battery, a check each; a case is built once and goes through all of them."""


def check_network(card: Card) -> None:
    """Runs every check of the battery on the network of a card.

    Raises:
        ConformanceError: at the first check that fails.
    """
    case = NetworkCase(card)
    for check in NETWORK_CHECKS:
        check(case)
