"""NIfTI volumes as slices, with label volumes as maps; needs the extra ``medical``.

``imagesTr/c_001_0000.nii.gz`` and ``labelsTr/c_001.nii.gz`` (nnU-Net, Medical Segmentation Decathlon), ``images/`` and
``labels/``, or ``1.nii.gz`` and ``1_seg.nii.gz`` side by side.

- Slices are axial, as scanners show them: the patient's right is on the left, the front is up.
- Whole numbers are taken as they are; if any volume of the data set has negative ones, as CT has, all are raised by
  1024 and not below 0. Others are scaled from the 0.1 % to the 99.9 % quantile of their volume.
- Slices of one value only are left out. The slices of a volume stay in one split.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.listing import LABEL_FOLDERS, Listing, split_name
from visus.data.formats.masks.class_lists import find_class_list
from visus.data.formats.masks.name_matching import match_names
from visus.data.formats.reading import ALL, Format, Reading, Tally
from visus.data.pixels.image_kinds import ADVICE, suffix_of
from visus.data.pixels.images import ArrayImage
from visus.errors import DataError
from visus.files.regular import GIB, file_size
from visus.structures import IGNORE, Sample, SegmentationMap

_SUFFIXES = (".nii", ".nii.gz")
_SIDES = re.compile(r"(?i)^(images|labels)(tr|ts|va)$")
_SPLITS = {"tr": ALL, "ts": "test", "va": "val"}
_LABELS = re.compile(r"(?i)[_\-.](seg|segmentation|label|labels|mask|masks|gt)$")
_HELD_BACK = 0.15  # of the volumes, for val and for test
_FEWEST = 3  # volumes that can be divided
_MOST_VALUES = 2_000_000_000  # of all volumes, which are held in memory with two bytes each
_AIR = 1024  # see visus.data.pixels.dicom

_MOST_BYTES = 16 * GIB


@dataclass(frozen=True, slots=True)
class _Volume:
    """A volume of an image, and its labels."""

    image: Path
    label: Path | None


def _volumes(listing: Listing) -> dict[str, list[_Volume]]:
    """The volumes of each split."""
    if listing.is_file:
        return {ALL: [_Volume(listing.source, None)]} if suffix_of(listing.source) in _SUFFIXES else {}
    images: dict[str, dict[str, Path]] = {}
    labels: dict[str, dict[str, Path]] = {}
    holding = (folder for folder in listing.folders_below(listing.root) if listing.suffixes(folder) & {".nii", ".gz"})
    for path in (path for folder in holding for path in listing.files(folder)):
        if suffix_of(path) not in _SUFFIXES:
            continue
        *folders, _ = path.relative_to(listing.root).parts
        name = path.name[: -len(suffix_of(path))]
        split, kept, is_label = ALL, [], _LABELS.search(name) is not None
        for folder in folders:
            side = _SIDES.match(folder)
            if side:
                split, is_label = _SPLITS[side[2].lower()], side[1].lower() == "labels"
            elif split_name(folder):
                split = split_name(folder) or ALL
            elif folder.lower() in LABEL_FOLDERS:
                is_label = True
            elif folder.lower() not in ("image", "images", "img", "imgs"):
                kept.append(folder)
        (labels if is_label else images).setdefault(split, {})["/".join([*kept, name])] = path
    found = {}
    for split, named in images.items():
        label_names = labels.get(split, {})
        matching = match_names(list(named), list(label_names)).labels
        files = list(label_names.values())
        found[split] = [
            _Volume(path, files[matching[number][0]] if number in matching else None)
            for number, path in enumerate(named.values())
        ]
    return found


def _recognise(listing: Listing) -> bool:
    count = sum(map(len, listing.once(_volumes).values()))
    return count > 0 and (listing.is_file or count > len(listing.images_below(listing.root)))


def _load(path: Path) -> NDArray[Any]:
    """[X,Y,Z] from the patient's left to right, back to front, feet to head.

    Raises:
        DataError: if it cannot be read, or has another number of axes.
    """
    import nibabel

    file_size(path, limit=_MOST_BYTES, expected="a NIfTI volume")
    try:
        header = nibabel.load(path)
        needed = math.prod(header.shape) * header.get_data_dtype().itemsize
        if needed > _MOST_BYTES:
            raise ValueError(f"a header that asks for {needed:,} bytes")
        volume = nibabel.as_closest_canonical(header)
        values = np.asanyarray(volume.dataobj)
    except Exception as error:  # a foreign parser on foreign bytes: whatever it raises, the file is what is wrong
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path} cannot be read", expected="a whole NIfTI volume", got=text) from error
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    values = values[..., None] if values.ndim == 2 else values
    if values.ndim != 3 or values.dtype.kind not in "uif" or 0 in values.shape:
        raise DataError(
            f"{path} is no volume of one value a point",
            expected="three axes of numbers",
            got=f"{list(values.shape)} {values.dtype}",
            remedy="save each point of time, or each kind of image, as a volume of its own",
        )
    return np.asarray(values)


def _slices(values: NDArray[Any]) -> NDArray[Any]:
    """[Z,H,W] of [X,Y,Z]: front up, the patient's right on the left."""
    return np.ascontiguousarray(values[::-1, ::-1].transpose(2, 1, 0))


def _whole(values: NDArray[Any]) -> bool:
    return values.dtype.kind in "ui" or bool((np.isfinite(values) & (np.rint(values) == values)).all())


