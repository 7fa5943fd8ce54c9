"""Proposals in an .npz file come back as they were written, and no other file is taken for one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from visus.data.pixels.images import ArrayImage
from visus.data.proposals.array_file import write_arrays
from visus.data.proposals.computing import compute
from visus.data.proposals.reading import read_proposals
from visus.errors import DataError, DiskError
from visus.structures import Proposals, ProposalSettings


def proposals(count: int, *, scored: bool) -> Proposals:
    boxes = np.asarray([[k, k, k + 5, k + 7] for k in range(count)], np.float32).reshape(-1, 4)
    scores = np.linspace(0.9, 0.1, count, dtype=np.float32) if scored else None
    return Proposals(boxes, (60, 80), scores)


@pytest.mark.parametrize("scored", [True, False])
@pytest.mark.parametrize("counts", [(), (0,), (3,), (2, 0, 4)])
def test_there_and_back(counts: tuple[int, ...], scored: bool, tmp_path: Path) -> None:
    written = {f"train/{n}.png": proposals(count, scored=scored) for n, count in enumerate(counts)}
    write_arrays(tmp_path / "p.npz", written)
    found = read_proposals(tmp_path / "p.npz")
    assert [one.name for one in found] == list(written)
    for one in found:
        kept = written[str(one.name)]
        assert one.size == (60, 80)
        assert one.boxes.tolist() == kept.boxes.tolist()
        assert (one.scores is None) == (not scored)
        if kept.scores is not None and one.scores is not None:
            assert one.scores.tolist() == kept.scores.tolist()
    assert [path.name for path in tmp_path.iterdir()] == ["p.npz"]


@pytest.mark.parametrize(
    "change",
    [
        {"counts": np.asarray([1])},
        {"counts": np.asarray([-1])},
        {"counts": np.asarray([2.0])},
        {"names": np.asarray([1])},
        {"names": np.asarray(["a", "b"])},
        {"sizes": np.zeros((1, 3), np.int64)},
        {"boxes": np.zeros((2, 3), np.float32)},
        {"scores": np.zeros(3, np.float32)},
        {"boxes": None},
    ],
)
def test_arrays_that_do_not_fit(change: dict[str, np.ndarray | None], tmp_path: Path) -> None:
    arrays = {
        "names": np.asarray(["a"]),
        "sizes": np.asarray([[60, 80]]),
        "counts": np.asarray([2]),
        "boxes": np.zeros((2, 4), np.float32),
    }
    left = {name: value for name, value in {**arrays, **change}.items() if value is not None}
    np.savez(tmp_path / "p.npz", **left)
    with pytest.raises(DataError) as refusal:
        read_proposals(tmp_path / "p.npz")
    assert str(tmp_path / "p.npz") in str(refusal.value)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="cannot write"):
        write_arrays(tmp_path / "none" / "p.npz", {})


def test_what_must_be_given_is_not_computed() -> None:
    with pytest.raises(DataError, match="does not make itself") as refusal:
        compute(ArrayImage(np.zeros((8, 8, 3), np.uint8)), ProposalSettings(method="given"))
    assert "--proposals" in refusal.value.remedy
