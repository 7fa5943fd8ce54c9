"""The battery for data formats: what every reader must do, whatever layout it reads."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from visus.data.dataset import Dataset
from visus.data.formats.listing import Listing
from visus.data.formats.reading import Format
from visus.data.pixels.image_kinds import IMAGE_SUFFIXES
from visus.data.reading.fingerprint import fingerprint
from visus.data.reading.images import open_images
from visus.data.reading.opening import choose_format, open_data
from visus.errors import VisusError
from visus.structures import Sample
from visus.testing.conformance import ConformanceError, require


@dataclass(frozen=True, slots=True)
class FormatCase:
    """A format, and what writes a small data set of it.

    Args:
        format: under test; visus must know it (built in, or an installed extension).
        write: writes a data set of at least two labelled images into an empty folder, and returns what is opened: the
            folder, or a file in it. Each call writes the same bytes.
        folder: an empty folder for the checks to work in.
    """

    format: Format
    write: Callable[[Path], Path]
    folder: Path

    def written(self, name: str = "data") -> Path:
        """A fresh copy of the data set in a folder of this name."""
        root = self.folder / name
        if root.exists():
            shutil.rmtree(root)
        root.mkdir(parents=True)
        return self.write(root)


def _samples(dataset: Dataset) -> Iterator[Sample]:
    for samples in dataset.splits.values():
        yield from samples


def _digests(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def recognises_its_own(case: FormatCase) -> None:
    """The format recognises its data set, and no other format does."""
    source = case.written()
    _, chosen = choose_format(source)  # raises where two formats recognise it
    require(chosen.name == case.format.name, f"{case.format.name} must be recognised", got=chosen.name)


def passes_over_what_is_not_its_own(case: FormatCase) -> None:
    """The format recognises neither an empty folder nor a folder with a note in it."""
    root = case.folder / "foreign"
    root.mkdir()
    require(not case.format.recognise(Listing(root)), "an empty folder is of no format")
    (root / "notes.txt").write_text("Call the lab about the missing slides.\n", encoding="utf-8")
    require(not case.format.recognise(Listing(root)), "a folder of notes is of no format")


def gives_labelled_samples(case: FormatCase) -> None:
    """Every image can be decoded and has the size that its header says; its targets belong to tasks with names."""
    dataset = open_data(case.written(), format=case.format.name)
    samples = list(_samples(dataset))
    require(len(samples) >= 2, "a data set of two images or more is read", got=len(samples))
    names = [(split, sample.id) for split, part in dataset.splits.items() for sample in part]
    require(len(set(names)) == len(names), "each image of a split has a name of its own")
    for sample in samples:
        pixels = sample.image.load()
        require(
            pixels.shape[1:] == sample.image.size(),
            f"{sample.id} has the size that its header says",
            got=f"{list(pixels.shape[1:])}, said {list(sample.image.size())}",
        )
        strange = set(sample.targets) - set(dataset.classes)
        require(not strange, f"the targets of {sample.id} belong to tasks of the data set", got=sorted(strange))
        for task in sample.targets:
            sample.target(task)  # raises what cannot be read


def reads_alike_twice_and_elsewhere(case: FormatCase) -> None:
    """The same files give the same data set: read again, and from another folder with a space in its name."""
    first = fingerprint(open_data(case.written(), format=case.format.name))
    again = fingerprint(open_data(case.written(), format=case.format.name))
    require(first == again, "two readings of the same files have one fingerprint")
    elsewhere = open_data(case.written("an other place/data"), format=case.format.name)
    require(first == fingerprint(elsewhere), "the fingerprint does not depend on where the data lie")


def leaves_the_files_alone(case: FormatCase) -> None:
    """Reading changes no file and leaves none behind."""
    source = case.written()
    root = case.folder / "data"
    before = _digests(root)
    for sample in _samples(open_data(source, format=case.format.name)):
        sample.image.load()
    require(_digests(root) == before, "reading leaves the files as they were")


def refuses_damage_with_a_reason(case: FormatCase) -> None:
    """Whatever file is cut in half or emptied, opening ends with a VisusError, with findings, or with less to read."""
    source = case.written()
    root = case.folder / "data"
    for path in [path for path in sorted(root.rglob("*")) if path.is_file()]:
        whole = path.read_bytes()
        for rest in (whole[: len(whole) // 2], b""):
            path.write_bytes(rest)
            with suppress(VisusError):
                listing, chosen = choose_format(source, case.format.name)
                chosen.read(listing)  # open_data would tell of any error as of bad data
                for sample in _samples(open_data(source, format=case.format.name)):
                    _read_all(sample)
        path.write_bytes(whole)


def _read_all(sample: Sample) -> None:
    with suppress(VisusError):
        sample.image.load()
    for task in sample.targets:
        with suppress(VisusError):
            sample.target(task)


def tells_images_from_labels(case: FormatCase) -> None:
    """Where the folder is given for predictions, its labels are not taken as images."""
    source = case.written()
    images = {path for sample in _samples(open_data(source, format=case.format.name)) if (path := sample.image.path)}
    if source.is_dir() and images:
        wrong = {sample.image.path for sample in open_images([source])} ^ images
        require(not wrong, "a prediction looks at the images of the data set alone", got=sorted(map(str, wrong)))


def counts_what_is_missing(case: FormatCase) -> None:
    """A data set that lost an image is not read as if it were whole: it is refused, or has fewer images."""
    source = case.written()
    root = case.folder / "data"
    images = [path for path in sorted(root.rglob("*")) if path.suffix.lower() in IMAGE_SUFFIXES]
    if len(images) < 2:  # pixels and labels share a file
        return
    whole = sum(1 for _ in _samples(open_data(source, format=case.format.name)))
    images[0].unlink()
    try:
        dataset = open_data(source, format=case.format.name)
    except VisusError:
        return
    left = sum(1 for _ in _samples(dataset))
    require(left < whole or dataset.findings, "a missing image is noticed", got=f"{left} of {whole} images")


FORMAT_CHECKS: tuple[Callable[[FormatCase], None], ...] = (
    recognises_its_own,
    passes_over_what_is_not_its_own,
    gives_labelled_samples,
    reads_alike_twice_and_elsewhere,
    leaves_the_files_alone,
    tells_images_from_labels,
    refuses_damage_with_a_reason,
    counts_what_is_missing,
)
"""The battery, a check each."""


def check_format(format: Format, write: Callable[[Path], Path], folder: Path) -> None:
    """Runs every check of the battery on a format; see :class:`FormatCase` for the arguments.

    Raises:
        ConformanceError: at the first check that fails.
    """
    for check in FORMAT_CHECKS:
        case = FormatCase(format, write, folder / check.__name__)
        case.folder.mkdir(parents=True)
        try:
            check(case)
        except VisusError as error:
            raise ConformanceError(f"{check.__name__}: {error}") from error
