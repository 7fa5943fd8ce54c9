"""The images and annotations of a COCO file as columns: a million of them are held as arrays."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.objects.coco_outlines import outlines_of
from visus.data.formats.objects.outlined_objects import Outline
from visus.data.formats.texts.json_blocks import read_json
from visus.errors import DataError

Key = int | str
"""An id: a number, also where it is written as text."""

_SHAPES = re.compile("box|poly|segment|mask|contour|outline|rle|rect|xyxy|xywh|coord|corner|point|geometr|region")
_SIDES = {"x", "y", "x1", "y1", "x_min", "y_min", "xmin", "ymin", "cx", "cy", "x_center", "y_center", "left", "top"}
_FEWEST_NUMBERS = 4  # in the text of a box

_LAYOUT = "categories (id, name), images (id, file_name), annotations (image_id, category_id, bbox)"


@dataclass(slots=True, eq=False)
class CocoFile:
    """One file: I images, N annotations, and its categories.

    Args:
        path: of the file.
        categories: as they are written.
        image_ids: I, as they are written.
        names: I file names.
        sizes: [I,2] (height, width) as stated; 0 where nothing usable is stated.
        image_of: N ids of images, as they are written.
        category_of: N category ids.
        boxes: [N,4] x, y, width, height; NaN where something else is written.
        boxless: [N] bool: no box is written at all.
        crowds: [N] bool.
        outlines: N, None for an annotation without.
        points: from the position of an annotation to its key points, as they are written.
        other_shapes: the keys, other than COCO's, that seem to hold boxes or outlines of annotations without both.
    """

    path: Path
    categories: list[dict[str, Any]] = field(default_factory=list)
    image_ids: list[Any] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    sizes: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    image_of: list[Any] = field(default_factory=list)
    category_of: list[Key] = field(default_factory=list)
    boxes: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))
    boxless: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    crowds: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    outlines: list[Outline | None] = field(default_factory=list)
    points: dict[int, list[Any]] = field(default_factory=dict)
    other_shapes: set[str] = field(default_factory=set)

    @property
    def drawn(self) -> bool:
        """Whether any annotation has a box, an outline or key points."""
        return not self.boxless.all() or bool(self.points) or any(outline is not None for outline in self.outlines)


def load_coco(path: Path) -> CocoFile:
    """A COCO file as columns.

    Raises:
        DataError: if it is no JSON, or not laid out as COCO; panoptic and caption files are named.
    """
    columns = _Columns(CocoFile(path))
    rest = read_json(path, {"images": columns.add_images, "annotations": columns.add_annotations})
    file = columns.finish()
    try:
        file.categories = [{**item, "id": item["id"], "name": item["name"]} for item in rest["categories"]]
        for name in ("images", "annotations"):
            if name in rest:
                raise TypeError(f"{name} that are no list")
        if columns.found != {"images", "annotations"}:
            raise KeyError(*({"images", "annotations"} - columns.found))
    except (KeyError, TypeError, ValueError) as error:
        raise _not_coco(path, error) from error
    return file


def key_of(value: Any) -> Key:
    """An id to compare: whole numbers are equal however they are written (3, 3.0, "3", " 3.0 "); all else is text.

    Raises:
        TypeError: if it is neither a number nor text.
    """
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() else repr(value)
    if isinstance(value, str):
        text = value.strip()
        try:
            return key_of(int(text) if text.lstrip("+-").isdecimal() else float(text))
        except ValueError:
            return text
    raise TypeError(f"an id that is neither a number nor text: {value!r}"[:200])


def _not_coco(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path} is not laid out as COCO", expected=_LAYOUT, got=f"{type(error).__name__}: {str(error)[:200]}"
    )


class _Columns:
    """Turns blocks of JSON entries into columns."""

    def __init__(self, file: CocoFile) -> None:
        self.found: set[str] = set()
        self._file = file
        self._sizes: list[tuple[int, int]] = []
        self._boxes: list[NDArray[np.float64]] = [file.boxes]
        self._boxless: list[list[bool]] = []
        self._crowds: list[list[bool]] = []

    def add_images(self, block: list[Any]) -> None:
        self.found.add("images")
        try:
            self._file.image_ids += [image["id"] for image in block]
            names = [image["file_name"] for image in block]
            if not all(isinstance(name, str) for name in names):
                raise TypeError("a file_name that is no text")
            self._file.names += names
            self._sizes += [(_side(image.get("height")), _side(image.get("width"))) for image in block]
            hash(tuple(self._file.image_ids[-len(block) :]))
        except (KeyError, TypeError, AttributeError) as error:
            raise _not_coco(self._file.path, error) from error

    def add_annotations(self, block: list[Any]) -> None:
        self.found.add("annotations")
        try:
            if block:
                _refuse_other_kinds(self._file.path, block[0])
            start = len(self._file.image_of)
            images = [item["image_id"] for item in block]
            hash(tuple(images))
            self._file.image_of += images
            categories = [item["category_id"] for item in block]
            self._file.category_of += [value if type(value) is int else _number(key_of(value)) for value in categories]
            self._crowds.append([item.get("iscrowd", 0) in _TRUE for item in block])
            written = [item.get("bbox") for item in block]
            self._boxless.append([not box for box in written])
            self._boxes.append(_boxes_of(written))
            outlines = outlines_of([item.get("segmentation") for item in block])
            self._file.outlines += outlines
            if all(self._boxless[-1]) and not any(outlines):
                self._file.other_shapes |= {key for item in block for key, value in item.items() if _shaped(key, value)}
            self._file.points |= {start + i: item["keypoints"] for i, item in enumerate(block) if item.get("keypoints")}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _not_coco(self._file.path, error) from error

    def finish(self) -> CocoFile:
        """The file with its columns joined."""
        file = self._file
        file.sizes = np.asarray(self._sizes, np.int64).reshape(-1, 2)
        file.boxes = np.concatenate(self._boxes)
        file.boxless = np.asarray([value for part in self._boxless for value in part], bool)
        file.crowds = np.asarray([value for part in self._crowds for value in part], bool)
        return file


_TRUE = (1, True, "1", "true", "True")


def _refuse_other_kinds(path: Path, item: Any) -> None:
    """Names files of COCO's other tasks, which hold no objects."""
    if "segments_info" in item:
        raise DataError(
            f"{path} is COCO's panoptic format, but its PNG files are not there",
            expected=f"a folder {path.stem}/ of PNG files beside it",
            got="annotations with segments_info, whose pixels are in PNG files",
            remedy="put the folder beside the JSON file, or export instances",
        )
    if "caption" in item and not item.keys() & {"bbox", "segmentation"}:
        raise DataError(
            f"{path} holds captions, which no task of visus learns from",
            expected="annotations with category_id and bbox or segmentation",
            got="annotations with caption",
            remedy="name COCO's instances or key point file of the same images",
        )


