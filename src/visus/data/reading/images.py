"""Opens images without labels, by their paths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from visus.data.formats.listing import Listing
from visus.data.messages import listed, with_count
from visus.data.pixels.images import FileImage
from visus.errors import DataError, UsageError
from visus.structures import Sample


def path_of(given: str | Path) -> Path:
    """The path that a text names.

    Raises:
        UsageError: if the text is empty, as a variable that was never set is: it would mean the current folder.
    """
    if not str(given):
        raise UsageError(
            "the path is empty", expected="a file or a folder", got='""', remedy='write "." for the current folder'
        )
    return Path(given)


def open_images(paths: Iterable[str | Path], *, say: Callable[[str], object] | None = None) -> list[Sample]:
    """Unlabelled images for prediction.

    Args:
        paths: image files (taken whatever their suffix) and folders (their images and those of the folders in them; of
            a data set those that are no label maps or masks).
        say: is told in one line for each folder what is left out as labels.

    Returns:
        Samples without targets, in the order given, folders sorted by name; an image that comes twice is taken once.

    Raises:
        DataError: if a path does not exist, a folder holds no image, or nothing is given.
        UsageError: if a path is empty.
    """
    samples: dict[Path, Sample] = {}
    for path in map(path_of, paths):
        if path.is_dir():
            listing = Listing(path)
            files = listing.images_below(path)
            from visus.data.reading.label_images import label_images  # knows every format, which single files need not

            if labels := label_images(path).intersection(files):
                files = tuple(file for file in files if file not in labels)
                left_out = with_count(f"{{count}} label images of a data set are left out of {path}: ", len(labels))
                if say is not None:
                    say(left_out + listed(map(listing.name_of, sorted(labels)), most=3))
            if not files:
                own = listing.left_out()
                raise DataError(
                    f"{path} holds no image",
                    expected="image files",
                    got="; ".join(filter(None, [contents(listing), own])),
                    remedy="give one of them itself" if own else "",
                )
        elif path.exists():
            files = (path,)
        else:
            raise DataError(
                f"there is no file or folder {path}",
                expected="image files or folders of images",
                got="nothing there",
                remedy="check the path",
            )
        for file in files:
            samples.setdefault(file, Sample(file.as_posix(), FileImage(file)))
    if not samples:
        raise DataError("no images are given", expected="image files or folders")
    return list(samples.values())


def contents(listing: Listing) -> str:
    """What a folder holds, in words for errors."""
    if listing.is_file:
        return f"a {listing.source.suffix or 'suffixless'} file"
    kinds = Counter(path.suffix.lower() or "suffixless" for path in listing.files())
    parts = [with_count(f"{{count}} {kind} files", count) for kind, count in kinds.most_common(4)]
    folders = [folder.name for folder in listing.folders()]
    if folders:
        parts.append("the folders " + listed(folders))
    return ", ".join(parts) or "an empty folder"
