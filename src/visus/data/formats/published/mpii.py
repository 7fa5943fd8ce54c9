"""MPII Human Pose: ``mpii_human_pose_v1_u12_1.mat`` and the folder of its images.

Source: M. Andriluka et al., "2D Human Pose Estimation: New Benchmark and State of the Art Analysis", 2014, and the
readme of its annotation. Points count pixels from 1. The points of the largest person of an image (by ``scale``) are
read; images of the test set have no points and are left out. The release gives no validation set.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.listing import Listing
from visus.data.formats.objects.annotated_images import AnnotatedImages, Point
from visus.data.formats.reading import Format, Reading, Tally
from visus.errors import DataError
from visus.files.regular import GIB, file_size

JOINTS = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax", "upper_neck",
    "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip # in the order of their ids, 0 to 15


def _file(listing: Listing) -> Path | None:
    found = [path for path in listing.files_with(".mat") if path.name.lower().startswith("mpii_human_pose")]
    return found[0] if found else None


def _recognise(listing: Listing) -> bool:
    return listing.once(_file) is not None


def _read(listing: Listing) -> Reading:
    path = listing.once(_file)
    if path is None:
        raise DataError(f"{listing.source} holds no mpii_human_pose*.mat", expected="the annotation of MPII")
    tally = Tally()
    images = AnnotatedImages(listing, tally)
    finder = ImageFinder(listing, tally, beside=path.parent)
    tally.found("label files")
    tally.read(path)
    without = 0
    for name, is_training, people in _images(path):
        posed = [person for person in people if person[1]]
        if not is_training or not posed:
            without += 1
            continue
        found = finder.find(name)
        if found is None:
            cause = "put the images into the folder images beside the .mat file"
            tally.lose("missing-image", "{count} annotated images are missing", name, unit="image files", cause=cause)
            continue
        image = images.open(found, "train", f"{path.name}: {name}")
        if image is not None:
            for scale, points in posed:
                images.add_points(image, _all_joints(points), scale)
    if without:
        message = "{count} images of MPII have no points, as those of its test set; not used"
        tally.add("image-without-points", "note", message, path.name, without)
    return images.reading()


def _all_joints(points: list[Point]) -> list[Point]:
    """The 16 joints in their order; those that are not labelled are not visible."""
    known = {name: (name, x, y, seen) for name, x, y, seen in points}
    return [known.get(name, (name, 0.0, 0.0, False)) for name in JOINTS]


def _images(path: Path) -> Iterator[tuple[str, bool, list[tuple[float, list[Point]]]]]:
    """The name of each image, whether it is for training, and the scale and points of each person.

    Raises:
        DataError: if the file is damaged or holds something else.
    """
    from scipy.io import loadmat

    expected = "RELEASE with annolist and img_train, as MPII gives it out"
    file_size(path, limit=2 * GIB, expected=expected)
    try:
        release = loadmat(path, struct_as_record=False, squeeze_me=True)["RELEASE"]
        entries = list(zip(_list(release.annolist), _list(release.img_train), strict=True))
        found = [(str(entry.image.name), bool(train), _people(entry)) for entry, train in entries]
    except Exception as error:  # whatever a damaged file makes of the decoder, it is the file that is wrong
        raise DataError(
            f"{path} cannot be read", expected=expected, got=str(error)[:200] or type(error).__name__,
            remedy="fetch it again",
        ) from error  # fmt: skip
    yield from found


def _people(entry: Any) -> list[tuple[float, list[Point]]]:
    people = []
    for person in _list(getattr(entry, "annorect", None)):
        points = [_point(point) for point in _list(getattr(getattr(person, "annopoints", None), "point", None))]
        scale = getattr(person, "scale", 0)
        people.append((float(scale) if np.ndim(scale) == 0 else 0.0, points))
    return people


def _point(point: Any) -> Point:
    return JOINTS[int(point.id)], float(point.x) - 1, float(point.y) - 1, True


def _list(value: Any) -> list[Any]:
    """The elements of an array of MATLAB, of which scipy gives a single one alone and none as an empty array."""
    if value is None:
        return []
    return list(value.reshape(-1)) if isinstance(value, np.ndarray) else [value]


FORMAT = Format("mpii", "MPII Human Pose: mpii_human_pose*.mat beside images/", _recognise, _read)
