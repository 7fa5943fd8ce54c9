"""Arrays of numpy's files: what the header promises is compared with the bytes that are there."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from visus.errors import DataError
from visus.files.arrays import read_array, read_arrays


def npy(shape: str, dtype: str = "'|u1'", order: str = "False", values: bytes = b"\1\2\3\4\5\6") -> bytes:
    header = f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + values


def test_arrays_are_those_that_numpy_reads(tmp_path: Path) -> None:
    arrays = {
        "a": np.arange(6.0).reshape(2, 3),
        "b": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
        "names": np.array(["cat", "dög"]),
        "none": np.zeros((0, 4), np.float32),
        "one": np.array(7),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **arrays)
        read = read_arrays(tmp_path / "a.npz")
        assert read.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(read[name], array)
            assert read[name].dtype == array.dtype
    assert read_array(io.BytesIO(npy("(2, 3)")), len(npy("(2, 3)"))).tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 and no more",
        b"\x93NUMPY\x09\x00",
        npy("(2, 4)"),
        npy("(10**15,)"),
        npy("(1000000000000000,)"),
        npy("(-2, -3)"),
        npy("(4611686018427387904, 4611686018427387904)"),
        npy("6"),
        npy("(6,)", dtype="'|O'"),
        npy("(6,)", dtype="'|u0'"),
        npy("(6,)", dtype="'|V0'"),
        npy("(6,)", order="'yes'"),
        npy("(" * 3000),
        npy("(1,) * 6"),
        npy("(6,)", values=b"\1\2"),
    ],
)
def test_wrong_headers_raise_before_room_is_made(content: bytes) -> None:
    with pytest.raises(ValueError):
        read_array(io.BytesIO(content), len(content))


def test_damaged_member(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", a=np.arange(10_000))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[200:260] = bytes(60)
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match="cannot read"):
        read_arrays(tmp_path / "a.npz")


def test_what_unpacks_to_far_more_than_the_file_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"x" * 1000)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    at = content.index(b"PK\x01\x02") + 24  # the size after unpacking, in the list of members
    content[at : at + 4] = (3 << 30).to_bytes(4, "little")
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match="unpack to 3,221,225,472 bytes"):
        read_arrays(tmp_path / "a.npz")


def test_other_ways_of_packing(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", npy("(6,)"))
    with pytest.raises(DataError, match="packed in a way"):
        read_arrays(tmp_path / "a.npz")