def _as_uint16(values: NDArray[Any], raised: bool) -> NDArray[np.uint16]:
    if _whole(values) and int(values.max()) + _AIR * raised <= 65535:
        return np.clip(values.astype(np.int64) + _AIR * raised, 0, 65535).astype(np.uint16)
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, (0.001, 0.999)) if finite.size else (0.0, 1.0)
    scaled = np.nan_to_num((values.astype(np.float64) - low) / max(high - low, 1e-12))
    return np.rint(np.clip(scaled, 0, 1) * 65535).astype(np.uint16)


def _divided(volumes: Sequence[_Volume]) -> dict[str, list[_Volume]]:
    """Volumes divided as wholes, by a hash of their names; all in one where they are too few."""
    if len(volumes) < _FEWEST:
        return {ALL: list(volumes)}
    ordered = sorted(volumes, key=lambda volume: hashlib.sha256(volume.image.name.encode()).digest())
    held = max(1, round(_HELD_BACK * len(ordered)))
    return {"train": ordered[2 * held :], "val": ordered[:held], "test": ordered[held : 2 * held]}


def _read(listing: Listing) -> Reading:
    found = listing.once(_volumes)
    if not found:
        raise DataError(f"{listing.source} holds no NIfTI volumes", expected="files called .nii or .nii.gz")
    if find_spec("nibabel") is None:
        raise DataError(
            f"{listing.source} holds NIfTI volumes, which need another package",
            expected="the extra medical",
            got="no nibabel",
            remedy=ADVICE[".nii.gz"],
        )
    tally = Tally()
    labelled = any(volume.label for volumes in found.values() for volume in volumes)
    if not labelled:
        found = {"predict": [volume for volumes in found.values() for volume in volumes]}
    elif ALL in found and not {"val", "train"} & found.keys():
        divided = _divided([volume for volume in found[ALL] if volume.label or not labelled])
        if "test" in found and ALL not in divided:
            divided["train"] += divided.pop("test")
        tally.add("whole-volumes", "note", "{count} volumes were divided as wholes" if ALL not in divided else
                  "{count} volumes are too few to be divided: slices of one lie in several splits",
                  count=len(found[ALL]))  # fmt: skip
        found = {**{split: part for split, part in found.items() if split != ALL}, **divided}
    images, maps = _load_all(found, labelled, listing, tally)
    declared = find_class_list(listing)
    highest = max((int(ids[ids != IGNORE].max(initial=0)) for ids in maps.values()), default=0)
    names = declared.names if declared is not None else None
    if declared is not None:
        tally.read(declared.path)
    if names is None:
        names = ("background", "foreground") if highest <= 1 else tuple(f"class_{k}" for k in range(highest + 1))
    if highest >= len(names):
        raise DataError(
            f"the label volumes of {listing.source} have more classes than are declared",
            expected=f"numbers below {len(names)}",
            got=str(highest),
        )
    raised = any(int(volume.min()) < 0 for volume in images.values() if _whole(volume))
    splits: dict[str, list[Sample]] = {}
    for split, volumes in found.items():
        samples = []
        for volume in volumes:
            if volume.image not in images:
                continue
            pixels = _as_uint16(images.pop(volume.image), raised)
            ids = maps.get(volume.image)
            for number, plane in enumerate(pixels):
                if plane.min() == plane.max():
                    tally.add("blank-slice", "note", "{count} slices hold one value only; left out")
                    continue
                target = {} if ids is None else {"segmentation": SegmentationMap(names, ids[number])}
                samples.append(Sample(f"{listing.name_of(volume.image)}:{number:03}", ArrayImage(plane), target))
        splits[split] = samples
    return tally.reading({"segmentation": names} if labelled else {}, splits)


def _load_all(
    found: dict[str, list[_Volume]], labelled: bool, listing: Listing, tally: Tally
) -> tuple[dict[Path, NDArray[Any]], dict[Path, NDArray[np.uint8]]]:
    """[Z,H,W] of every image, and class ids [Z,H,W] of its labels, by the image's path."""
    images: dict[Path, NDArray[Any]] = {}
    maps: dict[Path, NDArray[np.uint8]] = {}
    held = 0
    for split, volumes in found.items():
        for volume in volumes:
            shown = listing.name_of(volume.image)
            if labelled and volume.label is None:
                message = "{count} volumes have no label volume"
                tally.lose("unlabelled-image", message, shown, unit="image files", split=split, file=volume.image)
                continue
            values = _load(volume.image)
            held += values.size
            if held > _MOST_VALUES:
                raise DataError(
                    f"the volumes of {listing.source} are too large to hold in memory",
                    expected=f"at most {_MOST_VALUES // 10**9} thousand million values",
                    got=f"more, up to {shown}",
                    remedy="save their slices as PNG or TIFF of 16 bits, in images/ and masks/",
                )
            images[volume.image] = _slices(values)
            tally.read(volume.image)
            if volume.label is not None:
                maps[volume.image] = _class_ids(volume.label, values.shape)
                tally.read(volume.label)
    return images, maps


def _class_ids(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    ids = _load(path)
    if ids.shape != shape:
        raise DataError(f"{path} is not of its image's size", expected=f"{list(shape)}", got=f"{list(ids.shape)}")
    if not _whole(ids) or int(ids.min()) < 0 or int(ids.max()) > IGNORE:
        raise DataError(
            f"{path} holds no class numbers", expected="0 .. 254, 255 to ignore", got=f"{ids.min()} .. {ids.max()}"
        )
    return _slices(ids.astype(np.uint8))


FORMAT = Format("nifti", "NIfTI volumes and their label volumes, as slices", _recognise, _read)
