"""Writes COCO annotation files, which visus and other tools can read.

Layout: the page "Data format" of the COCO data set (T.-Y. Lin et al., "Microsoft COCO", 2014). All ids begin at 1:
evaluators take an annotation with id 0 for none, and count its object as missed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from visus.data.formats.reading import ALL
from visus.data.writing.changes import Change, about_images, maps_as_objects, points_of_objects, tasks_left_out
from visus.data.writing.contents import Contents
from visus.data.writing.image_files import ImageFiles
from visus.data.writing.objects import ImageObjects
from visus.data.writing.shapes import coco_segmentation, round_number, shape_extent
from visus.data.writing.writer import Writer
from visus.structures.class_names import BACKGROUND_NAMES
from visus.structures.outlines import Piece

TASKS = ("landmarks", "detection", "instance_segmentation", "segmentation", "multilabel_segmentation")
"""Whose labels the format can hold."""

_VISIBLE = 2  # COCO's v: 0 not labelled, 1 labelled and hidden, 2 labelled and visible


class CocoWriter:
    """Collects the outlines of answers or labels image by image; keeps no masks and no images.

    A map gives an annotation for every piece of a class that hangs together by edges, but none for classes named
    background; detections give one for every object. Outlines follow the edges of the pixels and give back the very
    same pixels: polygons, or COCO's run-length code for what has holes.

    Args:
        classes: names of all classes of the answers; a category's id is its place among those that are not background,
            from 1 on, so that it is the class id where background is class 0.
        background: whether a class named background is a category, too.
        points: the names of the points of objects.
        pointed_class: the class whose objects have points; None: none has.
        about: a line about the data, for the file's "info"; "" for none.
    """

    def __init__(
        self,
        classes: Sequence[str],
        *,
        background: bool = False,
        points: Sequence[str] = (),
        pointed_class: int | None = None,
        about: str = "",
    ) -> None:
        kept = [i for i, name in enumerate(classes) if background or name.lower() not in BACKGROUND_NAMES]
        self._category = {i: number for number, i in enumerate(kept, 1)}
        self._categories: list[dict[str, Any]] = [{"id": self._category[i], "name": classes[i]} for i in kept]
        for entry in self._categories:
            if pointed_class is not None and entry["id"] == self._category[pointed_class]:
                entry |= {"keypoints": list(points), "skeleton": []}
        self._about = about
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def add(self, name: str, size: tuple[int, int], pieces: Iterable[Piece]) -> None:
        """Adds the answer for an image.

        Args:
            name: of its file.
            size: (height, width) in pixels.
            pieces: what ``Value.outlined`` gives.
        """
        number = self._add_image(name, size)
        for piece in pieces:
            if piece.label not in self._category:
                continue
            area, segmentation = coco_segmentation(piece, size)
            x1, y1, x2, y2 = map(int, shape_extent(piece, size)) if area else (0, 0, 0, 0)
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": number,
                    "category_id": self._category[piece.label],
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": area,
                    "iscrowd": 0,
                    "segmentation": segmentation,
                    **({} if piece.score is None else {"score": round(piece.score, 6)}),
                }
            )

    def add_objects(self, name: str, objects: ImageObjects) -> None:
        """Adds the labels of an image: boxes, outlines as they stand, crowds and points. name: of its file."""
        number = self._add_image(name, objects.size)
        for i, (box, outline) in enumerate(zip(objects.boxes, objects.outlines, strict=True)):
            x1, y1, x2, y2 = box.tolist()
            crowd = bool(objects.ignored[i])
            area, segmentation = (x2 - x1) * (y2 - y1), None
            if outline is not None:
                area, segmentation = coco_segmentation(outline, objects.size, crowd=crowd)
            entry: dict[str, Any] = {
                "id": len(self._annotations) + 1,
                "image_id": number,
                "category_id": self._category[int(objects.labels[i])],
                "bbox": [round_number(x1), round_number(y1), round_number(x2 - x1), round_number(y2 - y1)],
                "area": round_number(area),
                "iscrowd": int(crowd),
            }
            if segmentation is not None:
                entry["segmentation"] = segmentation
            if objects.points is not None and objects.pointed == i:
                entry |= _keypoints(objects)
            self._annotations.append(entry)

    def document(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        info = {"info": {"description": self._about}} if self._about else {}
        return info | {"images": self._images, "categories": self._categories, "annotations": self._annotations}

    def _add_image(self, name: str, size: tuple[int, int]) -> int:
        number = len(self._images) + 1
        self._images.append({"id": number, "file_name": name, "height": size[0], "width": size[1]})
        return number


def _keypoints(objects: ImageObjects) -> dict[str, Any]:
    points = objects.points
    if points is None:
        return {}
    values: list[float | int] = []
    for (x, y), visible in zip(points.points.tolist(), points.visible.tolist(), strict=True):
        values += [round_number(x), round_number(y), _VISIBLE] if visible else [0, 0, 0]
    return {"keypoints": values, "num_keypoints": int(points.visible.sum())}


def _changes(contents: Contents) -> list[Change]:
    changes = [*about_images(contents), *tasks_left_out(contents, contents.kept_tasks, TASKS)]
    return [*changes, *maps_as_objects(contents, "coco"), *points_of_objects(contents)]


def _write(contents: Contents, folder: Path, images: ImageFiles) -> None:
    (folder / "annotations").mkdir()
    posed = contents.task == "landmarks"
    names = contents.dataset.classes["landmarks"] if posed else ()
    for split, samples in contents.splits.items():
        about = f"{contents.dataset.name}: {contents.task} labels{'' if split == ALL else ', ' + split}"
        writer = CocoWriter(
            contents.object_classes,
            background=True,
            points=names,
            pointed_class=(contents.pointed_class or 0) if posed else None,
            about=f"{about}, written by visus",
        )
        target = folder / "images" / ("" if split == ALL else split)
        target.mkdir(parents=True)
        for name, sample in images.named(split, samples):
            images.place(sample, target / name)
            writer.add_objects(name, contents.objects(sample))
        file = folder / "annotations" / f"instances{'' if split == ALL else '_' + split}.json"
        file.write_text(json.dumps(writer.document(), ensure_ascii=False), encoding="utf-8")


WRITER = Writer(
    "coco",
    "images, and one COCO JSON file for each split",
    TASKS,
    _changes,
    _write,
    as_objects=True,
)
