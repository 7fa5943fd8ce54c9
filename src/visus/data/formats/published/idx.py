"""IDX files, the format of MNIST and its family, gzipped or not.

Layout: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", section "File formats".
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.listing import Listing, split_name
from visus.data.formats.reading import Format, Reading, Tally
from visus.data.pixels.images import ArrayImage
from visus.errors import DataError
from visus.files.arrays import LARGEST_ARRAYS, unpacked
from visus.files.regular import read_regular
from visus.structures import Label, Sample

_NAME = re.compile(
    r"^(?P<prefix>.*?)(?P<split>train|t10k|test|valid|val)-(?P<kind>images|labels)[-.]idx[13]-ubyte(\.gz)?$", re.I
)

_MOST_SIDES = 8

FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)  # H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST", 2017, table 2

KNOWN_CLASSES: Mapping[str, tuple[str, ...]] = {
    "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7": FASHION,
    "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9": FASHION,
}
"""IDX files name no classes. From the SHA-256 of a set's labels to their names; others are named by their numbers."""


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array of an IDX file of bytes, of any number of dimensions.

    Raises:
        DataError: if the file is damaged or holds something else.
    """
    data = read_regular(path, limit=LARGEST_ARRAYS, expected="an IDX file")
    try:
        data = unpacked(data) if path.suffix.lower() == ".gz" else data
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read", expected="an IDX file", got=str(error), remedy="fetch it again"
        ) from error
    rank = data[3] if len(data) >= 4 and data[:3] == b"\0\0\x08" else 0
    values = len(data) - 4 - 4 * rank
    shape = struct.unpack_from(f">{rank}I", data, 4) if values >= 0 else ()
    if not 0 < rank <= _MOST_SIDES or not shape or values != math.prod(shape):
        raise DataError(
            f"{path} is not a complete IDX file of bytes",
            expected=f"{list(shape[:8])} values" if shape else "a header that begins with the bytes 0 0 8",
            got=f"{max(values, 0)} bytes of values" if shape else data[:4].hex(" ") or "an empty file",
            remedy="fetch it again",
        )
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


Sets = dict[str, dict[str, dict[str, Path]]]
"""From the prefix of a set's file names ("emnist-letters-") to splits, to "images" and "labels", to the file."""


def _find(listing: Listing) -> Sets:
    """All IDX files whose names say what they hold, by set."""
    sets: Sets = {}
    folders = [None] if listing.is_file else [folder for folder in (listing.root, listing.folder("raw")) if folder]
    for folder in folders:
        for path in listing.files(folder):
            match = _NAME.match(path.name)
            if match:
                split = "test" if match["split"].lower() == "t10k" else split_name(match["split"]) or "train"
                splits = sets.setdefault(match["prefix"].lower(), {})
                splits.setdefault(split, {}).setdefault(match["kind"].lower(), path)
    return sets


def _recognise(listing: Listing) -> bool:
    return bool(listing.once(_find))


def _chosen_set(listing: Listing) -> dict[str, dict[str, Path]]:
    """The splits of the only set of a folder.

    Raises:
        DataError: if there are several, or images without their labels.
    """
    sets = listing.once(_find)
    alone = [
        path for splits in sets.values() for files in splits.values() if len(files) == 1 for path in files.values()
    ]
    if alone:
        kind = "labels" if "-labels" in alone[0].name.lower() else "images"
        ends = {"images": "labels-idx1-ubyte", "labels": "images-idx3-ubyte"}
        raise DataError(
            f"{alone[0]} has no file of {ends[kind].partition('-')[0]}",
            expected=re.sub(rf"{kind}[-.]idx[13]-ubyte", ends[kind], alone[0].name, flags=re.I),
            got=", ".join(path.name for path in alone[1:4]) or "no other file",
            remedy="files of one set begin alike; put each set into a folder of its own, or fetch the missing file",
        )
    if len(sets) > 1:
        names = [next(iter(splits.values()))["images"].name for splits in sets.values()]
        raise DataError(
            f"{listing.root} holds {len(sets)} data sets",
            expected="the files of one set",
            got=", ".join(names[:6]),
            remedy="put each set into a folder of its own",
        )
    return next(iter(sets.values()))


def _read(listing: Listing) -> Reading:
    arrays: dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]] = {}
    tally = Tally()
    for split, files in _chosen_set(listing).items():
        tally.read(*files.values())
        tally.found("label files")
        images, labels = read_idx(files["images"]), read_idx(files["labels"])
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise DataError(
                f"{files['images'].name} and {files['labels'].name} do not fit each other",
                expected="images [N, H, W] and labels [N]",
                got=f"{list(images.shape)} and {list(labels.shape)}",
            )
        arrays[split] = (images, labels)
    count = max(int(labels.max(initial=0)) for _, labels in arrays.values()) + 1
    digests = {hashlib.sha256(labels.tobytes()).hexdigest() for _, labels in arrays.values()}
    known = [KNOWN_CLASSES[digest] for digest in digests if digest in KNOWN_CLASSES]
    classes = known[0] if known else tuple(str(index) for index in range(count))
    targets = [{"classification": Label(classes, index)} for index in range(len(classes))]
    splits = {
        split: [
            Sample(f"{split}/{i:05d}", ArrayImage(image), targets[label])
            for i, (image, label) in enumerate(zip(images, labels.tolist(), strict=True))
        ]
        for split, (images, labels) in sorted(arrays.items(), key=lambda item: ("train", "val", "test").index(item[0]))
    }
    return tally.reading({"classification": classes}, splits)


FORMAT = Format("idx", "IDX files as of MNIST (…-images-idx3-ubyte, …-labels-idx1-ubyte)", _recognise, _read)
