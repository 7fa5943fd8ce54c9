"""Renames the weights of R-FCN as released for Caffe (YuwenXiong/py-R-FCN) to the names of visus.

Nothing is turned round: its position-sensitive maps (psroi_pooling_layer.cu) lie in our order, value by value, in each
row by row; its anchors are those of ``released="caffe"``; its scores of anchors begin with background, for all of a
cell. The deviations of the offsets are in the weights, as in Fast R-CNN's files.
"""

from __future__ import annotations

from torch import Tensor

from visus.models.caffe_layers import Arrays, Kernel, Source, converted
from visus.models.classification import resnet_weights
from visus.models.detection.fast_rcnn_weights import Offsets

_PARTS = 49  # 7 x 7


def from_caffe(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of resnet50_rfcn_final or resnet101_rfcn_final as our state.

    Raises:
        WeightsError: if an array is missing or not one of these networks'.
    """
    depth = 101 if "res4b1_branch2a.0" in arrays else 50
    sources: dict[str, Source] = _trunk(depth, "backbone.") | {
        "rpn.conv": Kernel("rpn_conv/3x3"),
        "rpn.objectness": Kernel("rpn_cls_score"),
        "rpn.offsets": Kernel("rpn_bbox_pred"),
        "reduction": Kernel("conv_new_1"),
        "class_maps": Kernel("rfcn_cls"),
        "box_maps": Offsets(Kernel("rfcn_bbox"), cells=_PARTS),
    }
    return converted(arrays, sources, f"the released R-FCN on ResNet-{depth}")


def from_caffe_resnet(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of the authors' ResNet-50 or -101, from which training begins; its classifier, fc1000, is left.

    Raises:
        WeightsError: if an array is missing or not one of these networks'.
    """
    depth = 101 if "res4b1_branch2a.0" in arrays else 50
    return converted(arrays, _trunk(depth, ""), f"the authors' ResNet-{depth}", unused=("fc1000",))


def _trunk(depth: int, prefix: str) -> dict[str, Source]:
    return {f"{prefix}{ours}": source for ours, source in resnet_weights.table(depth).items() if ours != "fc"}
