"""Label Studio's JSON and JSON-MIN: a list of tasks with the regions that people drew, in per cent of the image.

Source: the page "Export annotations" of its documentation, and files by the converter of label-studio-sdk 2.1.2.
A rectangle is turned about its upper left corner, clockwise in degrees. A brush is a run-length code over the four
channels of the image, of which the last is the mask. Choices of a whole image are its tags. Of several annotations of
a task one is taken: the one marked as ground truth, else the first that was finished.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.listing import Listing, split_name
from visus.data.formats.objects.annotated_images import (
    AnnotatedImage,
    AnnotatedImages,
    DrawnObject,
    Point,
    Size,
)
from visus.data.formats.objects.drawn_shapes import (
    Box,
    ellipse,
    extent,
    from_base64,
    mask_of_png,
    mask_outline,
    turned_box,
)
from visus.data.formats.objects.outlined_objects import Outline
from visus.data.formats.objects.run_lengths import decode_brush
from visus.data.formats.reading import ALL, Format, Reading, Tally
from visus.data.formats.stated_splits import split_of_folder
from visus.data.formats.texts.label_json import Probe, json_files, load_json, probes
from visus.data.pixels.image_kinds import IMAGE_SUFFIXES
from visus.errors import DataError

_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")  # what the server puts before the name of an uploaded file
_NO_REGION = ("relation", "textarea", "rating", "number", "datetime", "pairwise", "taxonomy", "ranker")


def _is_task(task: Any) -> bool:
    """Whether a value is a task of the full form, of the small one, or an annotation with its task in it."""
    if not isinstance(task, dict):
        return False
    annotations = task.get("annotations", task.get("completions"))
    if isinstance(annotations, list) and isinstance(task.get("data"), dict):
        return True
    if isinstance(task.get("task"), dict) and isinstance(task.get("result"), list):
        return isinstance(task["task"].get("data"), dict)
    return "annotation_id" in task and "annotator" in task


def _is_label_studio(probe: Probe) -> bool:
    if probe.content is None:
        return probe.has("annotation_id", "annotator") or probe.has("data", "annotations", "result")
    tasks = probe.content if isinstance(probe.content, list) else [probe.content]
    return any(_is_task(task) for task in tasks[:3])


def _recognise(listing: Listing) -> bool:
    return any(_is_label_studio(probe) for probe in listing.once(probes))


def _read(listing: Listing) -> Reading:
    reader = _Reader(listing)
    for paths in listing.once(json_files).values():
        for path in paths:
            reader.read(path)
    return reader.reading()


class _Reader:
    """Reads the JSON files of a data set one after the other."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._tally = Tally()
        self._images = AnnotatedImages(listing, self._tally)
        self._seen: set[tuple[Path, Any]] = set()
        self._tasks = 0

    def reading(self) -> Reading:
        """The samples of all files."""
        undone = self._tally.count("task-not-done")
        if undone and undone == self._tasks:
            raise DataError(
                f"no task in {self._listing.source} has a finished annotation",
                expected="annotations that were submitted; predictions of a model are none",
                got=f"{undone:,} tasks without",
                remedy="submit annotations in Label Studio, or accept its predictions there, and export again",
            )
        return self._images.reading()

    def read(self, path: Path) -> None:
        """Adds the tasks of one file; other JSON files are passed over, and the account names them."""
        name = self._listing.name_of(path)
        split = split_name(path.stem) or split_of_folder(self._listing, path.parent)
        try:
            content = load_json(path, "Label Studio's JSON")
        except DataError as error:
            self._tally.found("label files")
            self._tally.lose_file(path, error.problem, split)
            return
        tasks = content if isinstance(content, list) else [content]
        if not any(_is_task(task) for task in tasks[:3]):
            return
        self._tally.found("label files")
        self._tally.read(path)
        finder = ImageFinder(self._listing, self._tally, beside=path.parent)
        for number, task in enumerate(tasks):
            if _is_task(task):
                self._read_task(task, f"{name}, task {task.get('id', number + 1)}", split, finder)
            else:
                message = "{count} tasks cannot be understood"
                self._tally.lose("unreadable-task", message, f"{name}, task {number + 1}", unit="image files")

    def _read_task(self, task: dict[str, Any], source: str, split: str, finder: ImageFinder) -> None:
        self._tasks += 1
        data, results = self._chosen(task, source)
        if results is None:
            message = "{count} tasks have no finished annotation; not used"
            self._tally.add("task-not-done", "note", message, source)
            return
        names = list(_image_names(data, str(task.get("file_upload") or "")))
        found = next((path for name in names if (path := finder.find(name, "" if split == ALL else split))), None)
        if found is None:
            cause = "put the images beside the JSON file, or into a folder there"
            self._tally.lose_images([names[0] if names else source], split, cause=cause)
            return
        key = (found, task.get("id")) if "annotation_id" in task else (found, None)
        if "annotation_id" in task and key in self._seen:
            self._tell_several(source)  # the small form repeats a task for each annotator
            return
        self._seen.add(key)
        image = self._images.open(found, split, source)
        if image is not None:
            self._read_results(image, results)

    def _tell_several(self, source: str) -> None:
        message = "{count} images have more than one annotation; the ground truth is taken, or else the first"
        self._tally.add("several-annotations", "note", message, source)

    def _chosen(self, task: dict[str, Any], source: str) -> tuple[Mapping[str, Any], list[dict[str, Any]] | None]:
        """The data of a task, and the results of the annotation that is taken; None where none is finished."""
        if "annotation_id" in task:
            return task, _results_of_columns(task)
        if "result" in task:
            return task["task"]["data"], [item for item in task["result"] if isinstance(item, dict)]
        annotations = [
            item
            for item in _listed(task.get("annotations", task.get("completions")))
            if isinstance(item, dict) and isinstance(item.get("result"), list) and not item.get("was_cancelled")
        ]
        if len(annotations) > 1:
            self._tell_several(source)
        annotations.sort(key=lambda item: not item.get("ground_truth"))
        results = annotations[0]["result"] if annotations else None
        return task["data"], None if results is None else [item for item in results if isinstance(item, dict)]

    def _read_results(self, image: AnnotatedImage, results: list[dict[str, Any]]) -> None:
        """Adds the regions and choices of one annotation. Results of one id describe one region."""
        regions: dict[Any, list[dict[str, Any]]] = {}
        for number, result in enumerate(results):
            regions.setdefault(result.get("id", number), []).append(result)
        points: dict[Any, list[Point]] = {}
        areas: dict[Any, float] = {}
        for identity, parts in regions.items():
            values = [value for part in parts if isinstance(value := part.get("value"), dict)]
            if any(part.get("type") in _NO_REGION for part in parts) and len(parts) == 1:
                continue
            geometry = next((value for value in values if _has_place(value)), None)
            labels = [str(label) for value in values for label in _labels(value)]
            choices = [str(label) for value in values for label in _listed(value.get("choices"))]
            if geometry is None:
                if choices:
                    question = str(parts[0].get("from_name") or "choices")
                    self._images.answer(image, question, *choices)
                elif labels:
                    self._images.lose_unreadable(image, ValueError(f"a region of the type {parts[0].get('type')}"))
                continue
            if any(part.get("image_rotation") for part in parts):
                message = "{count} regions were drawn on an image that was turned in Label Studio: the place is unknown"
                self._tally.add("turned-in-tool", "stop", message, image.source)
            label = next(iter(labels or choices), None)
            if len(labels) > 1:
                message = "{count} regions have several labels; the first is taken"
                self._tally.add("several-labels", "note", message, f"{image.source}: {', '.join(labels)}")
            try:
                if label is None:
                    raise ValueError("a region without a label")
                if "x" in geometry and "height" not in geometry and "radiusX" not in geometry:
                    x, y = _scaled([[geometry["x"], geometry["y"]]], image.size)[0].tolist()
                    points.setdefault(parts[0].get("parentID"), []).append((label, x, y, True))
                    continue
                drawn = self._drawn(geometry, label, image)
            except (KeyError, TypeError, ValueError, OverflowError, DataError) as error:
                self._images.lose_unreadable(image, error, label or "")
                continue
            if drawn is None:
                self._images.lose_shape(image, "a mask without a pixel", label)
            else:
                image.objects.append(drawn)
                x1, y1, x2, y2 = drawn.box
                areas[identity] = (x2 - x1) * (y2 - y1)
        for parent, group in points.items():
            self._images.add_points(image, group, areas.get(parent, 0))

    def _drawn(self, value: dict[str, Any], label: str, image: AnnotatedImage) -> DrawnObject | None:
        """The object of a region; None for a mask without a pixel."""
        turn = float(value.get("rotation") or 0)
        if "rle" in value or "imageDataURL" in value:
            mask = self._mask(value, image)
            return None if mask is None else DrawnObject(label, mask[1], mask[0])
        if "points" in value:
            corners = _scaled(value["points"], image.size)
            if len(corners) < 3 or value.get("closed") is False:
                raise ValueError("a line, or a polygon of less than 3 corners")
            return DrawnObject(label, extent([corners]), (corners,))
        if "radiusX" in value:
            x, y = _scaled([[value["x"], value["y"]]], image.size)[0].tolist()
            radii = _scaled([[value["radiusX"], value["radiusY"]]], image.size)[0].tolist()
            outline, box = ellipse(x, y, radii[0], radii[1], turn)
            return DrawnObject(label, box, outline)
        x1, y1 = _scaled([[value["x"], value["y"]]], image.size)[0].tolist()
        across, down = _scaled([[value["width"], value["height"]]], image.size)[0].tolist()
        box = (x1, y1, x1 + across, y1 + down)
        if turn % 360:
            self._images.tell_turned(image, label)
            box = extent([turned_box(box, turn, (x1, y1))])
        return DrawnObject(label, box)

    def _mask(self, value: dict[str, Any], image: AnnotatedImage) -> tuple[Outline, Box] | None:
        if "rle" in value:
            return mask_outline(decode_brush(value["rle"], image.size), 0, 0, image.size)
        text = str(value["imageDataURL"])
        mask = mask_of_png(from_base64(text.partition(",")[2], image.source), f"a region of {image.source}")
        if mask.shape != image.size:
            raise ValueError(f"a mask of {mask.shape[0]} x {mask.shape[1]} pixels")
        return mask_outline(mask, 0, 0, image.size)


