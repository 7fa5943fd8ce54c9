"""Fast R-CNN. Girshick, ICCV 2015, arXiv:1504.08083, figure 1; borders and constants of rbgirshick/fast-rcnn.

The convolutions see an image once; each proposal, which comes with the image, is pooled from their last map to one
size, and two dense layers say which class it shows, and for every class how its box must move.

Three networks (section 4.1): S stands on CaffeNet, M on VGG_CNN_M_1024, L on VGG-16. On another backbone there are as
many layers behind its map of stride 16.

Letters: N images, C channels, H x W pixels, K classes (no background), R regions of all images, D channels of the map,
p x p the pooled size, F width of fc7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, cast

from pydantic import Field
from torch import Tensor, nn

from visus.layers.low_rank import put_low_ranks
from visus.layers.region_pooling import RoIAlign, RoIMaxPool
from visus.models.backbone_maps import require_maps
from visus.models.detection.caffe_trunks import CaffeNetTrunk, VGGMTrunk, vgg16_trunk
from visus.models.detection.dense_regions import DenseRegions
from visus.models.detection.region_codec import RegionCodec, RegionRules
from visus.models.detection.two_stage import Proposed, RegionOutput, TwoStageDetector, whole_images
from visus.models.protocols import Backbone
from visus.ops.box_coding import BoxCoding
from visus.ops.suppression import Method

# The deviations by which the authors' later release (py-faster-rcnn) divides offsets for all classes; section 2.3 has
# zero mean and unit variance of the targets, which the first release computed of each class's boxes in the data.
CODING = BoxCoding(variances=(0.1, 0.1, 0.2, 0.2))
WIDTH = 1024  # of fc6 and fc7 on a backbone that the paper does not have
STRIDE = 16  # of the map that regions are pooled from

Pooling = Literal["max", "align"]
Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Ranks = Mapping[str, Count]


class FastRCNN(TwoStageDetector):
    """[N,C,H,W] and proposals N x [P,4] -> :class:`~visus.models.detection.two_stage.TwoStageOutput`.

    Without proposals it looks at each image as a whole.

    Args:
        backbone: a :class:`~visus.models.protocols.Backbone` with a map of stride 16.
        pool: pools the map's regions (section 2.1), [N,D,h,w] and N x [P,4] -> [R,D,p,p].
        regions: sees them, [R,D,p,p] -> [R,F].
        classes: K.
        codec: trains and reads the network.
        pretrained: whether the weights of the backbone's own network, for ImageNet, have some for ``regions`` too.
    """

    head: tuple[str, ...] = ("class_logits", "box_offsets")

    def __init__(
        self,
        backbone: nn.Module,
        pool: RoIMaxPool | RoIAlign,
        regions: DenseRegions,
        *,
        classes: int,
        codec: RegionCodec,
        pretrained: bool,
    ) -> None:
        super().__init__()
        self.pretrained = ("regions.",) if pretrained else ()
        self.border = getattr(backbone, "border", 0)  # so far does the map reach beyond the image
        self.channels = require_maps(backbone, (STRIDE,), "Fast R-CNN")
        self.backbone = backbone
        self.pool = pool
        self.regions = regions
        self.class_logits = nn.Linear(regions.width, classes + 1)  # background first
        self.box_offsets = nn.Linear(regions.width, 4 * (classes + 1))
        self.codec = codec
        self.coding = codec.coding
        nn.init.normal_(self.class_logits.weight, std=0.01)  # section 2.3, "SGD hyper-parameters"
        nn.init.normal_(self.box_offsets.weight, std=0.001)
        nn.init.zeros_(self.class_logits.bias)
        nn.init.zeros_(self.box_offsets.bias)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        return {STRIDE: cast(Backbone, self.backbone).features(images)[STRIDE]}  # [N, D, H/16, W/16]

    def propose(
        self, features: dict[int, Tensor], size: Sequence[int], proposals: Sequence[Tensor] | None = None
    ) -> Proposed:
        return Proposed(whole_images(features, size) if proposals is None else list(proposals))

    def classify(self, features: dict[int, Tensor], boxes: Sequence[Tensor], size: Sequence[int]) -> RegionOutput:
        pooled = self.pool(features[STRIDE], boxes)  # [R, D, p, p]
        x = self.regions(pooled)  # [R, F]
        return RegionOutput(self.class_logits(x), self.box_offsets(x).unflatten(1, (-1, 4)))  # [R, K+1], [R, K+1, 4]


def fast_rcnn(
    *,
    classes: int,
    in_channels: int,
    backbone: nn.Module | None = None,
    pooling: Pooling = "max",
    width: Count | None = None,
    dropout: Share = 0.5,
    ranks: Ranks | None = None,
    sampled: Count = 64,
    background: Share = 0.1,
    confidence: Share = 0.05,
    keep: Count = 100,
    suppression: Method = "greedy",
) -> FastRCNN:
    """Fast R-CNN on VGG-16, or on any backbone with a map of stride 16.

    ``pooling``: "max" as published, or "align": RoIAlign. ``width``: of fc6 and fc7; none: 4096 on VGG-16, 1024
    on others. ``dropout``: of fc6 and fc7. ``ranks``: of dense layers that truncated singular value decomposition
    made smaller, such as {"fc6": 1024, "fc7": 256} (section 4.4). ``sampled``: regions of an image that a step learns
    from. ``background``: the smallest overlap of its background. ``confidence``: scores that are looked at. ``keep``:
    objects an image at most. ``suppression``: "greedy", or soft-NMS, "linear" or "gaussian".

    Raises:
        TaskMismatchError: if the backbone lacks such a map.
        RecipeError: for ranks of layers that there are not, or that are too large.
    """
    wide = width or (4096 if backbone is None else WIDTH)
    return _fast_rcnn(
        vgg16_trunk(in_channels) if backbone is None else backbone,
        classes,
        size=7,
        widths=(wide, wide),
        pooling=pooling,
        dropout=dropout,
        ranks=ranks,
        codec=_codec(sampled, background, confidence, keep, suppression),
        pretrained=backbone is None,
    )


def fast_rcnn_caffenet(
    *,
    classes: int,
    in_channels: int,
    pooling: Pooling = "max",
    dropout: Share = 0.5,
    ranks: Ranks | None = None,
    sampled: Count = 64,
    background: Share = 0.1,
    confidence: Share = 0.05,
    keep: Count = 100,
    suppression: Method = "greedy",
) -> FastRCNN:
    """Fast R-CNN on CaffeNet, the paper's model S. Options: as those of :func:`fast_rcnn`."""
    return _fast_rcnn(
        CaffeNetTrunk(in_channels),
        classes,
        size=6,
        widths=(4096, 4096),
        pooling=pooling,
        dropout=dropout,
        ranks=ranks,
        codec=_codec(sampled, background, confidence, keep, suppression),
    )


