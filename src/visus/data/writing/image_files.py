"""Puts the images of a data set into a new folder, under names that are there once."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from visus.data.formats.listing import split_name
from visus.data.pixels.images import ArrayImage, BytesImage
from visus.errors import DataError, DiskError
from visus.structures import Sample

_REFUSED = re.compile(r'[<>:"/\\|?*\x00-\x1f]')  # what some file system does not take
_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "PPM": ".ppm", "TIFF": ".tif"}


def portable(text: str) -> str:
    """A name that every file system takes: refused characters become "_", dots and spaces at its ends go."""
    return _REFUSED.sub("_", text).strip(". ") or "_"


def unique_names(ids: Sequence[str], *, spaces: bool = True) -> list[str]:
    """A file name without suffix for each id, no two alike, not even where capitals count as small letters.

    An id is a path or a number. Its last part is taken; as much of its folders comes before it as is needed to tell it
    from others ("day1_photo"), and where that is not enough, a number behind it.

    Args:
        ids: of all images.
        spaces: False turns white space into "_".
    """
    parts = [_stem_parts(text, spaces) for text in ids]
    taken = [1] * len(ids)
    while True:
        names = ["_".join(pieces[-count:]) for pieces, count in zip(parts, taken, strict=True)]
        counts = Counter(name.casefold() for name in names)
        longer = [i for i, name in enumerate(names) if counts[name.casefold()] > 1 and taken[i] < len(parts[i])]
        if not longer:
            break
        for i in longer:
            taken[i] += 1
    used: set[str] = set()
    unique = []
    reserved = {name.casefold() for name, count in ((n, counts[n.casefold()]) for n in names) if count == 1}
    for name in names:
        free, number = name, 1
        while free.casefold() in used or (number > 1 and free.casefold() in reserved):
            number += 1
            free = f"{name}-{number}"
        used.add(free.casefold())
        unique.append(free)
    return unique


def _stem_parts(text: str, spaces: bool) -> list[str]:
    path = PurePosixPath(text.replace("\\", "/"))
    parts = [*(part for part in path.parent.parts if part not in ("/", "..")), path.stem]
    named = [portable(part) for part in parts]
    return named if spaces else [re.sub(r"\s+", "_", part) for part in named]


@dataclass(slots=True)
class ImageFiles:
    """Copies or links images to where a writer wants them.

    Args:
        names: from split to the file names, with suffix, of its samples.
        link: whether files are hard-linked where that is possible, and not copied.
        linked: so many were.
    """

    names: Mapping[str, Sequence[str]]
    link: bool = False
    linked: int = 0

    @classmethod
    def of(cls, splits: Mapping[str, Sequence[Sample]], *, link: bool = False, spaces: bool = True) -> ImageFiles:
        """Names for all samples of all splits."""
        samples = [sample for part in splits.values() for sample in part]
        stems = iter(unique_names([sample.id for sample in samples], spaces=spaces))
        return cls({split: [next(stems) + _suffix(s) for s in part] for split, part in splits.items()}, link)

    def named(self, split: str, samples: Iterable[Sample]) -> Iterable[tuple[str, Sample]]:
        """The samples of a split with their names."""
        return zip(self.names[split], samples, strict=True)

    def place(self, sample: Sample, target: Path) -> None:
        """Writes an image to a path that is free.

        Raises:
            DiskError: if it cannot be written.
            DataError: if it cannot be read.
        """
        image, source = sample.image, sample.image.path
        try:
            if source is not None:
                self._transfer(source, target)
            elif isinstance(image, BytesImage):
                target.write_bytes(image.data)
            elif isinstance(image, ArrayImage) and target.suffix == ".npy":
                np.save(target, image.array)
            else:
                from PIL import Image

                pixels = image.array if isinstance(image, ArrayImage) else image.load().transpose(1, 2, 0)
                Image.fromarray(np.ascontiguousarray(pixels)).save(target)
        except OSError as error:
            if source is not None and not source.is_file():
                raise DataError(f"{source} cannot be read", expected="an image file", got=str(error)) from None
            raise DiskError(f"{target} cannot be written", got=error.strerror or str(error)) from None

    def _transfer(self, source: Path, target: Path) -> None:
        if self.link:
            try:
                os.link(source.resolve(), target)
            except OSError:  # another disk, or a file system without links
                pass
            else:
                self.linked += 1
                return
        shutil.copyfile(source, target)


def _suffix(sample: Sample) -> str:
    """The suffix of a sample's file; of pixels in memory, that of a format which keeps them."""
    image = sample.image
    if image.path is not None:
        return image.path.suffix
    if isinstance(image, BytesImage):
        import io

        from visus.data.pixels.images import open_raster

        try:
            name = open_raster(io.BytesIO(image.data), image.name).format or "PNG"
        except DataError:  # numpy arrays and other files that Pillow does not know
            return PurePosixPath(image.name).suffix or ".npy"
        return _SUFFIXES.get(name, f".{name.lower()}")
    if isinstance(image, ArrayImage) and not (image.array.ndim == 2 or image.is_picture):
        return ".npy"
    return ".png"


def folder_names(classes: Sequence[str], *, beside_splits: bool) -> dict[str, str]:
    """A folder name for each class, no two alike.

    Args:
        classes: their names.
        beside_splits: whether folders of these names would lie where ``train/`` means a split.
    """
    names: dict[str, str] = {}
    for name in classes:
        folder = portable(name)
        while folder in names.values() or (beside_splits and split_name(folder)):
            folder += "_"
        names[name] = folder
    return names
