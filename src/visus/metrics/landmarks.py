"""Scores of landmarks: the distances of predicted points from the true points.

The normalised error is the distance by the square root of the image's area. PCK is the share of points within 0.1 of
the longer side of the object's box (Yang and Ramanan, "Articulated human detection with flexible mixtures of parts",
PAMI 2013), here of the box around the visible points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.metrics.pairing import require_pairs
from visus.structures import Landmarks

ALPHA = 0.1


class LandmarkMetric:
    """Collects points and scores them.

    Args:
        classes: names of the K points.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self._errors: list[NDArray[np.float64]] = []  # [K] distance by the image's size, NaN where not visible
        self._hits: list[NDArray[np.float64]] = []  # [K] 1 within PCK's distance, 0 not, NaN undefined
        self._seen: list[NDArray[np.bool_]] = []  # [K] visibility judged right

    def update(self, predictions: Sequence[Landmarks], targets: Sequence[Landmarks]) -> None:
        """Adds images, each with one prediction and one target, both in file pixels.

        Raises:
            ShapeError: if their numbers differ.
        """
        require_pairs(predictions, targets)
        for prediction, target in zip(predictions, targets, strict=True):
            distance = np.linalg.norm(prediction.points.astype(np.float64) - target.points, axis=1)
            distance[~target.visible] = np.nan
            self._errors.append(distance / np.sqrt(target.size[0] * target.size[1]))
            known = target.points[target.visible]
            side = float((known.max(0) - known.min(0)).max()) if len(known) > 1 else 0.0
            hit = (distance <= ALPHA * side).astype(np.float64)
            self._hits.append(np.where(target.visible & (side > 0), hit, np.nan))
            self._seen.append(prediction.visible == target.visible)

    def compute(self) -> dict[str, Any]:
        """The scores; None for a score that no visible point defines.

        Returns:
            ``pck``: share of visible points within 0.1 of the longer side of the box around the image's visible points;
            ``normalized_error``: the mean distance by the square root of the image's area; ``visibility_accuracy``;
            ``per_class``: a table with points, pck and normalized_error of each; ``counts``.
        """
        shape = (len(self._errors), len(self.classes))
        errors, hits = np.reshape(self._errors, shape), np.reshape(self._hits, shape)
        seen = np.reshape(self._seen, shape)
        table = [
            {
                "class": name,
                "points": int(np.isfinite(errors[:, k]).sum()),
                "pck": _mean(hits[:, k]),
                "normalized_error": _mean(errors[:, k]),
            }
            for k, name in enumerate(self.classes)
        ]
        return {
            "pck": _mean(hits),
            "normalized_error": _mean(errors),
            "visibility_accuracy": _mean(seen.astype(np.float64)),
            "per_class": table,
            "counts": {"images": len(errors), "points": int(np.isfinite(errors).sum())},
        }


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None