def _results_of_columns(task: dict[str, Any]) -> list[dict[str, Any]]:
    """The results of the small form: its fields between "id" and "annotator" are the answers."""
    fields = list(task)
    first = fields.index("id") + 1 if "id" in fields else 0
    results: list[dict[str, Any]] = []
    for name in fields[first : fields.index("annotator")]:
        value = task[name]
        if isinstance(value, str):  # one choice
            results.append({"from_name": name, "value": {"choices": [value]}})
        elif isinstance(value, dict) and "choices" in value:
            results.append({"from_name": name, "value": value})
        elif isinstance(value, list):
            results += [{"from_name": name, "value": item, **item} for item in value if isinstance(item, dict)]
    return [result | {"id": number} for number, result in enumerate(results)]


def _image_names(data: Mapping[str, Any], uploaded: str) -> Iterator[str]:
    """The names under which the image of a task may lie here, the likeliest first."""
    texts = {key: value for key, value in data.items() if isinstance(value, str) and len(value) < 4096}
    keys: list[str] = [key for key in ("image", "img", "photo", "picture") if key in texts]
    keys += [key for key, value in texts.items() if key not in keys and _ends_like_image(value)]
    for name in [*(texts[key] for key in keys), *([uploaded] if uploaded else [])]:
        yield name
        folder, slash, last = name.rpartition("/")
        if _UPLOADED.match(last):
            yield folder + slash + _UPLOADED.sub("", last)


def _ends_like_image(text: str) -> bool:
    return Path(text.partition("?")[0] if "?d=" not in text else text).suffix.lower() in IMAGE_SUFFIXES


def _has_place(value: dict[str, Any]) -> bool:
    return any(key in value for key in ("x", "points", "rle", "imageDataURL"))


def _labels(value: dict[str, Any]) -> list[Any]:
    """The labels of a region: in ``rectanglelabels``, ``brushlabels`` and so on, or ``labels``."""
    return [label for key, labels in value.items() if key.endswith("labels") for label in _listed(labels)]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _scaled(pairs: Any, size: Size) -> np.ndarray[Any, np.dtype[np.float64]]:
    """[P,2]: pixels (x, y) of pairs in per cent."""
    values = np.asarray(pairs, np.float64).reshape(-1, 2) / 100 * (size[1], size[0])
    if not np.isfinite(values).all():
        raise ValueError("a coordinate that is no number")
    return values


FORMAT = Format("label-studio", "Label Studio's JSON or JSON-MIN beside the images", _recognise, _read)
