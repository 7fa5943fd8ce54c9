"""Overlap-tile for PyTorch: what a network sees of images where it restricts its input's size or loses border pixels.

Which pixels these are says :mod:`visus.answers.tiles`. Letters: N images, C channels, K classes, H x W pixels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from visus.answers.tiles import ANY, InputRule, Rectangle, Restricted, View, view
from visus.errors import ShapeError
from visus.models.protocols import Output
from visus.structures import Batch


def network_output(model: nn.Module, images: Tensor, part: Rectangle) -> Output:
    """Returns the raw outputs for a part of the images, and those of auxiliary heads.

    Args:
        model: answers with a map as large as its input, or is :class:`~visus.answers.tiles.Restricted`.
        images: [N,C,H,W].
        part: what is asked for, H' x W' pixels.

    Returns:
        Logits [N,K,H',W'], and as many of each auxiliary head (in train mode).

    Raises:
        ShapeError: if the outputs are no maps of the expected size.
    """
    outputs = model(seen(images, view(_rule(model), part, (images.shape[2], images.shape[3]))))
    output = outputs if isinstance(outputs, Output) else Output(outputs)
    cut = np.s_[:, :, : part.height, : part.width]
    for logits in (output.logits, *output.auxiliary):
        if logits.ndim != 4 or logits.shape[2] < part.height or logits.shape[3] < part.width:
            raise ShapeError(
                "a segmentation network must return logits for each pixel",
                expected=f"[N, K, {part.height}, {part.width}]",
                got=str(list(logits.shape)),
            )
    return Output(output.logits[cut], tuple(logits[cut] for logits in output.auxiliary))


def seen(images: Tensor, what: View) -> Tensor:
    """The input [N,C,h,w] that shows this of the images [N,C,H,W]."""
    if what.whole:
        return images
    rows, columns = (torch.from_numpy(indices).to(images.device) for indices in (what.rows, what.columns))
    return images.index_select(2, rows).index_select(3, columns)


def fitted(model: nn.Module, batch: Batch) -> Batch:
    """Adds the mirrored border that the network needs to a batch, and to its placements.

    The upper left corner of the network's output is that of the batch's own images.
    """
    size = (batch.images.shape[2], batch.images.shape[3])
    what = view(_rule(model), Rectangle(0, 0, *size), size)
    placements = [
        replace(
            placement,
            network_size=what.size,
            offset=(placement.offset[0] + what.margin[0], placement.offset[1] + what.margin[1]),
        )
        for placement in batch.placements
    ]
    return replace(batch, images=seen(batch.images, what), placements=placements)


def input_rule(model: nn.Module) -> InputRule:
    """Which inputs a network takes, as plain numbers.

    Raises:
        ShapeError: if its sizes are not a smallest one and that plus multiples of a step, the same for both sides, or
            if it does not lose equally many pixels of each.
    """
    if not isinstance(model, Restricted):
        return ANY
    network = cast(Restricted, model)
    smallest = network.fitting_size((1, 1))[0]
    step = network.fitting_size((smallest + 1, smallest + 1))[0] - smallest
    lost = smallest - network.output_size(network.fitting_size((smallest, smallest)))[0]
    rule = InputRule(smallest, step, lost)
    for size in ((1, 1), (smallest + 1, smallest), (smallest, smallest + step + 1), (smallest + 5 * step, 1)):
        fitting = network.fitting_size(size)
        if fitting != rule.fitting_size(size) or network.output_size(fitting) != rule.output_size(fitting):
            raise ShapeError(
                f"the sizes that {type(model).__name__} takes follow no rule that a file can keep",
                expected="a smallest side, and longer ones in equal steps, for height and width alike",
                got=f"{fitting[0]}x{fitting[1]} for {size[0]}x{size[1]}",
            )
    return rule


def _rule(model: nn.Module) -> Restricted:
    return cast(Restricted, model) if isinstance(model, Restricted) else ANY
