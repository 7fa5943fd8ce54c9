"""Renames the weights that DeconvNet's authors released for Caffe to the names of visus."""

from __future__ import annotations

from torch import Tensor

from visus.errors import WeightsError
from visus.models.caffe_layers import Arrays, FixedNorm, Kernel, Source, converted
from visus.models.segmentation.deconvnet import EPSILON

_DEPTHS = {1: 2, 2: 2, 3: 3, 4: 3, 5: 3}  # convolutions of each stage


def from_caffe(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of DeconvNet_trainval_inference as our state.

    That file has a scale and a shift for each BatchNorm, into which the authors reckoned mean and variance after the
    training. The files that their training leaves (stage_1_train_result, stage_2_train_result) have the same names and
    shapes, but values for the statistics of a batch, which no file holds: they are refused.

    Raises:
        WeightsError: if an array is missing or not one of that network's, or the file is one of a training.
    """
    state = converted(arrays, table(), "the authors' DeconvNet")
    layers = getattr(arrays, "layers", ())
    norms = [layer for layer in layers if layer.name in ("bn1_1", "debn1_1")]
    learns = any(layer.type == "SoftmaxWithLoss" for layer in layers)
    if learns and norms and all(len(layer.tops) == 1 for layer in norms):
        raise WeightsError(
            "this DeconvNet lacks the means and variances of its BatchNorm",
            expected="DeconvNet_trainval_inference.caffemodel, in which they are reckoned into scales and shifts",
            got="a network as its training left it, with a loss and BatchNorm of the batch",
            remedy="take the file for inference",
        )
    return state


def table() -> dict[str, Source]:
    """Our layers with Caffe's."""
    layers = {"fc6": ("fc6", "bnfc6"), "fc7": ("fc7", "bnfc7"), "fc6_deconv": ("fc6-deconv", "fc6-deconv-bn")}
    for stage, depth in _DEPTHS.items():
        for number in range(depth):
            place = f"{stage}_{number + 1}"
            layers[f"conv{stage}.{number}"] = (f"conv{place}", f"bn{place}")
            layers[f"deconv{stage}.{number}"] = (f"deconv{place}", f"debn{place}")
    sources: dict[str, Source] = {}
    for ours, (convolution, norm) in layers.items():
        sources |= {f"{ours}.0": Kernel(convolution), f"{ours}.1": FixedNorm(norm, EPSILON)}
    return sources | {"score": Kernel("seg-score-voc")}
