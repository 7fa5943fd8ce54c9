"""The lines of YOLO text files: what the numbers after the class mean is decided for the whole data set.

Four numbers are a box: centre x, centre y, width, height. More are an outline (x and y of each corner), or a box and
the points of a pose; one more than these is a score or the number of a track. All are fractions of the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.reading import Tally
from visus.data.formats.texts.label_text import read_text
from visus.data.formats.yolo.yolo_yaml import PoseShape
from visus.data.messages import counted
from visus.errors import DataError

_ROUNDING = 0.01  # by so much may a point of a pose lie outside of its box
_SURE = 4  # lines that agree show that a pose is meant, where they could be outlines too


@dataclass(slots=True, eq=False)
class Rows:
    """The lines of the text files of one split that hold numbers.

    Args:
        owners: [N] the position of each line's image.
        places: N, as findings name the lines.
        labels: [N] class numbers.
        values: N lists of the numbers after the class.
    """

    owners: list[int]
    places: list[str]
    labels: list[int]
    values: list[list[float]]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the numbers after the class mean.

    Args:
        pose: the points of poses; None where more than four numbers are an outline.
        extra: whether lines of an unexpected length end with one number more, which is no coordinate.
    """

    pose: PoseShape | None = None
    extra: bool = False

    def coordinates(self, values: list[float]) -> list[float] | None:
        """The coordinates of a line; None if it has a wrong number of them."""
        if self.extra and self._has_extra(len(values)):
            values = values[:-1]
        return values if self._is_right(len(values)) else None

    def _has_extra(self, count: int) -> bool:
        return not self._is_right(count) and self._is_right(count - 1)

    def _is_right(self, count: int) -> bool:
        if count == 4:
            return True
        if self.pose is not None:
            return count == 4 + self.pose.numbers * len(self.pose.names)
        return count >= 6 and count % 2 == 0


def read_rows(files: Sequence[Path | None], split: str, tally: Tally, name_of: Mapping[Path, str]) -> Rows:
    """The lines of text files, one for each image (None: no file); lines that hold no numbers are tallied.

    name_of: the files as findings name them.
    """
    rows = Rows([], [], [], [])
    lines = 0
    for index, path in enumerate(files):
        if path is None:
            continue
        try:
            text = read_text(path, tally)
        except DataError as error:
            tally.lose("unreadable-label-file", "{count} label files cannot be read", error.problem, unit="label files",
                       split=split, cause="correct or delete them", file=path)  # fmt: skip
            continue
        tally.read(path)
        for number, line in enumerate(text.splitlines(), 1):
            fields = line.split()
            if not fields or fields[0].startswith("#"):
                continue
            lines += 1
            try:
                label, *values = map(float, fields)
                whole = int(label)
            except (ValueError, OverflowError):
                _lose_line(tally, name_of[path], number, split)
                continue
            if whole != label or len(values) < 4:
                _lose_line(tally, name_of[path], number, split)
                continue
            rows.owners.append(index)
            rows.places.append(f"{name_of[path]}:{number}")
            rows.labels.append(whole)
            rows.values.append(values)
    tally.found("lines", lines)
    return rows


def _lose_line(tally: Tally, name: str, number: int, split: str) -> None:
    lose_row(tally, f"{name}:{number}", split)


def lose_row(tally: Tally, place: str, split: str) -> None:
    """Tallies a line that is no label."""
    tally.lose(
        "unreadable-annotation",
        "{count} lines are not in the form of a YOLO label (class, then 4 numbers, or 3 or more corners)",
        place,
        unit="lines",
        split=split,
        cause="write the class number, then numbers with a point as decimal mark, separated by spaces; for poses the "
        "YAML file needs kpt_shape",
    )


def find_meaning(rows: Sequence[Rows], pose: PoseShape | None, tally: Tally) -> Meaning:
    """What the numbers of all lines mean, told where it is not the usual.

    pose: what the YAML file says of poses.
    """
    longer = [values for part in rows for values in part.values if len(values) > 4]
    guessed = None if pose or not longer else _guess_pose(longer, tally)
    if guessed is not None:
        pose = guessed
        message = (
            f"{{count}} lines are read as a box and {counted(len(pose.names), 'points')} of a pose: the box holds "
            "the points; "
            f"say kpt_shape: [{len(pose.names)}, {pose.numbers}] in the YAML file to make it sure"
        )
        tally.add("pose-guessed", "note", message, count=len(longer))
    plain, meaning = Meaning(pose), Meaning(pose, extra=True)
    last = [values[-1] for values in longer
            if plain.coordinates(values) is None and meaning.coordinates(values) is not None]  # fmt: skip
    if not last:
        return plain
    if all(value == int(value) for value in last if np.isfinite(value)) and any(value not in (0, 1) for value in last):
        message = "{count} lines end with a whole number more, such as that of a track; not used"
        tally.add("track-numbers", "note", message, count=len(last))
        return meaning
    if all(0 <= value <= 1 for value in last):
        message = (
            "{count} lines end with a score: a model wrote them, and nobody may have looked; the score is not used"
        )
        tally.add("scored-labels", "note", message, count=len(last))
        return meaning
    return plain


def _guess_pose(longer: Sequence[list[float]], tally: Tally) -> PoseShape | None:
    """The shape of poses, if the first four numbers of all lines are a box that holds the points that follow.

    Small outlines may look so too. They are poses for sure where every third number is 0, 1 or 2, or where the second
    pair of numbers, a width and a height, lies far from the others, which no corner of an outline does.
    """
    lengths = {len(values) for values in longer}
    if len(lengths) != 1:
        return None
    count = lengths.pop()
    table = np.asarray(longer, np.float64)
    centre, half = table[:, :2], table[:, 2:4] / 2 + _ROUNDING
    inside = ((centre - half >= -2 * _ROUNDING) & (centre + half <= 1 + 2 * _ROUNDING) & (half > _ROUNDING)).all()
    if not inside:
        return None
    for numbers in (3, 2):
        if (count - 4) % numbers or count == 4:
            continue
        points = table[:, 4:].reshape(len(table), -1, numbers)
        if numbers == 3 and not np.isin(points[:, :, 2], (0, 1, 2)).all():
            continue
        absent = points[:, :, 2] == 0 if numbers == 3 else (points[:, :, :2] == 0).all(axis=2)
        held = (np.abs(points[:, :, :2] - centre[:, None]) <= half[:, None]).all(axis=2) | absent
        if not held.all() or absent.all():
            continue
        if numbers == 3 or count % 2 or (len(table) >= _SURE and _far_off(table).all()):
            return PoseShape(tuple(f"point_{k}" for k in range(1, points.shape[1] + 1)), numbers)
        message = "{count} lines could be a box and points of a pose; read as outlines, for no YAML file has kpt_shape"
        tally.add("pose-or-outline", "note", message, count=len(table))
    return None


def _far_off(table: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[N]: whether the second pair of numbers in each line lies far from all others."""
    others = np.concatenate([table[:, None, :2], table[:, 4:].reshape(len(table), -1, 2)], axis=1)
    low, high = others.min(axis=1), others.max(axis=1)
    reach = (high - low).max(axis=1, keepdims=True)
    return np.asarray(((table[:, 2:4] < low - reach) | (table[:, 2:4] > high + reach)).any(axis=1))


def box_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """[...,4] xyxy of [...,4] centre x, centre y, width, height."""
    centre, half = values[..., :2], values[..., 2:4] / 2
    return np.concatenate([centre - half, centre + half], axis=-1)
