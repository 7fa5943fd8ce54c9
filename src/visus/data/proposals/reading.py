"""Reads a file of region proposals, whatever program wrote it."""

from __future__ import annotations

from pathlib import Path

from visus.data.proposals.array_file import read_arrays_of
from visus.data.proposals.given import GivenProposals
from visus.data.proposals.matlab_file import read_cells
from visus.data.proposals.pickle_file import read_pickled
from visus.data.proposals.text_file import read_json, read_table
from visus.errors import DataError
from visus.files.regular import LARGEST_IMAGE, open_regular

KINDS = "a MATLAB file (.mat), a pickle of detectron2 (.pkl), CSV, JSON or .npz"
"""The words of errors and helps."""


def read_proposals(path: Path) -> list[GivenProposals]:
    """The proposals of each image that a file names; the kind of file is told by its content.

    Raises:
        DataError: if it cannot be read, or holds no proposals.
    """
    with open_regular(path, limit=LARGEST_IMAGE, expected=KINDS) as file:
        head = file.read(512)
    if not head:
        raise DataError(f"{path} is empty", expected=KINDS, got="no byte")
    suffix = path.suffix.lower()
    if head.startswith((b"MATLAB ", b"\x89HDF")) or suffix == ".mat":
        return read_cells(path)
    if head.startswith(b"\x80") or suffix in (".pkl", ".pickle"):
        return read_pickled(path)
    if head.startswith(b"PK"):
        return read_arrays_of(path)
    plain = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    return read_json(path) if plain[:1] in (b"[", b"{") else read_table(path)
