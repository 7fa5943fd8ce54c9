"""Reads and writes safetensors files that hold a checksum of themselves.

Any safetensors reader opens them. They have one more metadata entry, ``sha256``: the digest of the entire file, header
included, while that entry holds 64 zeros. So the digest covers names, shapes, metadata and values, and one flipped bit
anywhere is an error. The header can be read and checked without torch.

The digest protects against damage, not against a file that somebody made. So the header of names, types, shapes and
places is judged by safetensors' own reader before room is made for a value.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from visus.engine.disk import write_atomically
from visus.errors import WeightsError
from visus.files.plain_values import parse_json
from visus.files.regular import GIB, open_regular

if TYPE_CHECKING:
    from torch import Tensor

_OPENING = b'{"__metadata__":{"sha256":"'  # what our header begins with; the digest follows
_DIGEST_AT = 8 + len(_OPENING)
_NO_DIGEST = b"0" * 64
_HEADER_LIMIT = 100 << 20  # as safetensors itself has it
_FILE_LIMIT = 64 * GIB
_MOST_SIDES, _LONGEST_SIDE = 16, 1 << 40  # of a shape without values, which no number of bytes holds down
_BLOCK = 4 << 20
_DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}
_NAMES = {short: name for name, short in _DTYPES.items()}


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Writes tensors and text entries atomically, with the digest in the header.

    Args:
        path: the file; its folder must exist.
        tensors: by name, on any device and in any memory layout.
        metadata: text entries; the name "sha256" is reserved.

    Raises:
        DiskError: if it cannot be written; an older file of this name is then untouched.
    """
    # Wide types first, so that every tensor lies at a multiple of its own width.
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, Any] = {"__metadata__": {"sha256": _NO_DIGEST.decode(), **metadata}}
    offset = 0
    for name in order:
        tensor = tensors[name]
        end = offset + tensor.numel() * tensor.element_size()
        dtype = _DTYPES[str(tensor.dtype).removeprefix("torch.")]
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)

    def fill(file: BinaryIO) -> None:
        start = len(text).to_bytes(8, "little") + text
        digest = hashlib.sha256(start)
        file.write(start)
        for name in order:
            values = _bytes_of(tensors[name])
            digest.update(values)
            file.write(values)
        file.seek(_DIGEST_AT)
        file.write(digest.hexdigest().encode())

    write_atomically(path, fill, size=8 + len(text) + offset)


def read_metadata(path: Path) -> dict[str, str]:
    """Reads the text entries of a file after a check of its digest; loads no torch.

    Raises:
        WeightsError: if the file is missing, foreign, truncated or corrupt.
    """
    with _open(path) as file:
        text = _read_header(path, file)
        digest = hashlib.sha256(_without_digest(text))
        while block := file.read(_BLOCK):
            digest.update(block)
    _require_digest(path, text, digest.hexdigest())
    return _parse(path, text)["__metadata__"]  # type: ignore[no-any-return]


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads the tensors (on the CPU) and text entries of a file after a check of its digest.

    Raises:
        WeightsError: if the file is missing, foreign, truncated or corrupt.
    """
    with _open(path) as file:
        text = _read_header(path, file)
        payload = bytearray(max(path.stat().st_size - len(text), 0))
        if file.readinto(payload) != len(payload):  # type: ignore[attr-defined]
            raise _corrupt(path)
    digest = hashlib.sha256(_without_digest(text))
    digest.update(payload)
    _require_digest(path, text, digest.hexdigest())
    header = _parse(path, text)
    metadata = header.pop("__metadata__")
    return dict(_tensors(header, payload)), metadata


def _tensors(header: dict[str, Any], payload: bytearray) -> Iterator[tuple[str, Tensor]]:
    import torch

    for name, entry in header.items():
        dtype = getattr(torch, _NAMES[entry["dtype"]])
        start, end = entry["data_offsets"]
        if start == end:
            yield name, torch.empty(entry["shape"], dtype=dtype)
        else:
            count = (end - start) // dtype.itemsize
            yield name, torch.frombuffer(payload, dtype=dtype, count=count, offset=start).view(entry["shape"])


def _bytes_of(tensor: Tensor) -> memoryview:
    import torch

    if tensor.numel() == 0:
        return memoryview(b"")
    return tensor.detach().to("cpu").contiguous().reshape(-1).view(torch.uint8).numpy().data


def _open(path: Path) -> BinaryIO:
    return open_regular(path, limit=_FILE_LIMIT, expected="a file written by visus", error=WeightsError)


def _read_header(path: Path, file: BinaryIO) -> bytes:
    """Reads the length and the text of the header, 8 + length bytes."""
    opening = file.read(_DIGEST_AT)
    if opening[8:] != _OPENING:
        raise WeightsError(
            f"{path} was not written by visus",
            expected="a safetensors file with visus's own header",
            got=_kind(opening, path),
            remedy="give the model.safetensors (or the folder) of a visus run",
        )
    length = int.from_bytes(opening[:8], "little")
    if length > min(_HEADER_LIMIT, path.stat().st_size - 8):
        raise _corrupt(path)
    rest = file.read(8 + length - len(opening))
    return opening + rest


def _without_digest(text: bytes) -> bytes:
    return text[:_DIGEST_AT] + _NO_DIGEST + text[_DIGEST_AT + 64 :]


def _require_digest(path: Path, text: bytes, digest: str) -> None:
    if text[_DIGEST_AT : _DIGEST_AT + 64] != digest.encode():
        raise _corrupt(path)


def _parse(path: Path, text: bytes) -> dict[str, Any]:
    """The entries of the header, each of which safetensors' own reader finds right: type, shape and place agree."""
    from safetensors import SafetensorError, safe_open

    expected = "a header of safetensors: type, shape and place of every tensor, and text entries"
    try:
        with safe_open(path, "np"):
            pass
    except (SafetensorError, OSError, ValueError, OverflowError) as error:
        raise _malformed(path, expected, str(error)) from None
    header: dict[str, Any] = parse_json(text[8:], str(path), expected, WeightsError)
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in _NAMES:
            raise _malformed(path, f"values of the types {', '.join(_NAMES)}", f"{name[:200]}: {entry['dtype']}")
        if len(entry["shape"]) > _MOST_SIDES or any(side > _LONGEST_SIDE for side in entry["shape"]):
            raise _malformed(path, "shapes of arrays", f"{name[:200]}: {str(entry['shape'])[:200]}")
    return header


def _malformed(path: Path, expected: str, got: str) -> WeightsError:
    return WeightsError(
        f"{path} has a wrong header",
        expected=expected,
        got=got[:300],
        remedy="take a file that visus wrote; this one was made or changed by something else",
    )


def _corrupt(path: Path) -> WeightsError:
    return WeightsError(
        f"{path} is corrupt or cut short",
        expected="content with the SHA-256 of its header",
        got="other content",
        remedy="fetch the file again, or use another checkpoint of the run",
    )


def _kind(opening: bytes, path: Path) -> str:
    if not opening:
        return "an empty file"
    if opening.startswith((b"PK\x03\x04", b"\x80")):
        return "a Python pickle (.pt, .pth), which can run code and is never loaded here"
    if opening[8:9] == b"{" and path.suffix == ".safetensors":
        return "a safetensors file from elsewhere"
    return "bytes of another kind"
