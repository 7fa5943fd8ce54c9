"""Tells by its first bytes a file of another kind than its name says."""

from __future__ import annotations

import re
from typing import NamedTuple


class Kind(NamedTuple):
    """What a file is by its first bytes.

    Args:
        name: in words.
        refused: suffixes of files that must not begin so; "" for any.
        remedy: what a person can do who meant another kind.
    """

    name: str
    refused: tuple[str, ...] = ("",)
    remedy: str = "name a file of weights"


LONGEST = 512
"""Bytes that tell."""

_UNPACK = "unpack it, and name the file within"
_KINDS = (
    (rb"\xff\xd8\xff", Kind("a JPEG image")),
    (rb"\x89PNG\r\n\x1a\n", Kind("a PNG image")),
    (rb"GIF8[79]a", Kind("a GIF image")),
    (rb"%PDF-", Kind("a PDF document")),
    (rb"PK\x03\x04", Kind("a zip archive", (".weights", ".caffemodel", ".h5", ".safetensors"), _UNPACK)),
    # Three bytes may be the length of a header of safetensors.
    (rb"\x1f\x8b\x08", Kind("a gzip archive", (".weights", ".caffemodel", ".h5", ".npz", ".pth", ".pt"), _UNPACK)),
    (rb"7z\xbc\xaf\x27\x1c", Kind("a 7z archive", remedy=_UNPACK)),
    (rb"Rar!\x1a\x07", Kind("a RAR archive", remedy=_UNPACK)),
    (
        rb"\x89HDF\r\n\x1a\n",
        Kind(
            "an HDF5 file", (".weights", ".pth", ".pt", ".npz", ".safetensors"), "give a file of Keras the suffix .h5"
        ),
    ),
    (
        rb"version https://git-lfs",
        Kind("a Git LFS pointer, which stands for the file", remedy="fetch the file: git lfs pull"),
    ),
    (
        rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype html|html|head)\b",
        Kind("a web page", remedy="download the file itself, not the page about it"),
    ),
)


def kind_of(begin: bytes) -> Kind | None:
    """What a file with these first bytes is, of the kinds that people take for files of weights; else None."""
    return next((kind for pattern, kind in _KINDS if re.match(pattern, begin)), None)
