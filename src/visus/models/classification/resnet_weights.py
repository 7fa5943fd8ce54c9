"""Renames the weights that the authors of ResNet released for Caffe to the names of visus."""

from __future__ import annotations

from torch import Tensor

from visus.models.caffe_layers import Arrays, Dense, Kernel, Norm, Source, converted

DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}  # table 1
_BRANCHES = (("conv1", "bn1", "branch2a"), ("conv2", "bn2", "branch2b"), ("conv3", "bn3", "branch2c"))
_SHORTCUT = ("downsample.0", "downsample.1", "branch1")


def from_caffe(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of ResNet-50, -101 or -152 as our state.

    ResNet-50's first convolution has biases, which go into the mean of the BatchNorm behind it.

    Raises:
        WeightsError: if an array is missing or not one of that network's.
    """
    depth = 152 if "res4b35_branch2a.0" in arrays else 101 if "res4b1_branch2a.0" in arrays else 50
    return converted(arrays, table(depth), f"the authors' ResNet-{depth}")


def table(depth: int) -> dict[str, Source]:
    """Our layers with Caffe's."""
    first_biases = "conv1" if depth == 50 else ""
    sources: dict[str, Source] = {
        "conv1": Kernel("conv1", bias=False),
        "bn1": Norm("bn_conv1", "scale_conv1", bias_of=first_biases),
    }
    for stage, blocks in enumerate(DEPTHS[depth], 1):
        for block in range(blocks):
            name = f"{stage + 1}{block_name(depth, stage, block)}"
            for conv, norm, branch in (*_BRANCHES, *((_SHORTCUT,) if block == 0 else ())):
                ours = f"layer{stage}.{block}"
                sources[f"{ours}.{conv}"] = Kernel(f"res{name}_{branch}", bias=False)
                sources[f"{ours}.{norm}"] = Norm(f"bn{name}_{branch}", f"scale{name}_{branch}")
    return sources | {"fc": Dense("fc1000")}


def block_name(depth: int, stage: int, block: int) -> str:
    """A block's letter; in conv3_x and conv4_x of the deeper networks a, b1, b2 ..."""
    if depth > 50 and stage in (2, 3) and block > 0:
        return f"b{block}"
    return "abcdef"[block]
