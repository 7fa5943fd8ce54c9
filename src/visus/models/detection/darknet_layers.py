"""Numbers a network's layers as Darknet's cfg files do, where layers without values count too.

``NAME.conv.N`` holds the values of the first N layers of a cfg file. In it, poolings, dropout, routes (which take or
join earlier maps), shortcuts (which add one), reorganisations, upsamplings and answers are layers of their own; biases,
BatchNorm and activations are parts of their convolution.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import nn

from visus.layers.locally_connected import LocallyConnected

_BESIDE: Mapping[tuple[str, str], tuple[int, int]] = {
    ("Scale", "route"): (1, 2),  # yolov3.cfg: [route] before; [upsample] and [route] behind
    ("Scale", "predict"): (0, 1),  # [yolo]
    ("YOLOv2", "narrow"): (1, 0),  # yolov2.cfg: [route]; it has no convolution where the whole map is taken
    ("YOLOv2", "reorganise"): (0, 2),  # [reorg] and [route]
}
"""By the class of a network and the name of its module: how many layers without values stand before and behind it."""

_VALUED = (nn.Conv2d, nn.Linear, LocallyConnected)


def layer_numbers(network: nn.Module) -> dict[str, int]:
    """{path of each layer with values: its number in the cfg file, from 0}, for the networks that have a cfg file.

    Example:
        >>> layer_numbers(darknet19)["classifier"]
        23
    """
    return {path: number for path, number in _walk(network, "", 0) if path}


def _walk(module: nn.Module, prefix: str, number: int) -> Iterator[tuple[str, int]]:
    """The layers with values in and below a module; last, under no path, the number of the layer behind it."""
    for name, child in module.named_children():
        before, behind = _BESIDE.get((type(module).__name__, name), (0, 0))
        number += before
        path = f"{prefix}{name}"
        if isinstance(child, _VALUED):
            yield path, number
            number += 1
        elif isinstance(child, nn.MaxPool2d) or (isinstance(child, nn.Dropout) and child.p):
            number += 1
        else:
            for inner, at in _walk(child, f"{path}.", number):
                if inner:
                    yield inner, at
                else:
                    number = at
        number += behind
    yield "", number + (type(module).__name__ == "Residual")  # darknet53.cfg: [shortcut]
