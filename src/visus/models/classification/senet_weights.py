"""Renames the weights that the authors of squeeze and excitation released for Caffe to the names of visus."""

from __future__ import annotations

from torch import Tensor

from visus.models.caffe_layers import Arrays, Dense, Kernel, Norm, Source, converted

_BRANCHES = (
    ("conv1", "bn1", "1x1_reduce"),
    ("conv2", "bn2", "3x3"),
    ("conv3", "bn3", "1x1_increase"),
)
_STEM = ("conv1/7x7_s2",)
_STEM_154 = ("conv1_1/3x3_s2", "conv1_2/3x3", "conv1_3/3x3")


def from_caffe(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of SE-ResNet-50, -101, -152, SE-ResNeXt-50, -101 (32x4d) or SENet-154 as our state.

    SE-ResNets and SE-ResNeXts of one depth have the same names; their shapes differ.

    Raises:
        WeightsError: if an array is missing or not one of these networks'.
    """
    is_154 = f"{_STEM_154[0]}.0" in arrays
    third = max((number for number in (6, 23, 36) if f"conv4_{number}_3x3.0" in arrays), default=6)
    depths = (3, 8 if third == 36 else 4, third, 3)
    network = "SENet-154" if is_154 else f"an SE-ResNet or SE-ResNeXt of {3 * sum(depths) + 2} layers"
    return converted(arrays, table(depths, _STEM_154 if is_154 else _STEM), network)


def table(depths: tuple[int, int, int, int], stem: tuple[str, ...] = _STEM) -> dict[str, Source]:
    """Our layers with Caffe's."""
    sources: dict[str, Source] = {}
    for number, its in enumerate(stem, 1):
        sources |= with_norm(f"layer0.conv{number}", f"layer0.bn{number}", its)
    for stage, blocks in enumerate(depths, 1):
        for block in range(blocks):
            ours, its = f"layer{stage}.{block}", f"conv{stage + 1}_{block + 1}"
            for conv, norm, branch in _BRANCHES:
                sources |= with_norm(f"{ours}.{conv}", f"{ours}.{norm}", f"{its}_{branch}")
            sources[f"{ours}.se_module.fc1"] = Kernel(f"{its}_1x1_down")
            sources[f"{ours}.se_module.fc2"] = Kernel(f"{its}_1x1_up")
            if block == 0:
                sources |= with_norm(f"{ours}.downsample.0", f"{ours}.downsample.1", f"{its}_1x1_proj")
    return sources | {"last_linear": Dense("classifier")}


def with_norm(conv: str, norm: str, its: str) -> dict[str, Source]:
    """A convolution without biases, and BatchNorm and Scale as these authors name them."""
    return {conv: Kernel(its, bias=False), norm: Norm(f"{its}/bn", f"{its}/bn/scale")}