def _shaped(key: str, value: Any) -> bool:
    """Whether a key of an annotation seems to hold a box, an outline or a part of them."""
    name = key.lower()
    if isinstance(value, str):
        return bool(_SHAPES.search(name)) and len(re.findall(r"\d+", value)) >= _FEWEST_NUMBERS
    if isinstance(value, list | dict):
        return bool(value) and bool(_SHAPES.search(name))
    return value is not None and name in _SIDES


def _number(key: Key) -> Key:
    if isinstance(key, str):
        raise TypeError(f"a category_id that is no number: {key!r}"[:200])
    return key


def _side(value: Any) -> int:
    """A side in pixels; 0 for anything that is none."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0
    return int(number) if math.isfinite(number) and 1 <= number < 1 << 31 else 0


def _boxes_of(written: Sequence[Any]) -> NDArray[np.float64]:
    """[B,4] of B boxes as they are written."""
    try:
        boxes = np.asarray(written, np.float64)
        if boxes.shape == (len(written), 4):
            return boxes
    except (TypeError, ValueError, OverflowError):
        pass
    return np.asarray([_box(value) for value in written], np.float64).reshape(-1, 4)


def _box(value: Any) -> tuple[float, float, float, float]:
    try:
        if isinstance(value, str):
            value = value.strip(" []()").replace(",", " ").split()
        x, y, width, height = (float(number) for number in value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return (math.nan, math.nan, math.nan, math.nan)
    return (x, y, width, height)
