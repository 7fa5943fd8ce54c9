"""Finds anchors that fit the boxes of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visus.data.messages import counted
from visus.errors import DataError, DiskError, RecipeError, UsageError
from visus.workflow.folders import make_folder

LARGEST_COUNT = 100
_SHOWN = 12
"""The curve goes to at least this many anchors: past the elbow of the paper's figure 2, at 5."""


@dataclass(frozen=True, slots=True)
class FoundAnchors:
    """The anchors that were found, and the fit for each number of anchors; prints as a table.

    Args:
        anchors: (width, height) in pixels of the network's input, in order of area.
        counts: how many boxes fit each of them best.
        mean_iou: of each box with the anchor that fits it best, in [0, 1].
        curve: the mean IoU of 1, 2 ... anchors.
        boxes: how many boxes were clustered.
        size: (height, width) of the network's input in pixels.
    """

    anchors: tuple[tuple[float, float], ...]
    counts: tuple[int, ...]
    mean_iou: float
    curve: tuple[float, ...]
    boxes: int
    size: tuple[int, int]

    @property
    def setting(self) -> str:
        """The argument of ``visus train --set`` that uses these anchors."""
        return f"model_options.anchors=[{','.join(f'[{w:g},{h:g}]' for w, h in self.anchors)}]"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "anchors": [list(shape) for shape in self.anchors],
            "counts": list(self.counts),
            "mean_iou": self.mean_iou,
            "curve": list(self.curve),
            "boxes": self.boxes,
            "size": list(self.size),
            "setting": self.setting,
        }

    def __str__(self) -> str:
        boxes, anchors = _counted(self.boxes, "box", "boxes"), _counted(len(self.anchors), "anchor", "anchors")
        lines = [f"{boxes} at {self.size[1]}x{self.size[0]} pixels, {anchors}:"]
        for (width, height), count in zip(self.anchors, self.counts, strict=True):
            lines.append(f"  {width:7.1f} x {height:<7.1f}  {_counted(count, 'box', 'boxes')}")
        lines.append(f"mean IoU {self.mean_iou:.1%}")
        lines.append("by number: " + ", ".join(f"{k + 1}: {iou:.1%}" for k, iou in enumerate(self.curve)))
        lines.append(f'--set "{self.setting}"')
        return "\n".join(lines)

    def save(self, path: str | Path) -> None:
        """Writes the curve as a picture: ``.svg`` or ``.png``.

        Raises:
            UsageError: for another suffix.
            DiskError: if the file cannot be written.
        """
        from visus.report.plots import anchor_curve, save_png, to_svg

        path = Path(path)
        if path.suffix not in (".svg", ".png"):
            raise UsageError(f"unknown picture format: {path}", expected=".svg or .png", got=path.suffix or "none")
        make_folder(path.parent)
        figure = anchor_curve(self.curve, len(self.anchors))
        if path.suffix == ".png":
            save_png(figure, path)
            return
        try:
            path.write_text(to_svg(figure), encoding="utf-8")
        except OSError as error:
            raise DiskError(f"cannot write {path}", got=str(error), remedy="choose another place") from None


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def find_anchors(
    data: str | Path,
    *,
    count: int = 5,
    size: int | tuple[int, int] = 416,
    fit: str = "letterbox",
    split: str = "train",
    format: str | None = None,
    seed: int = 0,
) -> FoundAnchors:
    """Finds the best anchors for the boxes of a data set, by k-means with 1 - IoU as the distance (YOLO v2, section 2).

    Args:
        data: folder, file or name, with boxes.
        count: number of anchors, 1 to 100; where there are fewer different boxes, there are fewer anchors.
        size: side, or (height, width), of the network's input in pixels, to which the boxes are scaled first.
        fit: how an image is brought to that size, as in the model: "letterbox", "stretch" or
            "shorter_side".
        split: whose boxes.
        format: the reader, when two could read it.
        seed: of the clustering's starts.

    Raises:
        DataError: if the data cannot be opened, or the split has no boxes.
        RecipeError: if ``count``, ``size`` or ``fit`` cannot be.
        TaskMismatchError: if the labels are no boxes.
    """
    from visus.data.inspection.box_shapes import box_shapes
    from visus.data.reading.opening import open_data
    from visus.ops.anchor_clustering import cluster_shapes
    from visus.structures import Preprocessing
    from visus.structures.preprocessing import Fit

    height, width = (size, size) if isinstance(size, int) else size
    if not 1 <= count <= LARGEST_COUNT:
        raise RecipeError("the number of anchors is out of range", expected=f"1 to {LARGEST_COUNT}", got=str(count))
    if min(height, width) < 1:
        raise RecipeError("the input size is too small", expected="a size of 1 or more", got=f"{height}x{width}")
    ways: dict[str, Fit] = {"letterbox": "letterbox", "stretch": "stretch", "shorter_side": "shorter_side"}
    if fit not in ways:
        raise RecipeError("unknown way to fit images to the input size", expected=" or ".join(ways), got=fit)
    dataset = open_data(data, task="detection", format=format)
    preprocessing = Preprocessing(size=(height, width), fit=ways[fit])
    shapes = box_shapes(dataset, split, preprocessing)
    if not len(shapes):
        raise DataError(
            f"{dataset.name} has no boxes in {split}",
            expected="images with objects",
            got=f"{counted(len(dataset.split(split)), 'images')} without any",
            remedy="choose another split with --split",
        )
    trials = [cluster_shapes(shapes, k, seed=seed) for k in range(1, max(count, _SHOWN) + 1)]
    best = trials[count - 1]
    return FoundAnchors(
        anchors=tuple((round(float(w), 2), round(float(h), 2)) for w, h in best.anchors),
        counts=tuple(int(number) for number in best.counts),
        mean_iou=best.mean_iou,
        curve=tuple(trial.mean_iou for trial in trials),
        boxes=len(shapes),
        size=(height, width),
    )
