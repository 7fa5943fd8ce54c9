"""Which sizes of images an exported file takes, and on which it is proved.

A file of free size is easily wrong at a size that it was not traced at, without a word: what holds by chance at one
size is built in as a constant. So it is traced at a size where nothing is equal by chance, and proved at two others.
"""

from __future__ import annotations

import math
import re
from typing import Literal

import torch
from torch import nn

from visus.answers.tiles import Restricted
from visus.engine.exported_card import ExportedInput
from visus.engine.model_card import LONGEST_SIDE, ModelInfo
from visus.errors import ShapeError, UsageError, VisusError
from visus.exporters.replaced_layers import BinnedMaxPool2d
from visus.layers.same_padding import SameAvgPool2d, SameConv2d, SameMaxPool2d

Size = tuple[int, int]
SizeChoice = Size | Literal["any"] | None

TRACED = (288, 416)
"""(height, width) at least, at which a network of free size is traced: every map has several rows and columns, and
another number of rows than of columns. A map of 1 x 1 would stay 1 x 1 at every size."""

STEPS = (1, 32)
"""Of the sides, which are tried where the network does not say which sizes it takes."""


def chosen_size(choice: SizeChoice, info: ModelInfo, *, tiled: bool) -> Size | None:
    """(height, width) of every input of the file; None where its size is to be free.

    Args:
        choice: what was asked for; None: nothing.
        info: of the model.
        tiled: whether an image of any size is seen in tiles.

    Raises:
        UsageError: for sides that no input has.
    """
    if isinstance(choice, tuple):
        if len(choice) != 2 or not all(type(side) is int and 1 <= side <= LONGEST_SIDE for side in choice):
            raise UsageError(
                "an input has no such size",
                expected=f"(height, width), each within 1..{LONGEST_SIDE}",
                got=str(choice),
            )
        return choice
    if choice == "any":
        return None
    if info.preprocessing.fit in ("none", "shorter_side") and not tiled:
        return None  # the images come in different sizes
    return info.example_size


def require_takes(network: nn.Module, info: ModelInfo, size: Size) -> None:
    """Raises ShapeError unless the network takes images of (height, width)."""
    if isinstance(network, Restricted) and network.fitting_size(size) != size:
        height, width = network.fitting_size(size)
        raise ShapeError(
            f"{info.model} does not take images of {size[0]} x {size[1]}",
            expected=f"{height} x {width}, the next that fits",
            got=f"{size[0]} x {size[1]}",
            remedy=f"--size {height}x{width}",
        )
    error = failure(network, info, size)
    if error is not None:
        raise ShapeError(
            f"{info.model} does not take images of {size[0]} x {size[1]}",
            expected="a size that its layers can have",
            got=error,
            remedy=f"--size {info.example_size[0]}x{info.example_size[1]}",
        )


def failure(network: nn.Module, info: ModelInfo, size: Size) -> str | None:
    """Why the network itself does not answer to an image of (height, width); None: it does."""
    try:
        with torch.no_grad():
            network(torch.zeros(1, info.in_channels, *size))
    except VisusError as error:
        return "; ".join(part for part in (error.problem, error.expected) if part)
    except (RuntimeError, ValueError) as error:
        return str(error).partition("\n")[0][:200]
    return None


def free_input(network: nn.Module, info: ModelInfo, step: int = 1) -> tuple[ExportedInput, tuple[Size, Size], Size]:
    """The sizes that a file of free size is to take.

    Args:
        network: in eval mode.
        info: its card.
        step: the sides are multiples of it, where the network does not say itself which sizes it takes.

    Returns:
        The input, two (height, width) to prove it at, and the size to trace it at; all three differ.

    Raises:
        ShapeError: if the network cannot have a free size; it says why.
    """
    reason = fixed_by(network)
    if reason:
        raise refusal(info, reason)
    reasons = []
    for smallest, multiple in _rules(network, step):
        given = _input(info.example_size, smallest, multiple)
        proofs = _proofs(given, info.example_size)
        traced = given.fitting((max(info.example_size[0], TRACED[0]), max(info.example_size[1], TRACED[1])))
        if traced[0] == traced[1]:
            traced = traced[0], traced[1] + 4 * multiple
        errors = [error for size in (*proofs, traced) if (error := failure(network, info, size)) is not None]
        if not errors:
            return given, proofs, traced
        reasons.append(errors[0])
    raise refusal(info, f"the network itself takes no other size: {reasons[0]}")


def fixed_by(network: nn.Module) -> str:
    """The layers that tie an exported network to one size, in words; "" for none."""
    for name, module in network.named_modules():
        if isinstance(module, SameConv2d | SameMaxPool2d | SameAvgPool2d):
            return f"the SAME padding of {name} is another one at every size, which cannot be traced"
        bins: object = 1
        if isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
            bins = module.output_size
        elif isinstance(module, BinnedMaxPool2d):
            bins = module.bins
        if not _pools_all(bins):
            return f"{name} pools to {bins}, whose windows would stay those of one size"
    return ""


def fixed_in_graph(program: torch.export.ExportedProgram) -> str:
    """The same of a traced graph, where functions were called and no layers."""
    for node in program.graph.nodes:
        target = str(node.target)
        if "adaptive_" in target and "pool2d" in target and not _pools_all(node.args[1]):
            return f"a pooling to {node.args[1]}, whose windows would stay those of one size"
    return ""


def refusal(info: ModelInfo, reason: str) -> ShapeError:
    """The error of a network that cannot have a free size."""
    height, width = info.example_size
    return ShapeError(
        f"{info.model} cannot be exported for images of any size",
        expected="a network that is proved at sizes which it was not traced at",
        got=reason,
        remedy=f"export it for one size: --size {height}x{width}",
    )


def _pools_all(output_size: object) -> bool:
    sides = output_size if isinstance(output_size, tuple | list) else (output_size,)
    return all(side == 1 for side in sides)


def suggested_step(error: str) -> int:
    """The multiple that sides must be of, as torch says of a network that it cannot trace with free sides."""
    found = [int(step) for name, step in re.findall(r"(height|width) = (\d+)\*_\1", error)]
    return math.lcm(*found) if found and math.lcm(*found) <= STEPS[-1] else STEPS[-1]


def _rules(network: nn.Module, least: int) -> list[tuple[int, int]]:
    """(the smallest side, the step of longer ones), to be tried in this order."""
    if isinstance(network, Restricted):
        smallest = network.fitting_size((1, 1))[0]
        return [(smallest, network.fitting_size((smallest + 1, 1))[0] - smallest)]
    return [(step, step) for step in sorted({math.lcm(step, least) for step in STEPS})]


def _input(example: Size, smallest: int, step: int) -> ExportedInput:
    """Half of the example's sides and more: a smaller size is not proved."""
    rule = ExportedInput(None, multiple=step, smallest=(smallest, smallest))
    return ExportedInput(None, multiple=step, smallest=rule.fitting((example[0] // 2, example[1] // 2)))


def _proofs(given: ExportedInput, example: Size) -> tuple[Size, Size]:
    """Two sizes that are not square, one of them with odd sides where the step allows it; each side once as small as
    it may be."""
    first = given.fitting((given.smallest[0], example[1] * 5 // 4 | 1))
    second = given.fitting((example[0] * 4 // 3 | 1, given.smallest[1]))
    return first, second
