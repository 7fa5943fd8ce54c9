"""Reads pickles that hold plain values and numpy's arrays, and runs nothing that they name.

A pickle is a program: it names functions and classes, and the usual reader imports and calls them. Here every name
stands for a part of this module or is refused, and the parts do no more than make an array of bytes that are there.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from visus.errors import DataError
from visus.files.regular import read_regular

Names = Mapping[tuple[str, str], Mapping[str, int]]
"""From (module, class) of an enumeration to its members."""

_DTYPE = re.compile(r"[<>=|]?(?:[iu][1248]|f[248]|b1|[US]\d{1,5}|O8?|bool)")


class PickledArray:
    """An array of a pickle.

    Attributes:
        array: its values; of an array of objects their list, in the order of rows.
    """

    __slots__ = ("array",)

    def __init__(self) -> None:
        self.array: NDArray[Any] | list[Any] = []

    def __setstate__(self, state: Any) -> None:
        *_, shape, dtype, in_fortran_order, values = state  # older pickles have no version in front
        self.fill(values, dtype, shape, "F" if in_fortran_order else "C")

    def fill(self, values: Any, dtype: Any, shape: Any, order: Any) -> None:
        """Takes the values; raises ValueError if they are not as many as the shape says, TypeError for other kinds."""
        if not isinstance(dtype, _Dtype) or not all(type(side) is int and side >= 0 for side in shape):
            raise TypeError("an array without a type or a shape")
        if order not in ("C", "F") or len(shape) > 8:
            raise ValueError("an array of an unknown layout")
        if dtype.name.strip("<>=|").startswith("O"):
            if not isinstance(values, list) or len(values) != math.prod(shape):
                raise ValueError("an array of objects that are not there")
            self.array = values
            return
        content = values.encode("latin-1") if isinstance(values, str) else values  # of Python 2
        plain = np.dtype(dtype.name)
        if not isinstance(content, bytes | bytearray) or len(content) != math.prod(shape) * plain.itemsize:
            raise ValueError("an array whose values are not there")
        self.array = np.frombuffer(content, plain).reshape(shape, order=order)


class _Dtype:
    """The type of an array's values."""

    __slots__ = ("name",)

    def __init__(self, name: Any) -> None:
        if not isinstance(name, str) or _DTYPE.fullmatch(name) is None:
            raise TypeError(f"values of the type {name!r}"[:200])
        self.name = name

    def __setstate__(self, state: Any) -> None:
        _, byte_order, subarray, names, fields, *_ = state
        if byte_order not in ("<", ">", "=", "|") or subarray or names or fields:
            raise TypeError("values that are themselves several")
        self.name = byte_order + self.name.lstrip("<>=|") if byte_order in "<>" else self.name


class _Part:
    """Stands for a name in a pickle; without fields that a pickle could set."""

    __slots__ = ()


class _ArrayClass(_Part):
    __slots__ = ()


class _MakeArray(_Part):
    """numpy's ``_reconstruct``: an empty array, which gets its values later."""

    __slots__ = ()

    def __call__(self, kind: Any, *_: Any) -> PickledArray:
        if not isinstance(kind, _ArrayClass):
            raise TypeError("an array of another class than numpy's")
        return PickledArray()


class _FromBuffer(_Part):
    """numpy's ``_frombuffer`` of protocol 5."""

    __slots__ = ()

    def __call__(self, buffer: Any, dtype: Any, shape: Any, order: Any, *_: Any) -> PickledArray:
        array = PickledArray()
        array.fill(buffer, dtype, shape, order)
        return array


class _MakeDtype(_Part):
    __slots__ = ()

    def __call__(self, name: Any, *_: Any) -> _Dtype:
        return _Dtype(name)


class _Scalar(_Part):
    """A single value of numpy's, as a plain one."""

    __slots__ = ()

    def __call__(self, dtype: Any, content: Any) -> Any:
        array = PickledArray()
        array.fill(content, dtype, (1,), "C")
        return array.array[0] if isinstance(array.array, list) else array.array.item()


class _Encode(_Part):
    """``_codecs.encode``, by which Python 3 writes bytes for Python 2."""

    __slots__ = ()

    def __call__(self, text: Any, encoding: Any) -> bytes:
        if not isinstance(text, str) or encoding != "latin1":
            raise TypeError("text in another encoding than latin1")
        return text.encode("latin-1")


