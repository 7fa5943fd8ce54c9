"""Reads JSON files that labelling tools wrote, and finds those of a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visus.data.formats.listing import Listing
from visus.data.formats.texts.text_encoding import decode_text
from visus.errors import DataError
from visus.files.regular import LARGEST_TEXT, open_regular, read_regular

_HEAD = 1 << 20  # bytes of a file that are looked at to recognise it
_FILES = 3  # so many JSON files of a folder are looked at
_FOLDERS = 50  # of so many folders


@dataclass(frozen=True, slots=True)
class Probe:
    """The beginning of a JSON file.

    Args:
        path: of the file.
        head: its first bytes.
        content: what it holds, where it is small and sound; otherwise None.
    """

    path: Path
    head: bytes
    content: Any

    def has(self, *keys: str) -> bool:
        """Whether the beginning of the file has all of these keys, at any depth."""
        return all(f'"{key}"'.encode() in self.head for key in keys)


def load_json(path: Path, expected: str) -> Any:
    """What a JSON file holds.

    Args:
        path: of the file.
        expected: what it should be, for the message.

    Raises:
        DataError: if it cannot be read or is no JSON.
    """
    content = read_regular(path, limit=LARGEST_TEXT, expected=expected)
    try:
        return json.loads(decode_text(content)[0])
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON", expected=expected, got=str(error)) from error


def json_files(listing: Listing) -> dict[Path, tuple[Path, ...]]:
    """The JSON files of each folder below the root that has any, or the one JSON file that was given."""
    if listing.is_file:
        return {listing.root: listing.files()} if listing.source.suffix.lower() == ".json" else {}
    folders = listing.folders_below(listing.root)
    return {folder: paths for folder in folders if (paths := listing.files_with(".json", folder=folder))}


def probes(listing: Listing) -> tuple[Probe, ...]:
    """The beginnings of a few JSON files of each folder."""
    found = []
    for paths in list(listing.once(json_files).values())[:_FOLDERS]:
        found += [probe for path in paths[:_FILES] if (probe := _probe(path)) is not None]
    return tuple(found)


def _probe(path: Path) -> Probe | None:
    try:
        with open_regular(path, limit=LARGEST_TEXT) as stream:
            head = stream.read(_HEAD + 1)
    except (DataError, OSError):
        return None
    content = None
    if len(head) <= _HEAD:
        try:
            content = json.loads(decode_text(head)[0])
        except (ValueError, RecursionError):
            content = None
    return Probe(path, head, content)
