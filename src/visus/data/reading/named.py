"""Data sets by name: digits comes with scikit-learn, the others through torchvision's loaders into a cache folder.

What lies in the cache is read without torchvision and without a network.
"""

from __future__ import annotations

import contextlib
import gzip
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.data.dataset import Dataset
from visus.data.formats.coco import coco
from visus.data.formats.listing import Listing
from visus.data.formats.published import cifar, idx
from visus.data.formats.reading import Format
from visus.data.formats.voc import voc
from visus.data.pixels.images import ArrayImage
from visus.data.reading.splits import split_indices
from visus.errors import DataError
from visus.files.cache_folder import cache_folder
from visus.structures import Label, Sample


@dataclass(frozen=True, slots=True)
class NamedData:
    """A published data set, and how to fetch it into the cache.

    Args:
        title: one line for people.
        folder: where it lies inside the cache folder.
        format: the reader of what lies there.
        files: what must lie in the folder, as paths inside it; a name also stands for the same with ``.gz``.
        fetch: downloads and unpacks into the cache folder with torchvision's loaders; None: brought by hand.
        archives: the published files, with the address they come from.
    """

    title: str
    folder: str
    format: Format
    files: tuple[str, ...]
    fetch: Callable[[Path], None] | None
    archives: tuple[str, ...]

    def missing(self, cache: Path) -> tuple[str, ...]:
        """The files that are missing in the cache."""
        folder = cache / self.folder
        return tuple(
            name for name in self.files if not (folder / name).exists() and not (folder / f"{name}.gz").exists()
        )


def data_cache() -> Path:
    """The folder of named data sets: ``$VISUS_CACHE/data``, ``$XDG_CACHE_HOME/visus/data``, or in ``~/.cache``."""
    return cache_folder() / "data"


def _fetch_mnist(cache: Path) -> None:
    from torchvision.datasets import MNIST

    MNIST(str(cache), download=True)


def _fetch_fashion_mnist(cache: Path) -> None:
    from torchvision.datasets import FashionMNIST

    FashionMNIST(str(cache), download=True)


def _fetch_cifar10(cache: Path) -> None:
    from torchvision.datasets import CIFAR10

    CIFAR10(str(cache), download=True)


def _fetch_cifar100(cache: Path) -> None:
    from torchvision.datasets import CIFAR100

    CIFAR100(str(cache), download=True)


def _fetch_voc2007(cache: Path) -> None:
    from torchvision.datasets import VOCDetection

    VOCDetection(str(cache), year="2007", image_set="trainval", download=True)
    VOCDetection(str(cache), year="2007", image_set="test", download=True)


def _fetch_voc2012(cache: Path) -> None:
    from torchvision.datasets import VOCDetection

    VOCDetection(str(cache), year="2012", image_set="trainval", download=True)


_IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

