"""MATLAB's files are read as scipy reads them, and damaged ones are refused."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from visus.errors import DataError
from visus.files.matlab import read_matlab


def cells(*values: Any) -> np.ndarray:
    array = np.empty((1, len(values)), object)
    array[0] = values
    return array


RANDOM = np.random.default_rng(0)
VARIABLES: dict[str, Any] = {
    **{kind: (RANDOM.random((3, 5)) * 100).astype(kind) for kind in ("f8", "f4", "u1", "i2", "u2", "i4", "i8", "u8")},
    "cube": RANDOM.random((2, 3, 4)),
    "none": np.zeros((0, 4)),
    "one": np.asarray([[7.0]]),
    "truth": np.asarray([[True, False]]),
}


def read(path: Path, names: Any) -> dict[str, Any]:
    return read_matlab(path, names, limit=1 << 24, expected="a file of the test")


@pytest.mark.parametrize("compressed", [False, True])
def test_matrices_are_those_that_scipy_reads(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "a.mat"
    savemat(path, VARIABLES, do_compression=compressed)
    found, theirs = read(path, VARIABLES), loadmat(path)
    assert set(found) == set(VARIABLES)
    for name, values in found.items():
        np.testing.assert_array_equal(values, theirs[name])
        assert values.shape == VARIABLES[name].shape
    assert set(read(path, ("cube",))) == {"cube"}
    assert read(path, ("other",)) == {}


@pytest.mark.parametrize("compressed", [False, True])
def test_texts_and_cells(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "a.mat"
    column = cells("000005", "zw\u00f6lf", "", np.ones((2, 4))).T
    deep = cells(cells(np.ones((1, 1)), "x"), np.zeros((0, 0)))
    inner = {"names": column, "deep": deep, "empty": np.zeros((1, 0), object)}
    savemat(path, inner, do_compression=compressed)
    found = read(path, inner)
    assert found["names"][:3] == ["000005", "zw\u00f6lf", ""]
    np.testing.assert_array_equal(found["names"][3], np.ones((2, 4)))
    assert found["deep"][0][1] == "x"
    assert found["deep"][1].size == 0
    assert found["empty"] == []


def test_what_is_neither_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    others = {"record": {"x": 1.0}, "waves": np.asarray([[1 + 2j]]), "rows": np.asarray(["ab", "cd"])}
    savemat(path, {**others, "f8": [[2.0]]})
    found = read(path, (*others, "f8"))
    assert found.pop("f8").tolist() == [[2]]
    assert found == dict.fromkeys(others)


def element(kind: int, values: bytes) -> bytes:
    return struct.pack(">II", kind, len(values)) + values + b"\0" * (-len(values) % 8)


def test_the_other_order_of_bytes_and_values_kept_in_fewer_bytes(tmp_path: Path) -> None:
    # Doubles (class 6) that are stored as whole numbers of two bytes (type 3), as MATLAB does to save room.
    parts = element(6, struct.pack(">II", 6, 0)) + element(5, struct.pack(">ii", 1, 2)) + element(1, b"x")
    matrix = element(14, parts + element(3, struct.pack(">hh", 300, -2)))
    (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\1\0MI" + matrix)
    assert read(tmp_path / "a.mat", ("x",))["x"].tolist() == [[300, -2]]
    np.testing.assert_array_equal(loadmat(tmp_path / "a.mat")["x"], [[300, -2]])


def test_other_versions_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    savemat(path, {"x": np.ones((2, 2))}, format="4")
    with pytest.raises(DataError, match="no MATLAB file of version 5"):
        read(path, ("x",))
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF")
    with pytest.raises(DataError, match=r"version 7\.3"):
        read(path, ("x",))


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_that_is_cut_or_changed_anywhere_is_read_or_refused(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "a.mat"
    savemat(path, {"boxes": cells(np.ones((2, 4)), "name"), "x": VARIABLES["f4"]}, do_compression=compressed)
    whole, random = path.read_bytes(), np.random.default_rng(1)
    refused = 0
    for number in range(120):
        content = bytearray(whole)
        place = int(random.integers(128, len(whole)))
        if number % 4:
            content[place] = int(random.integers(256))
        else:
            del content[place:]
        path.write_bytes(content)
        try:
            read(path, ("boxes", "x"))
        except DataError:
            refused += 1
    assert refused > 30


def test_values_that_unpack_to_far_too_much_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visus.files.matlab._ANYHOW", 1000)
    savemat(tmp_path / "a.mat", {"x": np.zeros((100, 1000))}, do_compression=True)
    with pytest.raises(DataError, match="far too much"):
        read(tmp_path / "a.mat", ("x",))
