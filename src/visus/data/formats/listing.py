"""The files and folders of a data set: each folder is listed once, hidden files are skipped."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from visus.data.formats.text_encoding import printable_name
from visus.data.pixels.image_kinds import IMAGE_SUFFIXES, starts_like_image
from visus.errors import DataError

T = TypeVar("T")

SPLIT_NAMES: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "tst": "test",
}
"""What folders and columns call the splits, in lower case."""

IMAGE_FOLDERS = ("image", "images", "img", "imgs", "jpegimages")
"""Folder names (lower case) that hold images beside a folder of labels; never the name of a class then."""

LABEL_FOLDERS = (
    "label",
    "labels",
    "mask",
    "masks",
    "annotation",
    "annotations",
    "annot",
    "annots",
    "gt",
    "groundtruth",
    "ground_truth",
    "segmentation",
    "segmentations",
    "segmentationclass",
    "labelmaps",
)
"""Folder names (lower case) that hold labels beside a folder of images."""

FOLDER_ENDINGS = ("annot", "_annot", "_mask", "_masks", "_label", "_labels", "masks", "labels")
"""What a folder of labels adds to the name of its folder of images: ``train/`` and ``trainannot/``."""

_NO_IMAGES = frozenset({
    ".txt", ".xml", ".json", ".jsonl", ".csv", ".tsv", ".yaml", ".yml", ".md", ".rst", ".html", ".htm", ".pdf", ".py",
    ".ipynb", ".names", ".data", ".cfg", ".log", ".zip", ".gz", ".tar", ".npz", ".mat", ".parquet", ".pkl", ".pt",
    ".pth", ".safetensors",
})  # fmt: skip
"""Suffixes (lower case) of files that are not looked into to see whether they are images."""

_PASSED_OVER = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
_YEAR = re.compile(r"(20\d\d|07|12)$")


def split_name(text: str) -> str | None:
    """The split that a name means ("Validation" -> "val", "train2017" -> "train"), or None."""
    lower = text.strip().lower()
    return SPLIT_NAMES.get(lower) or SPLIT_NAMES.get(_YEAR.sub("", lower))


class Listing:
    """The files and folders of a data set's folder, or the one file that was given.

    Args:
        source: a folder or a file that exists.
    """

    def __init__(self, source: Path) -> None:
        self.source = source
        self.root = source if source.is_dir() else source.parent
        self._folders: dict[Path, tuple[tuple[Path, ...], tuple[Path, ...]]] = {}
        self._looked_at: dict[Path, bool] = {}
        self._computed: dict[Callable[[Listing], Any], Any] = {}

    @property
    def is_file(self) -> bool:
        """Whether a single file was given."""
        return self.source != self.root

    def files(self, folder: Path | None = None) -> tuple[Path, ...]:
        """The files of a folder (the root; the file given), sorted by name."""
        if folder is None and self.is_file:
            return (self.source,)
        return self._list(folder or self.root)[0]

    def folders(self, folder: Path | None = None) -> tuple[Path, ...]:
        """The folders in a folder (the root; none if a file was given), sorted by name."""
        if folder is None and self.is_file:
            return ()
        return self._list(folder or self.root)[1]

    def images(self, folder: Path | None = None) -> tuple[Path, ...]:
        """The files with an image's suffix in a folder, sorted by name."""
        return tuple(path for path in self.files(folder) if self.is_image(path))

    def is_image(self, path: Path) -> bool:
        """Whether a file is an image: by its suffix, or by its first bytes where the suffix says nothing."""
        suffix = path.suffix.lower()
        if suffix in IMAGE_SUFFIXES:
            return True
        if suffix in _NO_IMAGES:
            return False
        if path not in self._looked_at:
            self._looked_at[path] = starts_like_image(path)
        return self._looked_at[path]

    def images_below(self, folder: Path) -> tuple[Path, ...]:
        """The images of a folder and all folders in it; a folder that is linked twice is read once."""
        return tuple(path for path in self.files_below(folder) if self.is_image(path))

    def files_below(self, folder: Path) -> tuple[Path, ...]:
        """The files of a folder and all folders in it; a folder that is linked twice is read once."""
        files: list[Path] = []
        seen: set[Path] = set()
        waiting = [folder]
        while waiting:
            current = waiting.pop()
            real = current.resolve()
            if real in seen:
                continue
            seen.add(real)
            files += self.files(current)
            waiting += reversed(self.folders(current))
        return tuple(files)

    def files_with(self, *suffixes: str, folder: Path | None = None) -> tuple[Path, ...]:
        """The files of a folder with one of these suffixes (lower case, with the dot)."""
        return tuple(path for path in self.files(folder) if path.suffix.lower() in suffixes)

    def folder(self, *names: str, inside: Path | None = None) -> Path | None:
        """The folder with the first of these (lower-case) names that exists, or None; upper case counts as lower."""
        by_name = {path.name.lower(): path for path in self.folders(inside)}
        return next((by_name[name] for name in names if name in by_name), None)

    def split_folders(self, inside: Path | None = None) -> dict[str, Path]:
        """The folders named after splits, train before val before test."""
        folders = {split: path for path in self.folders(inside) if (split := split_name(path.name))}
        return {split: folders[split] for split in ("train", "val", "test") if split in folders}

    def once(self, function: Callable[[Listing], T]) -> T:
        """The result of ``function(self)``, computed at the first call only."""
        if function not in self._computed:
            self._computed[function] = function(self)
        result: T = self._computed[function]
        return result

    def name_of(self, path: Path) -> str:
        """A path for people, with forward slashes and decoded; relative to the root if it lies inside."""
        try:
            name = path.relative_to(self.root).as_posix()
        except ValueError:
            name = path.as_posix()
        return printable_name(name)

    def _list(self, folder: Path) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
        if folder not in self._folders:
            files: list[str] = []
            folders: list[str] = []
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if not entry.name.startswith(".") and entry.name.lower() not in _PASSED_OVER:
                            (folders if entry.is_dir() else files).append(entry.name)
            except OSError as error:
                raise DataError(
                    f"{folder} cannot be listed", expected="a folder that may be read", got=error.strerror or str(error)
                ) from error
            self._folders[folder] = (
                tuple(folder / name for name in sorted(files)),
                tuple(folder / name for name in sorted(folders)),
            )
        return self._folders[folder]
