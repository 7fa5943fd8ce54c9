"""Fast R-CNN. Girshick, ICCV 2015, arXiv:1504.08083, figure 1; borders and constants of rbgirshick/fast-rcnn.

The convolutions see an image once; each proposal, which comes with the image, is pooled from their last map to one
size, and two dense layers say which class it shows, and for every class how its box must move.

Three networks (section 4.1): S stands on CaffeNet, M on VGG_CNN_M_1024, L on VGG-16. On another backbone there are as
many layers behind its map of stride 16.

Letters: N images, C channels, H x W pixels, K classes (no background), R regions of all images, D channels of the map,
p x p the pooled size, F width of fc6 and fc7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from visus.layers.low_rank import put_low_ranks
from visus.models.backbone_maps import require_maps
from visus.models.detection.caffe_trunks import CaffeNetTrunk, VGGMTrunk, vgg16_trunk
from visus.models.detection.region_codec import RegionCodec, RegionRules
from visus.models.detection.two_stage import Proposed, RegionOutput, TwoStageDetector, whole_images
from visus.models.protocols import Backbone
from visus.ops.box_coding import BoxCoding
from visus.ops.nms import Method
from visus.ops.roi_pooling import roi_align, roi_max_pool

# The deviations by which the authors' later release (py-faster-rcnn) divides offsets for all classes; section 2.3 has
# zero mean and unit variance of the targets, which the first release computed of each class's boxes in the data.
CODING = BoxCoding(variances=(0.1, 0.1, 0.2, 0.2))
WIDTH = 1024  # of fc6 and fc7 on a backbone that the paper does not have
POOLED = 7  # cells a side of a region there, as on VGG-16

Pooling = Literal["max", "align"]
Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Ranks = Mapping[str, Count]


class FastRCNN(TwoStageDetector):
    """[N,C,H,W] and proposals N x [P,4] -> :class:`~visus.models.detection.two_stage.TwoStageOutput`.

    Without proposals it looks at each image as a whole.

    Args:
        backbone: a :class:`~visus.models.protocols.Backbone` with a map of stride 16.
        classes: K.
        widths: F of fc6 and of fc7.
        size: p.
        pooling: "max" as published, or "align": RoIAlign, which rounds nothing.
        dropout: share of the values of fc6 and fc7 that is dropped in training.
        codec: trains and reads the network.
    """

    head: tuple[str, ...] = ("class_logits", "box_offsets")

    def __init__(
        self,
        backbone: nn.Module,
        *,
        classes: int,
        widths: tuple[int, int],
        size: int,
        pooling: Pooling,
        dropout: float,
        codec: RegionCodec,
    ) -> None:
        super().__init__()
        self.channels = require_maps(backbone, (16,), "Fast R-CNN")
        self.backbone = backbone
        self.size = size
        self.pooling = pooling
        self.fc6 = nn.Linear(self.channels[16] * size * size, widths[0])
        self.drop6 = nn.Dropout(dropout)
        self.fc7 = nn.Linear(widths[0], widths[1])
        self.drop7 = nn.Dropout(dropout)
        self.class_logits = nn.Linear(widths[1], classes + 1)
        self.box_offsets = nn.Linear(widths[1], 4 * (classes + 1))
        self.codec = codec
        self.coding = codec.coding
        for layer in (self.fc6, self.fc7):  # the paper begins with those of a network for ImageNet
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.normal_(self.class_logits.weight, std=0.01)  # section 2.3, "SGD hyper-parameters"
        nn.init.normal_(self.box_offsets.weight, std=0.001)
        for layer in (self.fc6, self.fc7, self.class_logits, self.box_offsets):
            nn.init.zeros_(layer.bias)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        return {16: cast(Backbone, self.backbone).features(images)[16]}  # [N, D, H/16, W/16]

    def propose(
        self, features: dict[int, Tensor], size: Sequence[int], proposals: Sequence[Tensor] | None = None
    ) -> Proposed:
        return Proposed(whole_images(features, size) if proposals is None else list(proposals))

    def classify(self, features: dict[int, Tensor], boxes: Sequence[Tensor], size: Sequence[int]) -> RegionOutput:
        x = self.pool(features[16], boxes).flatten(1)  # [R, D p p]
        x = self.drop6(F.relu(self.fc6(x)))  # [R, F]
        x = self.drop7(F.relu(self.fc7(x)))  # [R, F]
        return RegionOutput(self.class_logits(x), self.box_offsets(x).unflatten(1, (-1, 4)))  # [R, K+1], [R, K+1, 4]

    def pool(self, map_: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """[N,D,h,w] -> [R,D,p,p]: the map's part of each region (section 2.1)."""
        if self.pooling == "align":
            return roi_align(map_, boxes, self.size, 1 / 16, aligned=True)
        # boxes of the released code end with their last pixel, not behind it
        last = map_.new_tensor([0.0, 0.0, 1.0, 1.0])
        return roi_max_pool(map_, [box - last for box in boxes], self.size, 1 / 16)