PUBLISHED: Mapping[str, NamedData] = {
    "mnist": NamedData(
        "MNIST: handwritten digits, 28 x 28 grey, 10 classes, 60,000 + 10,000",
        "MNIST/raw",
        idx.FORMAT,
        _IDX_FILES,
        _fetch_mnist,
        tuple(f"https://ossci-datasets.s3.amazonaws.com/mnist/{name}.gz" for name in _IDX_FILES),
    ),
    "fashion_mnist": NamedData(
        "Fashion-MNIST: clothing, 28 x 28 grey, 10 classes, 60,000 + 10,000",
        "FashionMNIST/raw",
        idx.FORMAT,
        _IDX_FILES,
        _fetch_fashion_mnist,
        tuple(f"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{name}.gz" for name in _IDX_FILES),
    ),
    "cifar10": NamedData(
        "CIFAR-10: photos, 32 x 32, 10 classes, 50,000 + 10,000",
        "cifar-10-batches-py",
        cifar.FORMAT,
        (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta"),
        _fetch_cifar10,
        ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
    ),
    "cifar100": NamedData(
        "CIFAR-100: photos, 32 x 32, 100 classes, 50,000 + 10,000",
        "cifar-100-python",
        cifar.FORMAT,
        ("train", "test", "meta"),
        _fetch_cifar100,
        ("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",),
    ),
    "voc2007": NamedData(
        "PASCAL VOC 2007: photos with boxes and masks, 20 classes, 5,011 + 4,952",
        "VOCdevkit/VOC2007",
        voc.FORMAT,
        ("JPEGImages", "Annotations", "ImageSets/Main/train.txt", "ImageSets/Main/val.txt", "ImageSets/Main/test.txt"),
        _fetch_voc2007,
        (
            "https://thor.robots.ox.ac.uk/pascal/VOC/voc2007/VOCtrainval_06-Nov-2007.tar",
            "https://thor.robots.ox.ac.uk/pascal/VOC/voc2007/VOCtest_06-Nov-2007.tar",
        ),
    ),
    "voc2012": NamedData(
        "PASCAL VOC 2012: photos with boxes and masks, 20 classes, 11,540",
        "VOCdevkit/VOC2012",
        voc.FORMAT,
        ("JPEGImages", "Annotations", "ImageSets/Main/train.txt", "ImageSets/Main/val.txt"),
        _fetch_voc2012,
        ("https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",),
    ),
    "coco": NamedData(
        "COCO 2017: photos with boxes and outlines, 80 classes, 118,287 + 5,000",
        "coco",
        coco.FORMAT,
        (
            "train2017",
            "val2017",
            "annotations/instances_train2017.json",
            "annotations/instances_val2017.json",
        ),
        None,  # torchvision reads COCO but does not fetch it
        (
            "http://images.cocodataset.org/zips/train2017.zip",
            "http://images.cocodataset.org/zips/val2017.zip",
            "http://images.cocodataset.org/annotations/annotations_trainval2017.zip",
        ),
    ),
}
"""What can be fetched, or brought by hand, into the cache folder."""

NAMED: Mapping[str, str] = {
    "digits": "handwritten digits, 8 x 8 grey, 10 classes, 1,797; comes with scikit-learn",
    **{name: data.title for name, data in PUBLISHED.items()},
}
"""All names with one line for people."""


def list_named(cache: Path | None = None) -> list[dict[str, Any]]:
    """Each named data set: its name, tasks, whether it is on this machine, and what it is."""
    cache = data_cache() if cache is None else cache
    rows = [{"name": "digits", "task": "classification", "here": "yes", "what": NAMED["digits"]}]
    for name, data in PUBLISHED.items():
        boxes = data.format in (coco.FORMAT, voc.FORMAT)
        rows.append(
            {
                "name": name,
                "task": "detection, segmentation" if boxes else "classification",
                "here": "no" if data.missing(cache) else "yes",
                "what": data.title,
            }
        )
    return rows


def open_named(name: str, *, cache: Path | None = None) -> Dataset:
    """A named data set with the splits that it was published with ("digits": 70 / 10 / 20 %, always the same).

    Args:
        name: one of :data:`NAMED`.
        cache: the folder to look in and to fetch into; None: :func:`data_cache`.

    Raises:
        DataError: if there is no such name, or it is not in the cache and cannot be fetched.
    """
    if name == "digits":
        return open_digits()
    if name not in PUBLISHED:
        raise DataError(f"there is no data set named {name}", expected=", ".join(NAMED), got=name)
    data = PUBLISHED[name]
    cache = data_cache() if cache is None else cache
    if data.missing(cache):
        _fetch(name, data, cache)
    reading = data.format.read(Listing(cache / data.folder))
    return Dataset(
        name=name,
        format=data.format.name,
        root=cache / data.folder,
        classes=reading.classes,
        splits=reading.splits,
        findings=reading.findings,
    )


def _fetch(name: str, data: NamedData, cache: Path) -> None:
    """Fetches the missing files; if that fails, a DataError says which files to put where."""
    reason = "torchvision does not fetch it"
    if data.fetch is not None:
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with contextlib.redirect_stdout(sys.stderr):  # loaders print their progress
                data.fetch(cache)
        except (OSError, RuntimeError, EOFError) as error:  # no network, a wrong checksum, a full disk
            reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    missing = data.missing(cache)
    if missing:
        raise DataError(
            f"{name} is not in the cache and could not be fetched: {reason}",
            expected=f"{', '.join(missing[:5])} in {cache / data.folder}",
            got="no such files",
            remedy=f"fetch {' and '.join(data.archives)} where there is a network, and "
            + _instruction(data, cache)
            + "; VISUS_CACHE names another cache folder",
        )


def _instruction(data: NamedData, cache: Path) -> str:
    if data.format is idx.FORMAT:
        return f"put the files as they are into {cache / data.folder}"
    if data.fetch is None:
        return f"unpack them in {cache / data.folder}"
    return f"put them as they are into {cache}"


def open_digits() -> Dataset:
    """scikit-learn's 1,797 handwritten digits as [8,8] bytes: the values 0..16 become 0..255.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998 (its test part). The splits
    are fixed: 20 % of each class are held back for testing, 10 % for validation, whatever seed a training has.
    """
    values = _read_digits()
    images = np.round(values[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    labels = [int(label) for label in values[:, -1]]
    classes = tuple(str(digit) for digit in range(10))
    targets = [{"classification": Label(classes, index)} for index in range(len(classes))]
    names = [f"digits/{index:04d}" for index in range(len(labels))]
    indices = split_indices(names, labels, {"test": 0.2, "val": 0.1}, seed=0)
    splits = {
        split: [Sample(names[i], ArrayImage(images[i]), targets[labels[i]]) for i in indices[split]]
        for split in ("train", "val", "test")
    }
    return Dataset(name="digits", format="embedded", root=None, classes={"classification": classes}, splits=splits)


def _read_digits() -> NDArray[np.float64]:
    """[1797,65]: 64 values of 0..16, row by row, and the digit.

    From the file that scikit-learn carries; importing scikit-learn itself would take longer than a training's first
    epoch.
    """
    spec = importlib.util.find_spec("sklearn")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(folders[0]) / "datasets" / "data" / "digits.csv.gz" if folders else None
    if path is None or not path.is_file():
        raise DataError(
            "the digits of scikit-learn are missing",
            expected=str(path) if path else "an installed scikit-learn",
            got="no such file",
            remedy="install scikit-learn again",
        )
    with gzip.open(path, "rt", encoding="ascii") as stream:
        return np.loadtxt(stream, delimiter=",")
