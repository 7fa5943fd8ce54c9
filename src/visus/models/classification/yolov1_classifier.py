"""The classifier whose 20 convolutions begin YOLO.

Redmon, Divvala, Girshick, Farhadi: You only look once: unified, real-time object detection, CVPR 2016
(arXiv:1506.02640), figure 3 and section 2.2: the first 20 convolutions, average pooling and a dense layer, at 224x224.

Editions. ``paper``: also the one first released (extraction.cfg of November 2015, whose crop layer brings pixels to -1
to 1, and whose answers pass a leaky ReLU, of which the paper says nothing). ``darknet``: the one released since August
2016, with BatchNorm and, for the dense layer, a 1x1 convolution with a leaky ReLU before the pooling.

Letters: N images, C input channels, K classes; sizes in comments are those of 224x224 images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from visus.layers.leaky_convolution import SLOPE, LeakyConvolution
from visus.models.classification.input_checks import check_batch, check_sides

Answer = Literal["dense", "convolution"]

# Figure 3, up to each pooling: (channels, kernel, stride).
STAGES: tuple[tuple[tuple[int, int, int], ...], ...] = (
    ((64, 7, 2),),
    ((192, 3, 1),),
    ((128, 1, 1), (256, 3, 1), (256, 1, 1), (512, 3, 1)),
    (*(((256, 1, 1), (512, 3, 1)) * 4), (512, 1, 1), (1024, 3, 1)),
    ((512, 1, 1), (1024, 3, 1)) * 2,
)


def biased(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution with bias and a leaky ReLU: the paper knows no BatchNorm yet. [N,C,H,W] -> [N,D,H/s,W/s]."""
    convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")  # as Darknet draws them
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return nn.Sequential(convolution, nn.LeakyReLU(SLOPE, inplace=True))


class YOLOv1Classifier(nn.Module):
    """[N,C,H,W] -> [N,K] logits, for images of 32x32 pixels and more.

    Args:
        classes: K.
        in_channels: C.
        normalised: BatchNorm behind each convolution, as in the released cfg files, instead of biases.
        answer: a dense layer behind the pooling, or a convolution with a leaky ReLU before it.
    """

    channels: Mapping[int, int] = {2 ** (number + 1): stage[-1][0] for number, stage in enumerate(STAGES)}
    head: tuple[str, ...] = ("fc",)
    classifier_modules: tuple[str, ...] = ("pool", "fc")

    def __init__(self, *, classes: int, in_channels: int, normalised: bool, answer: Answer = "dense") -> None:
        super().__init__()
        self.normalised = normalised
        layers: list[nn.Module] = []
        before = in_channels
        for number, stage in enumerate(STAGES):
            if number:
                layers.append(nn.MaxPool2d(2))
            for width, kernel, stride in stage:
                layers.append((LeakyConvolution if normalised else biased)(before, width, kernel, stride))
                before = width
        self.layers = nn.ModuleList(layers)  # 20 convolutions and four poolings
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.is_dense = answer == "dense"
        self.fc = nn.Linear(1024, classes) if self.is_dense else nn.Conv2d(1024, classes, 1)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_sides("YOLO's classifier", images, smallest=32)
        check_batch(images, 64, learns=self.training and self.normalised)
        maps: dict[int, Tensor] = {}
        x = images
        for layer in self.layers:
            if isinstance(layer, nn.MaxPool2d):
                maps[2 ** (len(maps) + 1)] = x  # [N, 64 ... 1024, 112 ... 14, 112 ... 14]
            x = layer(x)
        return {**maps, 32: x}  # [N, 1024, 7, 7]

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        if self.is_dense:
            return self.fc(self.pool(features[32]).flatten(1))  # [N, K]
        return self.pool(F.leaky_relu(self.fc(features[32]), SLOPE)).flatten(1)  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


def yolov1_classifier(
    *, classes: int, in_channels: int, normalised: bool = False, answer: Answer = "dense"
) -> nn.Module:
    """YOLO's classifier.

    ``normalised``: BatchNorm behind each convolution, instead of biases. ``answer``: a dense layer behind the pooling,
    or a convolution with a leaky ReLU before it, as released.
    """
    return YOLOv1Classifier(classes=classes, in_channels=in_channels, normalised=normalised, answer=answer)