def fast_rcnn(
    *,
    classes: int,
    in_channels: int,
    backbone: nn.Module | None = None,
    pooling: Pooling = "max",
    width: Count = WIDTH,
    dropout: Share = 0.5,
    ranks: Ranks | None = None,
    confidence: Share = 0.05,
    keep: Count = 100,
    suppression: Method = "greedy",
) -> FastRCNN:
    """Fast R-CNN on VGG-16, or on any backbone with a map of stride 16.

    ``pooling``: "max" as published, or "align": RoIAlign. ``width``: of fc6 and fc7 on another backbone; VGG-16 has
    4096. ``dropout``: of fc6 and fc7. ``ranks``: of dense layers that truncated singular value decomposition made
    smaller, such as {"fc6": 1024, "fc7": 256} (section 4.4). ``confidence``: scores that are looked at. ``keep``:
    objects an image at most. ``suppression``: "greedy", or soft-NMS, "linear" or "gaussian".

    Raises:
        TaskMismatchError: if the backbone lacks such a map.
        RecipeError: for ranks of layers that there are not, or that are too large.
    """
    wide = 4096 if backbone is None else width
    network = FastRCNN(
        vgg16_trunk(in_channels) if backbone is None else backbone,
        classes=classes,
        widths=(wide, wide),
        size=POOLED,
        pooling=pooling,
        dropout=dropout,
        codec=_codec(confidence, keep, suppression),
    )
    put_low_ranks(network, ranks or {})
    return network


def fast_rcnn_caffenet(
    *,
    classes: int,
    in_channels: int,
    pooling: Pooling = "max",
    dropout: Share = 0.5,
    ranks: Ranks | None = None,
    confidence: Share = 0.05,
    keep: Count = 100,
    suppression: Method = "greedy",
) -> FastRCNN:
    """Fast R-CNN on CaffeNet, the paper's model S. Options: as those of :func:`fast_rcnn`."""
    network = FastRCNN(
        CaffeNetTrunk(in_channels),
        classes=classes,
        widths=(4096, 4096),
        size=6,
        pooling=pooling,
        dropout=dropout,
        codec=_codec(confidence, keep, suppression),
    )
    put_low_ranks(network, ranks or {})
    return network


def fast_rcnn_vgg_cnn_m_1024(
    *,
    classes: int,
    in_channels: int,
    pooling: Pooling = "max",
    dropout: Share = 0.5,
    ranks: Ranks | None = None,
    confidence: Share = 0.05,
    keep: Count = 100,
    suppression: Method = "greedy",
) -> FastRCNN:
    """Fast R-CNN on VGG_CNN_M_1024, the paper's model M. Options: as those of :func:`fast_rcnn`."""
    network = FastRCNN(
        VGGMTrunk(in_channels),
        classes=classes,
        widths=(4096, 1024),
        size=6,
        pooling=pooling,
        dropout=dropout,
        codec=_codec(confidence, keep, suppression),
    )
    put_low_ranks(network, ranks or {})
    return network


def _codec(confidence: float, keep: int, suppression: Method) -> RegionCodec:
    return RegionCodec(RegionRules(confidence=confidence, keep=keep, suppression=suppression), CODING)
