"""Pickles are read as plain values; nothing that they name is imported or called."""

from __future__ import annotations

import enum
import os
import pickle
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from visus.errors import DataError
from visus.files.plain_pickle import PickledArray, read_pickle


class Mode(enum.IntEnum):
    """Stands for an enumeration of another package."""

    FIRST = 0
    SECOND = 4


ENUMERATIONS = {(__name__, "Mode"): {"FIRST": 0, "SECOND": 4}}


def read(path: Path, content: bytes, enumerations: Any = None) -> Any:
    path = path / "a.pkl"
    path.write_bytes(content)
    return read_pickle(path, limit=1 << 20, expected="a file of the test", enumerations=enumerations)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_and_arrays_are_read_whatever_the_protocol(tmp_path: Path, protocol: int) -> None:
    arrays = [
        np.arange(12, dtype=np.float32).reshape(3, 4),
        np.asfortranarray(np.arange(12).reshape(3, 4)),
        np.asarray([1.5, 2.5], ">f8"),
        np.zeros((0, 4), np.float64),
        np.asarray([True, False]),
        np.asarray(["a.jpg", "b"]),
        np.asarray(3, np.uint8),
    ]
    values = {"ids": [1, "two", None, True], "nested": ({"x": 1.5},), "raw": b"\x00\xff", "arrays": arrays}
    read_back = read(tmp_path, pickle.dumps(values, protocol=protocol))
    assert read_back["ids"] == values["ids"]
    assert read_back["nested"] == values["nested"]
    assert read_back["raw"] == values["raw"]
    for found, array in zip(read_back["arrays"], arrays, strict=True):
        assert isinstance(found, PickledArray)
        assert isinstance(found.array, np.ndarray)
        assert found.array.dtype == array.dtype
        np.testing.assert_array_equal(found.array, array)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_numbers_of_numpy_and_arrays_of_arrays(tmp_path: Path, protocol: int) -> None:
    ragged = np.empty(2, object)
    ragged[:] = [np.ones((1, 4)), np.zeros((2, 4))]
    numbers, boxes = read(tmp_path, pickle.dumps(([np.int64(7), np.float32(0.5)], ragged), protocol=protocol))
    assert numbers == [7, 0.5]
    assert [box.array.shape for box in boxes.array] == [(1, 4), (2, 4)]


def test_a_pickle_of_python_2(tmp_path: Path) -> None:
    # As cPickle of Python 2 writes numpy.array([1., 2.]) by protocol 2: bytes are its text.
    content = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03(K\x01K\x02"
        b"\x85cnumpy\ndtype\nq\x04U\x02f8K\x00K\x01\x87Rq\x05(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x10" + struct.pack("<2d", 1, 2) + b"tb."
    )
    assert read(tmp_path, content).array.tolist() == [1, 2]


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_members_of_a_known_enumeration_are_their_numbers(tmp_path: Path, protocol: int) -> None:
    content = pickle.dumps({"mode": Mode.SECOND}, protocol=protocol)
    assert read(tmp_path, content, ENUMERATIONS) == {"mode": 4}
    with pytest.raises(DataError, match="could run code"):
        read(tmp_path, content)


def test_a_member_may_be_named_by_getattr_and_nothing_else(tmp_path: Path) -> None:
    by_name = b"\x80\x04cbuiltins\ngetattr\n(c%s\nMode\nVSECOND\ntR." % __name__.encode()
    assert read(tmp_path, by_name, ENUMERATIONS) == 4
    for attribute in (b"__class__", b"__init__", b"members"):
        with pytest.raises(DataError):
            read(tmp_path, by_name.replace(b"SECOND", attribute), ENUMERATIONS)
    with pytest.raises(DataError, match="getattr"):
        read(tmp_path, by_name)


class Runs:
    """Calls a function when it is loaded by the usual reader."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> Any:
        return self.call, self.arguments


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_function_is_called(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "called"
    for harmful in (Runs(os.mkdir, str(mark)), Runs(eval, f"__import__('os').mkdir({str(mark)!r})"), Runs(print, "x")):
        with pytest.raises(DataError, match="could run code"):
            read(tmp_path, pickle.dumps([harmful], protocol=protocol))
    assert not mark.exists()


def test_no_module_is_imported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"antigravity\.x"):
        read(tmp_path, b"\x80\x04cantigravity\nx\n.")
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle",
        pickle.dumps({"a": np.ones(9)})[:-9],
        b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x0f.",  # a bytearray of 2^60 bytes that are not there
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x0f.",  # text of as many
        b"\x80\x02\x82\x01.",  # a name from a table of extensions
        b"\x80\x02Pname\n.",  # a value that somebody else keeps
        b"\x80\x04cnumpy\ndtype\n}\x8c\x01xK\x01sb.",  # sets a field of what stands for a class
        b"\x80\x04cnumpy\ndtype\n\x8c\x05V1000\x85R.",
        b"\x80\x04cnumpy.core.multiarray\n_reconstruct\n(\x8c\x01xK\x00tR.",
        b"\x80\x04cnumpy\nndarray\n)\x81.",
    ],
    ids=range(11),
)
def test_what_is_damaged_or_made_to_harm_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError):
        read(tmp_path, content)


def test_an_array_whose_values_are_not_there_is_refused(tmp_path: Path) -> None:
    content = pickle.dumps(np.arange(4, dtype=np.int32), protocol=2)
    assert content.count(b"K\x04\x85") == 1  # the shape (4,)
    for shape in (b"K\x05\x85", b"J\x00\x00\x00\x7f\x85", b"J\xff\xff\xff\xff\x85"):
        with pytest.raises(DataError, match=r"not there|shape"):
            read(tmp_path, content.replace(b"K\x04\x85", shape))


def test_too_large_a_file_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too large"):
        read(tmp_path, pickle.dumps(b"x" * (1 << 20)))


def test_a_pickle_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    content = pickle.dumps({"ids": [1, "a"], "boxes": [np.ones((2, 4), np.float32)]})
    for length in range(len(content)):
        with pytest.raises(DataError):
            read(tmp_path, content[:length])