def fast_rcnn_vgg_cnn_m_1024(
    *,
    classes: int,
    in_channels: int,
    pooling: Pooling = "max",
    dropout: Share = 0.5,
    ranks: Ranks | None = None,
    sampled: Count = 64,
    background: Share = 0.1,
    confidence: Share = 0.05,
    keep: Count = 100,
    suppression: Method = "greedy",
) -> FastRCNN:
    """Fast R-CNN on VGG_CNN_M_1024, the paper's model M. Options: as those of :func:`fast_rcnn`."""
    return _fast_rcnn(
        VGGMTrunk(in_channels),
        classes,
        size=6,
        widths=(4096, 1024),
        pooling=pooling,
        dropout=dropout,
        ranks=ranks,
        codec=_codec(sampled, background, confidence, keep, suppression),
    )


def _fast_rcnn(
    backbone: nn.Module,
    classes: int,
    *,
    size: int,
    widths: tuple[int, int],
    pooling: Pooling,
    dropout: float,
    ranks: Ranks | None,
    codec: RegionCodec,
    pretrained: bool = True,
) -> FastRCNN:
    """size: p; widths: of fc6 and of fc7."""
    depth = require_maps(backbone, (STRIDE,), "Fast R-CNN")[STRIDE]
    pool = RoIMaxPool(size, STRIDE) if pooling == "max" else RoIAlign(size, STRIDE)
    regions = DenseRegions(depth * size * size, widths, dropout)
    network = FastRCNN(backbone, pool, regions, classes=classes, codec=codec, pretrained=pretrained)
    put_low_ranks(network, ranks or {})
    return network


def _codec(sampled: int, background: float, confidence: float, keep: int, suppression: Method) -> RegionCodec:
    rules = RegionRules(
        sampled=sampled,
        negative=(min(background, 0.5), 0.5),
        confidence=confidence,
        keep=keep,
        suppression=suppression,
    )
    return RegionCodec(rules, CODING)
