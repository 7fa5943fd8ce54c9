"""Finds the image files that labels name, also where the names are those of another machine."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from visus.data.formats.listing import IMAGE_FOLDERS, Listing, split_name
from visus.data.formats.reading import Tally
from visus.data.pixels.image_kinds import IMAGE_SUFFIXES

_ANNOTATION_FOLDERS = frozenset({"annotations", "annotation", "labels", "label"})


class ImageFinder:
    """Finds the files that a label file names.

    In this order: the path as it is written, from the folder of the label file, from the folders of images and from
    the data set's root; then the file whose path below the root ends like the name, by as many folders as possible
    ("/home/ann/a/1.png" is found as "images/a/1.png"). What was found only by its name is told, and a name that fits
    several files equally well is a stop: nobody can tell which was meant.

    Args:
        listing: the data set's folder.
        tally: is told what was found by name, and what fits several files.
        beside: the folder of the label file; None: the root.
    """

    def __init__(self, listing: Listing, tally: Tally, *, beside: Path | None = None) -> None:
        self._listing = listing
        self._tally = tally
        beside = beside or listing.root
        bases = [listing.root, beside]
        bases += [base.parent for base in (listing.root, beside) if base.name.lower() in _ANNOTATION_FOLDERS]
        self._bases = list(dict.fromkeys(bases))
        self._folders = [folder for base in self._bases for folder in self._around(base)]
        self._hits: dict[str, Path] = {}
        self._names: dict[Path, dict[str, Path]] = {}
        self._below: dict[str, list[Path]] | None = None

    def find(self, name: str, split: str = "") -> Path | None:
        """The file of this name, or None if there is none or more than one; a name may lack its image's suffix.

        split: the split that the label file or the row says; files in folders of this name come first.
        """
        text = os.path.normpath(name.strip())
        if not text or text == "." or len(text) > 4096:  # as long as a path can be on common systems
            return None
        folders = self._hits.get(split)
        if folders is not None and (path := self._written(folders, text)) is not None:
            return path
        for folder in self._ordered(split):
            if (path := self._written(folder, text)) is not None:
                self._hits[split] = folder
                return path
        found = self._by_name(name, split)
        if found is None and "%" in name and (plain := unquote(name)) != name:
            found = self._by_name(plain, split)
        if found is None:
            self._tell_other_suffix(name)
        return found

    def _tell_other_suffix(self, name: str) -> None:
        """Says where a missing image is there under another suffix: then the images were converted."""
        parts = trailing_parts(name)
        last = Path(parts[-1]) if parts else Path()
        others = self._below.get(last.stem, []) if self._below and last.suffix.lower() in IMAGE_SUFFIXES else []
        if others and all(path.name != last.name for path in others):  # else the name fits several files
            message = "{count} missing images are there with another suffix; correct the names in the labels"
            self._tally.add("other-suffix", "note", message, f"{name[:200]}: {self._listing.name_of(others[0])}")

    def _ordered(self, split: str) -> Iterable[Path]:
        if not split:
            return self._folders
        mine = [folder for folder in self._folders if split_name(folder.name) == split]
        inner = [part for folder in self._folders for name, part in self._listing.split_folders(folder).items()
                 if name == split]  # fmt: skip
        return dict.fromkeys([*inner, *mine, *self._folders])

    def _around(self, base: Path) -> list[Path]:
        """A folder and those in it, folders of images first."""
        inside = self._listing.folders(base)
        images = [folder for folder in inside if folder.name.lower() in IMAGE_FOLDERS]
        return [base, *images, *(folder for folder in inside if folder not in images)]

    def _written(self, folder: Path, text: str) -> Path | None:
        """The file of exactly this path from a folder."""
        head, tail = os.path.split(text)
        place = folder / head if head else folder
        names = self._names.get(place)
        if names is None:
            names = self._names[place] = self._images_in(place)
        return names.get(tail)

    def _images_in(self, folder: Path) -> dict[str, Path]:
        """The images of a folder by name, and by name without suffix where that is not another file's name."""
        if not os.path.isdir(folder):  # False for names that are too long, too
            return {}
        paths = self._listing.images(folder)
        names = {path.stem: path for path in reversed(paths)}
        return names | {path.name: path for path in paths}

    def _by_name(self, name: str, split: str) -> Path | None:
        parts = trailing_parts(name)
        if not parts:
            return None
        candidates = self._candidates(parts[-1])
        best, longest = candidates[:], 0
        for path in candidates:
            length = _shared(parts, path.parts)
            if length > longest:
                best, longest = [path], length
            elif length == longest and path not in best:
                best.append(path)
        if len(best) > 1 and split:
            best = [path for path in best if split in map(split_name, path.parts)] or best
        if len(best) > 1:
            files = " or ".join(self._listing.name_of(path) for path in best[:3])
            message = "{count} image names fit several files"
            self._tally.add("ambiguous-image", "stop", message, f"{name[:200]}: {files}")
            return None
        if best:
            message = "{count} images are not where the labels say; found by name"
            self._tally.add("found-by-name", "note", message, f"{name[:200]}: {self._listing.name_of(best[0])}")
            return best[0]
        return None

    def _candidates(self, name: str) -> list[Path]:
        if self._below is None:
            self._below = {}
            for base in dict.fromkeys([self._listing.root, *self._bases]):
                for path in self._listing.images_below(base):
                    for key in {path.name, path.stem}:
                        self._below.setdefault(key, []).append(path)
        found = self._below.get(name, [])
        exact = [path for path in found if path.name == name]
        return list(dict.fromkeys(exact or ([] if Path(name).suffix.lower() in IMAGE_SUFFIXES else found)))


def trailing_parts(name: str) -> tuple[str, ...]:
    """The folders and the file of a path or URL of any machine, such as ("a", "1.png") of "..\\\\a\\\\1.png"."""
    text = name.strip()
    if "://" in text:
        try:
            text = unquote(urlsplit(text).path)
        except ValueError:  # no address after all
            return ()
    elif "?d=" in text:  # a local file of Label Studio: /data/local-files/?d=photos/1.png
        text = unquote(text.partition("?d=")[2])
    parts = text.replace("\\", "/").split("/")
    return tuple(part for part in parts if part not in ("", ".", "..") and not part.endswith(":"))


def _shared(wanted: tuple[str, ...], parts: tuple[str, ...]) -> int:
    """The number of equal parts at the ends of two paths; the last counts as equal."""
    length = 1
    for first, second in zip(reversed(wanted[:-1]), reversed(parts[:-1]), strict=False):
        if first != second:
            break
        length += 1
    return length