class _NoBytes(_Part):
    """``bytes`` without arguments, by which Python 3 writes empty bytes for Python 2."""

    __slots__ = ()

    def __call__(self) -> bytes:
        return b""


class _Enumeration(_Part):
    """A class of numbers with names; a member is its number."""

    __slots__ = ("members",)

    def __init__(self, members: Mapping[str, int]) -> None:
        self.members = dict(members)

    def __call__(self, value: Any) -> int:
        if value not in self.members.values():
            raise ValueError(f"no member of the value {value!r}"[:200])
        return int(value)


class _Member(_Part):
    """``getattr``, by which some versions of Python name a member of an enumeration."""

    __slots__ = ()

    def __call__(self, owner: Any, name: Any) -> int:
        if not isinstance(owner, _Enumeration):
            raise TypeError("an attribute of something else than an enumeration")
        return owner.members[name]


def _parts(enumerations: Names) -> dict[tuple[str, str], _Part]:
    parts: dict[tuple[str, str], _Part] = {
        ("numpy", "ndarray"): _ArrayClass(),
        ("numpy", "dtype"): _MakeDtype(),
        ("_codecs", "encode"): _Encode(),
        ("builtins", "bytes"): _NoBytes(),
        ("__builtin__", "bytes"): _NoBytes(),
    }
    for core in ("numpy.core", "numpy._core"):
        parts[f"{core}.multiarray", "_reconstruct"] = _MakeArray()
        parts[f"{core}.multiarray", "scalar"] = _Scalar()
        parts[f"{core}.numeric", "_frombuffer"] = _FromBuffer()
    if enumerations:
        parts["builtins", "getattr"] = parts["__builtin__", "getattr"] = _Member()
    return parts | {name: _Enumeration(members) for name, members in enumerations.items()}


class _ForbiddenError(Exception):
    """A name that is none of ours."""


# The reader in Python: the one in C makes room for as many values as a pickle says, before it looks for them.
class _Reader(pickle._Unpickler):
    def __init__(self, stream: io.BytesIO, parts: Mapping[tuple[str, str], _Part]) -> None:
        super().__init__(stream, encoding="latin1")
        self._parts = parts

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._parts[module, name]
        except KeyError:
            raise _ForbiddenError(f"{module}.{name}"[:200]) from None

    def _load_bytearray(self) -> None:
        length = int.from_bytes(self.read(8), "little")  # type: ignore[attr-defined]
        content = self.read(length)  # type: ignore[attr-defined]
        if len(content) != length:
            raise EOFError("a file that was cut short")
        self.append(bytearray(content))  # type: ignore[attr-defined]

    def _refuse(self) -> NoReturn:
        raise _ForbiddenError("a name from a table of extensions")

    dispatch: ClassVar[dict[int, Any]] = {
        **pickle._Unpickler.dispatch,
        pickle.BYTEARRAY8[0]: _load_bytearray,
        **dict.fromkeys((pickle.EXT1[0], pickle.EXT2[0], pickle.EXT4[0]), _refuse),
    }


def read_pickle(path: Path, *, limit: int, expected: str, enumerations: Names | None = None) -> Any:
    """Reads a pickle of plain values.

    Args:
        path: of the file.
        limit: the most bytes that a file of its kind may have.
        expected: what the file should be, for messages.
        enumerations: classes of numbers with names that may occur; their members are read as numbers.

    Returns:
        None, truth values, numbers, text, bytes, lists, tuples and mappings of such, and
        :class:`PickledArray`.

    Raises:
        DataError: if it cannot be read, is no pickle, or names a class or function that is not one of arrays.
    """
    content = read_regular(path, limit=limit, expected=expected)
    try:
        return _Reader(io.BytesIO(content), _parts(enumerations or {})).load()
    except _ForbiddenError as error:
        raise DataError(
            f"{path} holds more than plain values and arrays: {error} is not loaded, since that could run code",
            expected=expected,
            got=str(error),
            remedy="save it again with lists, texts, numbers and numpy arrays alone",
        ) from None
    except Exception as error:  # whatever a damaged file makes of the reader, it is the file that is wrong
        raise DataError(
            f"{path} cannot be read as a pickle",
            expected=expected,
            got=f"{type(error).__name__}: {error}"[:300],
            remedy="save it again",
        ) from None
