"""MPII Human Pose, in a file that scipy writes with the fields that the readme of MPII names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from tool_exports import draw, kinds, samples
from visus.data.formats.published.mpii import JOINTS
from visus.data.reading.opening import open_data
from visus.errors import DataError


def structs(items: list[dict[str, Any]]) -> np.ndarray:
    """An array of MATLAB's structures."""
    made = np.empty((1, len(items)), [(key, object) for key in items[0]])
    for position, item in enumerate(items):
        made[0, position] = tuple(item.values())
    return made


def person(scale: float, *points: tuple[int, float, float]) -> dict[str, Any]:
    found = structs([{"x": x, "y": y, "id": number, "is_visible": 1} for number, x, y in points])
    return {"scale": scale, "annopoints": {"point": found}}


def entry(name: str, *people: dict[str, Any]) -> dict[str, Any]:
    return {"image": {"name": name}, "annorect": structs(list(people)) if people else np.zeros((0, 0))}


def write(root: Path, entries: list[dict[str, Any]], train: list[int]) -> None:
    release = {"annolist": structs(entries), "img_train": np.asarray([train])}
    savemat(root / "mpii_human_pose_v1_u12_1.mat", {"RELEASE": release})


def test_the_points_of_the_largest_person(tmp_path: Path) -> None:
    draw(tmp_path, [f"images/{number}.jpg" for number in range(4)])
    small, large = person(1.5, (9, 5, 6)), person(3.25, (9, 31, 11), (0, 21, 41))
    entries = [entry("0.jpg", small, large), entry("1.jpg", small), entry("2.jpg"), entry("3.jpg", large)]
    write(tmp_path, entries, [1, 1, 1, 0])
    dataset = open_data(tmp_path)
    assert (dataset.format, dataset.classes) == ("mpii", {"landmarks": JOINTS})
    found = samples(dataset)
    assert set(found) == {"images/0.jpg", "images/1.jpg"}
    target = found["images/0.jpg"].target("landmarks")
    assert target.visible.tolist() == [name in ("head_top", "right_ankle") for name in JOINTS]
    assert target.points[JOINTS.index("head_top")].tolist() == [30, 10]
    assert target.points[JOINTS.index("right_ankle")].tolist() == [20, 40]
    assert len(target.flip_pairs) == 6
    assert kinds(dataset)["image-without-points"] == "note"
    assert kinds(dataset)["points-of-other-objects"] == "note"


def test_other_content_is_refused(tmp_path: Path) -> None:
    savemat(tmp_path / "mpii_human_pose_v1_u12_1.mat", {"RELEASE": {"annolist": 1}})
    with pytest.raises(DataError, match="cannot be read"):
        open_data(tmp_path)
