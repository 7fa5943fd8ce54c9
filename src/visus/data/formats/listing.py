"""The files and folders of a data set: each folder is listed once, hidden files are skipped."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from visus.data.formats.own_folders import MARK, is_own_folder, own_files
from visus.data.formats.texts.text_encoding import printable_name
from visus.data.messages import listed, with_count
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
_PASSED_OVER_ENDS = frozenset(name[-3:] for name in _PASSED_OVER)
_EVALUATIONS = {"eval": "val", "evaluation": "val", "holdout": "test", "hold_out": "test", "heldout": "test"}
_SPLIT_FOLDER = re.compile(
    rf"(?:(?:seg|data|dataset)[_\- ])?(?P<word>{'|'.join((*SPLIT_NAMES, *_EVALUATIONS))})"
    r"(?:[_\- ]?(?:set|data|dataset))?"
)
_YEAR = re.compile(r"(20\d\d|07|12)$")


def split_name(text: str) -> str | None:
    """The split that a name means ("Validation" -> "val", "train2017" -> "train"), or None."""
    lower = text.strip().lower()
    return SPLIT_NAMES.get(lower) or SPLIT_NAMES.get(_YEAR.sub("", lower))


def split_of_folder_name(name: str) -> str | None:
    """The split that the name of a folder means, such as "test_set", "seg_train" or "evaluation", or None."""
    if split := split_name(name):
        return split
    match = _SPLIT_FOLDER.fullmatch(name.lower())
    return (_EVALUATIONS.get(match["word"]) or split_name(match["word"])) if match else None


class Listing:
    """The files and folders of a data set's folder, or the one file that was given.

    Args:
        source: a folder or a file that exists.
    """

    def __init__(self, source: Path) -> None:
        self.source = source
        self.root = source if source.is_dir() else source.parent
        self._inside = os.path.join(self.root, "")  # how paths in it begin
        self._folders: dict[Path, _Entries] = {}
        self._looked_at: dict[Path, bool] = {}
        self._computed: dict[Callable[[Listing], Any], Any] = {}
        self._own: list[Path] = []
        self._real: dict[Path, str] = {}

    @property
    def is_file(self) -> bool:
        """Whether a single file was given."""
        return self.source != self.root

    def files(self, folder: Path | None = None) -> tuple[Path, ...]:
        """The files of a folder (the root; the file given), sorted by name."""
        if folder is None and self.is_file:
            return (self.source,)
        return self._list(folder or self.root).files()

    def folders(self, folder: Path | None = None) -> tuple[Path, ...]:
        """The folders in a folder (the root; none if a file was given), sorted by name."""
        if folder is None and self.is_file:
            return ()
        return self._list(folder or self.root).folders()

    def images(self, folder: Path | None = None) -> tuple[Path, ...]:
        """The image files of a folder (see :meth:`is_image`), sorted by name."""
        if folder is None and self.is_file:
            return (self.source,) if self.is_image(self.source) else ()
        entries = self._list(folder or self.root)
        if entries.suffixes <= IMAGE_SUFFIXES:
            return entries.files()
        return tuple(path for path in entries.files() if self.is_image(path))

    def image_names(self, folder: Path) -> Sequence[str]:
        """The names of the image files of a folder, sorted; much faster than :meth:`images` where they are many."""
        entries = self._list(folder)
        if entries.suffixes <= IMAGE_SUFFIXES:
            return entries.file_names
        return [path.name for path in self.images(folder)]

    def suffixes(self, folder: Path) -> frozenset[str]:
        """The suffixes (lower case, with the dot; "" for none) of the files of a folder."""
        return self._list(folder).suffixes

    def has_images_below(self, folder: Path) -> bool:
        """Whether a folder or one of the folders in it holds an image."""
        return next(self.folders_with_images(folder), None) is not None

    def folders_with_images(self, folder: Path) -> Iterator[Path]:
        """A folder and those in it that hold images, as deep as they go; one that is linked twice comes once."""
        return (current for current in self.folders_below(folder) if self.image_names(current))

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
        return tuple(path for current in self.folders_below(folder) for path in self.files(current))

    def folders_below(self, folder: Path) -> Iterator[Path]:
        """A folder and all folders in it, each before those in it; one that is linked twice comes once."""
        seen: set[str] = set()
        waiting = [folder]
        while waiting:
            current = waiting.pop()
            real = self._real.get(current)
            if real is None:
                real = self._real[current] = os.path.realpath(current)
            if real in seen:
                continue
            seen.add(real)
            yield current
            waiting += reversed(self.folders(current))

    def files_with(self, *suffixes: str, folder: Path | None = None) -> tuple[Path, ...]:
        """The files of a folder with one of these suffixes (lower case, with the dot)."""
        if not (folder is None and self.is_file) and self._list(folder or self.root).suffixes.isdisjoint(suffixes):
            return ()
        return tuple(path for path in self.files(folder) if path.suffix.lower() in suffixes)

    def folder(self, *names: str, inside: Path | None = None) -> Path | None:
        """The folder with the first of these (lower-case) names that exists, or None; upper case counts as lower."""
        by_name = {path.name.lower(): path for path in self.folders(inside)}
        return next((by_name[name] for name in names if name in by_name), None)

    def split_folders(self, inside: Path | None = None) -> dict[str, Path]:
        """The folders named after splits, train before val before test."""
        named = [(split_name(path.name), split_of_folder_name(path.name), path) for path in self.folders(inside)]
        folders = {split: path for _, split, path in named if split}
        folders |= {split: path for split, _, path in named if split}  # "val" before "evaluation"
        return {split: folders[split] for split in ("train", "val", "test") if split in folders}

    def left_out(self) -> str:
        """What visus itself wrote and is therefore no data, in one sentence; "" where nothing of it was seen."""
        folders = [self.name_of(path) for path in self._own if path.is_dir()]
        files = len(self._own) - len(folders)
        parts = []
        if folders:
            parts.append(with_count("{count} folders that visus wrote are left out: ", len(folders)) + listed(folders))
        if files:
            parts.append(with_count("{count} files that visus wrote are left out", files))
        return "; ".join(parts)

    def once(self, function: Callable[[Listing], T]) -> T:
        """The result of ``function(self)``, computed at the first call only."""
        if function not in self._computed:
            self._computed[function] = function(self)
        result: T = self._computed[function]
        return result

    def name_of(self, path: Path) -> str:
        """A path for people, with forward slashes and decoded; relative to the root if it lies inside."""
        text = os.fspath(path)
        if text.startswith(self._inside) and text != self._inside:  # as relative_to has it, ten times as fast
            return printable_name(text[len(self._inside) :].replace(os.sep, "/"))
        try:
            name = path.relative_to(self.root).as_posix()
        except ValueError:
            name = path.as_posix()
        return printable_name(name)

    def _list(self, folder: Path) -> _Entries:
        if folder not in self._folders:
            try:
                with os.scandir(folder) as found:
                    entries = list(found)
                    folders = [entry.name for entry in entries if entry.is_dir()]
                    files = [entry.name for entry in entries]
                    if folders:
                        taken = frozenset(folders)
                        files = [name for name in files if name not in taken]
            except OSError as error:
                raise DataError(
                    f"{folder} cannot be listed", expected="a folder that may be read", got=error.strerror or str(error)
                ) from error
            own = own_files(folder) if MARK in files else frozenset()
            left_out = {name for name in folders if is_own_folder(folder / name)} | own.intersection(files)
            if left_out:
                self._own += [folder / name for name in sorted(left_out)]
                files = [name for name in files if name not in left_out]
                folders = [name for name in folders if name not in left_out]
            self._folders[folder] = _Entries(folder, *_shown(files), _shown(folders)[0])
        return self._folders[folder]


class _Entries:
    """The names in one folder; paths are made only when they are asked for, since there may be a million."""

    def __init__(self, folder: Path, file_names: list[str], ends: frozenset[str], folder_names: list[str]) -> None:
        self.file_names = file_names
        self.suffixes = _suffixes(file_names, ends)
        self._folder = folder
        self._folder_names = folder_names
        self._files: tuple[Path, ...] | None = None
        self._folders: tuple[Path, ...] | None = None

    def files(self) -> tuple[Path, ...]:
        """The files, sorted by name."""
        if self._files is None:
            self._files = tuple(self._folder / name for name in self.file_names)
        return self._files

    def folders(self) -> tuple[Path, ...]:
        """The folders, sorted by name."""
        if self._folders is None:
            self._folders = tuple(self._folder / name for name in self._folder_names)
        return self._folders


def _suffixes(names: Sequence[str], ends: frozenset[str]) -> frozenset[str]:
    """The suffixes of files. ends: the last letters of their names, which show most suffixes."""
    if not all("." in end for end in ends):
        ends = frozenset(name[name.rfind(".") :] for name in names)
    return frozenset(_suffix(end[end.rfind(".") :]) for end in ends)


def _suffix(end: str) -> str:
    """A suffix in lower case, of a name's end from its last dot on; "" where there is no dot."""
    return end.lower() if end.startswith(".") and end != "." else ""


def _shown(names: list[str]) -> tuple[list[str], frozenset[str]]:
    """Names, sorted, without hidden ones and those that systems leave behind; and the last four letters of them."""
    names.sort()
    hidden = bisect_left(names, "."), bisect_left(names, "/")  # "/" follows "." and is in no name
    del names[hidden[0] : hidden[1]]
    ends = frozenset({name[-4:] for name in names})  # first the ends, since there may be a million names
    if any(end[-3:].lower() in _PASSED_OVER_ENDS for end in ends):
        names = [name for name in names if name.lower() not in _PASSED_OVER]
        ends = frozenset({name[-4:] for name in names})
    return names, ends
