"""Renames timm's weights of NASNet-A large and PNASNet-5 large to the names of visus."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from torch import Tensor

from visus.errors import WeightsError

_WITHIN = (  # a cell's layers
    (r"^conv_1x1\.conv\.", "current.1."),
    (r"^conv_1x1\.bn\.", "current.2."),
    (r"^conv_prev_1x1\.conv\.", "previous.1."),
    (r"^conv_prev_1x1\.bn\.", "previous.2."),
    (r"^(?:conv_prev_1x1\.)?path_1\.conv\.", "previous.even."),
    (r"^(?:conv_prev_1x1\.)?path_2\.conv\.", "previous.odd."),
    (r"^(?:conv_prev_1x1\.)?final_path_bn\.", "previous.bn."),
)
_OPERATION = (  # an operation's layers
    (r"^separable_1\.depthwise_conv2d\.", "1."),
    (r"^separable_1\.pointwise_conv2d\.", "2."),
    (r"^bn_sep_1\.", "3."),
    (r"^separable_2\.depthwise_conv2d\.", "5."),
    (r"^separable_2\.pointwise_conv2d\.", "6."),
    (r"^bn_sep_2\.", "7."),
    (r"^conv\.", "1."),
    (r"^bn\.", "2."),
)
_AROUND = (("conv0.conv.", "conv0.0."), ("conv0.bn.", "conv0.1."), ("last_linear.", "classifier."))


def nasnet_from_timm(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of timm's ``nasnetalarge``, which has no auxiliary head.

    Raises:
        WeightsError: if there is a name that this network does not have.
    """

    def cell_index(kind: str, number: int) -> int:
        if kind == "reduction_cell":
            return 8 + 7 * number
        return number + (0 if kind == "cell_stem" else 2 + number // 6)

    return {_ours(name, cell_index, "NASNet-A"): value for name, value in values.items()}


def pnasnet_from_timm(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of timm's ``pnasnet5large``, which has no auxiliary head.

    Raises:
        WeightsError: if there is a name that this network does not have.
    """

    def cell_index(kind: str, number: int) -> int:
        return number + (0 if kind == "cell_stem" else 2)

    return {
        _ours(name.replace("conv_0.", "conv0.", 1), cell_index, "PNASNet-5"): value for name, value in values.items()
    }


def _ours(name: str, cell_index: Callable[[str, int], int], network: str) -> str:
    for theirs, ours in _AROUND:
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    cell = re.match(r"(cell_stem|reduction_cell|cell)_(\d+)\.(.*)", name)
    if cell:
        prefix, rest = f"cells.{cell_index(cell[1], int(cell[2]))}.", cell[3]
        term = re.match(r"comb_iter_(\d)_(left|right)\.(.*)", rest)
        if term:
            prefix, rest = f"{prefix}pairs.{term[1]}.{0 if term[2] == 'left' else 1}.", term[3]
        for pattern, ours in _OPERATION if term else _WITHIN:
            if re.match(pattern, rest):
                return prefix + re.sub(pattern, ours, rest)
    raise WeightsError(
        f"these are not the weights of timm's {network}",
        expected="names such as cell_0.conv_1x1.conv.weight",
        got=name,
        remedy="choose a file of this network",
    )
