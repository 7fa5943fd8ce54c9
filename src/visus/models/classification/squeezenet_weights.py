"""Renames the weights that SqueezeNet's authors released for Caffe to the names of visus."""

from __future__ import annotations

from torch import Tensor

from visus.models.caffe_layers import Arrays, Kernel, Source, converted

_FIRES = {2: 3, 3: 4, 4: 5, 5: 7, 6: 8, 7: 9, 8: 10, 9: 12}
"""The number of each fire module in table 1, and its place among our layers."""

TABLE: dict[str, Source] = {
    "features.0": Kernel("conv1"),
    **{
        f"features.{place}.{ours}": Kernel(f"fire{number}/{its}")
        for number, place in _FIRES.items()
        for ours, its in (("squeeze", "squeeze1x1"), ("expand1x1", "expand1x1"), ("expand3x3", "expand3x3"))
    },
    "classifier.1": Kernel("conv10"),
}


def from_caffe(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of squeezenet_v1.0 as our state.

    SqueezeNet 1.1 has the same names and another first convolution, which then does not fit.

    Raises:
        WeightsError: if an array is missing or not one of that network's.
    """
    return converted(arrays, TABLE, "squeezenet_v1.0")
