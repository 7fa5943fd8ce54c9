"""Explains what a detector learns from an image; each kind of detector has an explanation of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from torch import nn

from visus.errors import TaskMismatchError
from visus.explanation.regions import ExplainedRegions, explain_regions
from visus.explanation.targets import ExplainedTargets, explain_predictors
from visus.structures import Batch

Explained = ExplainedTargets | ExplainedRegions

EXPLANATIONS: Mapping[str, Callable[..., Explained]] = MappingProxyType(
    {"predictors": explain_predictors, "regions": explain_regions}
)
"""By what a codec says that it assigns objects to."""


def explain_targets(
    network: nn.Module,
    batch: Batch,
    pixels: NDArray[np.uint8],
    *,
    classes: tuple[str, ...] | None,
    model: str,
    score: float,
    answers: bool = True,
    fill: int = 0,
) -> Explained:
    """Finds which objects of one image a detector learns where, and what it answers.

    Args:
        network: on the batch's device; in any mode, it is run in eval mode.
        batch: of one normalised image [1,C,H,W]; its targets a list of one Detections in network pixels, or None.
        pixels: [3,h,w] uint8: the file.
        classes: the names of the network's classes; None: their numbers.
        model: the name of the network.
        score: predictions below it are not shown.
        answers: whether the network is trained, so that its predictions are shown.
        fill: the grey value, 0..255, of the pixels outside the file.

    Raises:
        ShapeError: if the network has another number of classes.
        TaskMismatchError: if the network is not a detector of these kinds.
    """
    explain = EXPLANATIONS[require_explained(network, model)]
    return explain(network, batch, pixels, classes=classes, model=model, score=score, answers=answers, fill=fill)


def require_explained(network: nn.Module, model: str) -> str:
    """The kind of a detector's explanation.

    Raises:
        TaskMismatchError: if the network's codec says of nothing that it assigns objects to it.
    """
    kind = getattr(getattr(network, "codec", None), "assigns", None)
    if kind in EXPLANATIONS:
        return str(kind)
    raise TaskMismatchError(
        f"{model} is not a detector with anchors, default boxes or proposals",
        expected="a detector: ssd, retinanet, a yolo or an R-CNN",
        got=type(network).__name__,
        remedy="visus models --task detection lists the detectors",
    )
