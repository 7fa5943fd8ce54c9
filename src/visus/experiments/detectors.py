"""Comparisons of detectors: which are trained on the same images, and what their papers say of them. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Literal

from visus.experiments.detector_outcome import DetectorOutcome
from visus.experiments.outcome import Check

Picture = Literal["bars", "scatter"]


@dataclass(frozen=True, slots=True)
class Contender:
    """One of the detectors that are compared.

    Args:
        name: in tables and figures.
        model: without its backbone.
        backbone: on which it stands; "" for the comparison's.
        family: what it is, whatever its backbone and size: the marker of a scatter plot.
        recipe: a recipe or phases; "" for the model's own for own data.
        changes: of the recipe.
        published: seconds an image that its paper, or that of a successor, prints; None: none.
        source: where that stands.
    """

    name: str
    model: str
    backbone: str = ""
    family: str = ""
    recipe: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)
    published: float | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class DetectorComparison:
    """Detectors that are trained as for own data, and scored on its test split.

    Args:
        name: on the command line.
        title: of the figure.
        paper: authors, title, venue, and the figure or table.
        claim: what the papers saw, in one sentence.
        setup: how this differs.
        backbone: of contenders that name none.
        changes: of every recipe.
        contenders: at least one.
        judge: from what came out to the checks of the claim.
        picture: "bars": seconds an image in parts; "scatter": quality over seconds, with the Pareto front.
        seeds: trainings of each.
    """

    name: str
    title: str
    paper: str
    claim: str
    setup: str
    backbone: str
    contenders: tuple[Contender, ...]
    judge: Callable[[DetectorOutcome], Sequence[Check]]
    picture: Picture
    changes: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 1

    def model_of(self, contender: Contender) -> str:
        """The name of a contender's model, with its backbone."""
        return f"{contender.model}+{contender.backbone or self.backbone}"


_GENERATIONS = ("R-CNN", "SPP-net", "Fast R-CNN", "Faster R-CNN, jointly")
_TALK = "Girshick 2015, talk on Fast R-CNN at ICCV, without proposals"


def _judge_lineage(outcome: DetectorOutcome) -> Sequence[Check]:
    return tuple(
        outcome.faster(later, earlier, f"{later} needs less time for an image than {earlier}")
        for earlier, later in pairwise(_GENERATIONS)
    )


_FEW: Mapping[str, Any] = MappingProxyType({"proposals": 500})
"""A quarter of the papers' 2,000: on a CPU all of them would take R-CNN ten seconds an image."""

LINEAGE = DetectorComparison(
    name="detector-lineage",
    title="Six generations of region-based detectors",
    paper="Girshick: Fast R-CNN, ICCV 2015, and its talk; Ren, He, Girshick, Sun: Faster R-CNN, NIPS 2015, table 5; "
    "Dai, Li, He, Sun: R-FCN, NIPS 2016, table 3",
    claim="From 47 seconds an image (R-CNN) over 2.3 (SPP-net) and 0.32 (Fast R-CNN) to 0.2 (Faster R-CNN).",
    setup="the papers stand on VGG-16 and measure on GPUs, on PASCAL VOC; here all stand on one small backbone, see "
    "the same images at the same size, and run on one machine; those that propose nothing themselves are given 500 "
    "regions an image, not 2,000. The published seconds of R-CNN, SPP-net and Fast R-CNN are without proposals, those "
    "of the others with them; here both are told apart",
    backbone="mobilenet_v2",
    contenders=(
        Contender("R-CNN", "rcnn", changes=_FEW, published=47.0, source=_TALK),
        Contender("SPP-net", "spp_net", changes=_FEW, published=2.3, source=_TALK),
        Contender("Fast R-CNN", "fast_rcnn", changes=_FEW, published=0.32, source=_TALK),
        Contender("Faster R-CNN, jointly", "faster_rcnn", published=0.198, source="Ren et al. 2015, table 5: VGG"),
        Contender("Faster R-CNN, 4 steps", "faster_rcnn", recipe="faster-rcnn-4-step"),
        Contender("R-FCN", "r_fcn", published=0.17, source="Dai et al. 2016, table 3: ResNet-101"),
        Contender("YOLO v3", "yolov3"),
        Contender("RetinaNet", "retinanet"),
    ),
    judge=_judge_lineage,
    picture="bars",
    changes=MappingProxyType({"size": (320, 416), "fit": "stretch"}),
)

_META = (("SSD", "ssd"), ("Faster R-CNN", "faster_rcnn"), ("R-FCN", "r_fcn"))
_BACKBONES = ("mobilenet_v1_050", "mobilenet_v2")
_SIZES = ((256, 320), (384, 480))


def _named(family: str, backbone: str, size: tuple[int, int]) -> str:
    return f"{family} on {backbone}, {size[1]} x {size[0]}"


def _judge_trade(outcome: DetectorOutcome) -> Sequence[Check]:
    checks = []
    for backbone in _BACKBONES:
        for size in _SIZES:
            faster, ssd = _named("Faster R-CNN", backbone, size), _named("SSD", backbone, size)
            where = f"on {backbone} at {size[1]} x {size[0]}"
            checks.append(outcome.faster(ssd, faster, f"{where}, SSD is faster than Faster R-CNN"))
            checks.append(outcome.better(faster, ssd, f"{where}, Faster R-CNN is more accurate than SSD"))
    for family, _ in _META:
        for backbone in _BACKBONES:
            small, large = (_named(family, backbone, size) for size in _SIZES)
            checks.append(outcome.better(large, small, f"{family} on {backbone} is more accurate on larger images"))
    return tuple(checks)


TRADE = DetectorComparison(
    name="speed-accuracy",
    title="Speed and accuracy of detectors",
    paper="Huang et al.: Speed/accuracy trade-offs for modern convolutional object detectors, CVPR 2017, figure 2",
    claim="Faster R-CNN is slower and more accurate, SSD and R-FCN are faster; larger images and backbones help.",
    setup="the paper compares them on COCO with six backbones, on a GPU; here two small backbones and two sizes of "
    "images, trained as for own data",
    backbone="mobilenet_v2",
    contenders=tuple(
        Contender(
            _named(family, backbone, size),
            model,
            backbone,
            f"{family} on {backbone}",
            changes={"size": size, "fit": "stretch"},
        )
        for family, model in _META
        for backbone in _BACKBONES
        for size in _SIZES
    ),
    judge=_judge_trade,
    picture="scatter",
)

COMPARISONS: Mapping[str, DetectorComparison] = MappingProxyType(
    {comparison.name: comparison for comparison in (LINEAGE, TRADE)}
)
"""Name -> comparison."""
