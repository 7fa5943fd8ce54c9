"""The YAML file of a YOLO data set: class names, points of poses, and where the images of each split are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visus.data.formats.listing import Listing, split_name
from visus.data.formats.masks.class_lists import fill_gaps, read_lines
from visus.data.formats.reading import Tally
from visus.data.messages import counted
from visus.errors import DataError
from visus.files.plain_values import read_yaml

MOST_CLASSES = 100_000
"""A larger class number is a fault of the file."""

_MOST_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class PoseShape:
    """What a line of a pose holds after its box.

    Args:
        names: of the K points.
        numbers: for each point: 2 (x, y) or 3 (and whether it is visible).
        flip_pairs: pairs of points that change places in a mirror image.
    """

    names: tuple[str, ...]
    numbers: int
    flip_pairs: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class YoloYaml:
    """One file.

    Args:
        path: of the file.
        names: of all classes.
        pose: what ``kpt_shape`` says; None for data without poses.
        base: where its paths begin, as the file says; "" if it does not.
        entries: from split to folders and lists of images.
    """

    path: Path
    names: tuple[str, ...]
    pose: PoseShape | None
    base: str
    entries: Mapping[str, tuple[str, ...]]


def find_yaml(listing: Listing) -> Path | None:
    """The YAML file that names classes and splits."""
    for path in listing.files_with(".yaml", ".yml"):
        content = _load(path)
        if "names" in content and content.keys() & {"train", "val", "path"}:
            return path
    return None


def read_yolo_yaml(path: Path, tally: Tally) -> YoloYaml:
    """What the file says.

    Raises:
        DataError: if it does not name each class once, or names images in another way than by text.
    """
    content = _load(path)
    tally.read(path)
    names = _names(path, content, tally)
    entries: dict[str, tuple[str, ...]] = {}
    for key, value in content.items():
        split = split_name(key)
        if split is None or not value or value == "null":
            continue
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
            raise DataError(
                f"{path}: {key} must name folders or lists of images", expected="text", got=f"{value}"[:200]
            )
        entries[split] = tuple(listed)
    if not entries:
        raise DataError(f"{path} names no images", expected="train: and val: with folders of images")
    stated = content.get("path")
    return YoloYaml(path, names, _pose(path, content, tally), stated if isinstance(stated, str) else "", entries)


def _load(path: Path) -> dict[str, Any]:
    try:
        content = read_yaml(path, expected="a YAML file of a YOLO data set", as_text=True)
    except DataError:
        return {}
    return {str(key): value for key, value in content.items()} if isinstance(content, dict) else {}


def _names(path: Path, content: Mapping[str, Any], tally: Tally) -> tuple[str, ...]:
    """The names of the classes in the order of their numbers."""
    written = content["names"]
    names: Any = written
    if isinstance(names, str):
        names = _names_in_text(path, names, content.get("nc"))
    if isinstance(names, dict):
        if all(_whole(key) is None for key in names) and all(_whole(value) is not None for value in names.values()):
            names = {value: key for key, value in names.items()}  # names first, numbers behind
        numbers = {_whole(key): value for key, value in names.items()}
        if None in numbers or len(numbers) < len(names) or not all(isinstance(name, str) for name in numbers.values()):
            names = None
        else:
            names = fill_gaps({number: str(name) for number, name in numbers.items() if number is not None})
            gaps = len(names) - len(numbers)
            if gaps:
                tally.add("class-id-gap", "note", "{count} class numbers have no name", path.name, gaps)
    if (
        not isinstance(names, list | tuple)
        or not names
        or not all(isinstance(name, str) for name in names)
        or len({name.strip() for name in names}) < len(names)
    ):
        raise DataError(
            f"{path} must name each class once",
            expected="names: [cat, dog], or names: {0: cat, 1: dog}",
            got=f"names: {written}"[:300],
            remedy="give every class a name of its own; in labels a class is its place in the list",
        )
    count = _whole(content.get("nc"))
    if count is not None and count != len(names):
        message = f"the YAML file says nc: {count} and names {counted(len(names), 'classes')}; the names count"
        tally.add("class-count", "note", message, path.name)
    return tuple(name.strip() for name in names)


def _names_in_text(path: Path, text: str, stated: Any) -> list[str] | None:
    """The names of one text: those in the file that it names, the parts between commas, or one class."""
    file = path.parent / text.strip()
    if file.suffix.lower() in (".txt", ".names") and file.is_file():
        return read_lines(file)
    parts = [part.strip(" '\"[]") for part in text.replace("\n", ",").split(",")]
    parts = [part for part in parts if part]
    count = _whole(stated)
    return parts if len(parts) == 1 or count is None or count == len(parts) else None


def _whole(value: Any) -> int | None:
    """A class number; None for anything else."""
    try:
        number = int(str(value).strip())
    except ValueError:
        return None
    return number if 0 <= number <= MOST_CLASSES else None


def _pose(path: Path, content: Mapping[str, Any], tally: Tally) -> PoseShape | None:
    """The points that ``kpt_shape: [points, numbers]``, ``kpt_names`` and ``flip_idx`` tell of."""
    shape = content.get("kpt_shape")
    if shape is None:
        return None
    numbers = [_whole(value) for value in shape] if isinstance(shape, list) else []
    if len(numbers) != 2 or not numbers[0] or numbers[0] > _MOST_POINTS or numbers[1] not in (2, 3):
        raise DataError(
            f"{path}: kpt_shape is not understood",
            expected="kpt_shape: [number of points, 2 or 3]",
            got=f"{shape}"[:200],
        )
    count, size = int(numbers[0]), int(numbers[1])
    names: Any = content.get("kpt_names")
    if isinstance(names, dict) and names:  # from class to names: one list serves them all
        names = next(iter(names.values()))
    named = isinstance(names, list) and len(names) == count == len(set(map(str, names)))
    points = tuple(map(str, names)) if named else tuple(f"point_{number}" for number in range(1, count + 1))
    return PoseShape(points, size, _flip_pairs(content.get("flip_idx"), count, path, tally))


def _flip_pairs(order: Any, count: int, path: Path, tally: Tally) -> tuple[tuple[int, int], ...]:
    """The pairs in ``flip_idx``, which names for each point the one that takes its place in a mirror image."""
    if not order:
        return ()
    places = [_whole(value) for value in order] if isinstance(order, list) else []
    if len(places) != count or any(p is None or p >= count or places[p] != k for k, p in enumerate(places)):
        tally.add("flip-order", "note", "flip_idx does not pair points with one another; not used", path.name)
        return ()
    return tuple((k, p) for k, p in enumerate(places) if p is not None and k < p)
