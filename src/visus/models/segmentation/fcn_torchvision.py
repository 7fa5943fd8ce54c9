"""The FCN of torchvision: a ResNet whose last two stages keep stride 8, two convolutions on top, no skips.

It bears the name of Long et al. 2015 and is another network: torchvision 0.29, models/segmentation/fcn.py, trained on
those COCO images that have VOC's classes. An auxiliary head on the stage before the last learns with it.

Letters: N images, C input channels, K classes, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast

from torch import Tensor, nn

from visus.models.backbone_maps import as_backbone
from visus.models.classification.resnet import ResNet, resnet50, resnet101
from visus.models.protocols import Output
from visus.models.segmentation.alignment import resized


class FCNHead(nn.Sequential):
    """[N,D,H/8,W/8] -> [N,K,H/8,W/8] by way of a quarter of the channels."""

    def __init__(self, in_channels: int, classes: int) -> None:
        inner = in_channels // 4
        super().__init__(
            nn.Conv2d(in_channels, inner, 3, padding=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(inner, classes, 1),
        )


class ResNetFCN(nn.Module):
    """[N,C,H,W] -> Output of logits [N,K,H,W] and, in train mode, the auxiliary head's [N,K,H,W].

    Args:
        backbone: a ResNet of bottlenecks.
        classes: K.
    """

    channels: Mapping[int, int] = {8: 2048}
    head: tuple[str, ...] = ("classifier.4", "aux_classifier.4")
    auxiliary_heads: tuple[str, ...] = ("aux_classifier",)
    auxiliary_weights: tuple[float, ...] = (0.5,)  # torchvision's references/segmentation/train.py

    def __init__(self, backbone: ResNet, *, classes: int) -> None:
        super().__init__()
        as_backbone(backbone)
        _keep_stride(backbone.layer3, 1, 2)
        _keep_stride(backbone.layer4, 2, 4)
        self.backbone = backbone
        self.classifier = FCNHead(2048, classes)
        self.aux_classifier = FCNHead(1024, classes)

    def _maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        net = self.backbone
        x = net.maxpool(net.relu(net.bn1(net.conv1(images))))  # [N, 64, H/4, W/4]
        x = net.layer3(net.layer2(net.layer1(x)))  # [N, 1024, H/8, W/8]
        return x, net.layer4(x)  # [N, 2048, H/8, W/8]

    def features(self, images: Tensor) -> dict[int, Tensor]:
        return {8: self._maps(images)[1]}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Output:
        return Output(resized(self.classifier(features[8]), size))  # [N, K, H, W]

    def forward(self, images: Tensor) -> Output:
        before, last = self._maps(images)
        output = self.from_features({8: last}, images.shape[-2:])
        if not self.training:
            return output
        return output._replace(auxiliary=(resized(self.aux_classifier(before), images.shape[2:]),))


def _keep_stride(stage: nn.Sequential, first: int, others: int) -> None:
    """Removes a stage's stride and dilates its 3x3 convolutions instead: the first block's, and the others'."""
    for number, block in enumerate(stage):
        for layer in block.modules():
            if isinstance(layer, nn.Conv2d):
                layer.stride = (1, 1)
                if layer.kernel_size == (3, 3):
                    holes = others if number else first
                    layer.dilation = layer.padding = (holes, holes)


def fcn_resnet(*, classes: int, in_channels: int, depth: Literal[50, 101]) -> nn.Module:
    """torchvision's FCN. ``depth``: of the ResNet."""
    build = {50: resnet50, 101: resnet101}[depth]
    backbone = cast(ResNet, build(classes=1, in_channels=in_channels, stride_in="3x3", pooling="padded"))
    return ResNetFCN(backbone, classes=classes)
