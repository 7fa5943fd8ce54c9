"""Renames the weights that U-Net's authors released for Caffe to the names of visus."""

from __future__ import annotations

from torch import Tensor

from visus.models.caffe_layers import Arrays, Kernel, Source, converted

_UPSAMPLINGS = ("upconv_u1d_u0a", "upconv_u2d_u1a", "upconv_u3d_u2a", "upconv_d4c_u3a")  # to level 0, 1, 2, 3


def from_caffe(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of phseg_v5 as our state.

    There the upsampled maps come before the copied ones, here behind them.

    Raises:
        WeightsError: if an array is missing or not one of that network's.
    """
    state = converted(arrays, TABLE, "the authors' U-Net (phseg_v5)")
    for level in range(len(_UPSAMPLINGS)):
        name = f"expanding.{level}.0.weight"
        upsampled = len(state[f"up.{level}.bias"])
        state[name] = state[name].roll(-upsampled, dims=1)
    return state


TABLE: dict[str, Source] = {
    **{
        f"contracting.{level}.{2 * n}": Kernel(f"conv_d{level}{w}")
        for level in range(5)
        for n, w in ((0, "a-b"), (1, "b-c"))
    },
    **{f"up.{level}": Kernel(name) for level, name in enumerate(_UPSAMPLINGS)},
    **{
        f"expanding.{level}.{2 * n}": Kernel(f"conv_u{level}{w}")
        for level in range(4)
        for n, w in ((0, "b-c"), (1, "c-d"))
    },
    "output": Kernel("conv_u0d-score"),
}
