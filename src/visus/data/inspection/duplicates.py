"""Finds copies of images: the same pixels under two names, and pictures that were scaled or saved again.

Three steps, each on what the one before left over. Equal bytes are equal pixels. A 64-bit difference hash names
candidates among the rest. Decoded pixels confirm: equal ones are exact copies; a pair that differs no more than saving
again or scaling does is a near copy.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visus.data.pixels.images import ArrayImage, BytesImage, OpenedImage, with_header_read
from visus.errors import DataError
from visus.files.regular import LARGEST_IMAGE, read_regular
from visus.structures import ImageSource

LOOK = 64
"""A JPEG may come scaled down to this many pixels a side for its portrait: four of them for one of the portrait."""

_ROWS, _COLUMNS = 16, 18  # of a portrait: 2 x 2 of its pixels make one of the 8 x 9 of the hash
_BITS = 6  # of 64 that may differ between candidates
_SAME_DECODE = 24  # grey levels; a JPEG scaled while decoding and the same pixels scaled afterwards differ by up to 15

# Near copies. Measured at 16 x 16 on 480 photos, faces, micrographs and road scenes: saving again (JPEG of quality 20
# to 90), halving, or both changes at most 1.3 levels (root mean square), no place by more than 5; the most similar
# frames of a film taken from a car differ by 1.5 and 7.
_NEAR_RMS = 1.35
_NEAR_MOST = 6
_NEAR_SHARE = 0.05  # of the contrast: dark, even pictures are all alike
_NEAR_SIDE = 64  # pixels; smaller pictures hold too little to tell
_NEAR_ASPECT = 0.02

_COMPARED = 4_000_000  # hashes compared at once
_PAIRS = 65536  # portraits compared at once


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """The hashes of an image by which its copies are found.

    Args:
        size: (height, width) of the image.
        key: equal for images of equal bytes; if not ``exact``, sometimes for others too.
        exact: whether equal keys alone prove equal pixels.
        hash: the 64-bit difference hash; None where the image was not decoded.
        grey: [16,18] uint8, the image scaled down; None with ``hash``.
    """

    size: tuple[int, int]
    key: bytes
    exact: bool
    hash: int | None = None
    grey: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True)
class Copies:
    """The positions of images that are copies of one another.

    Args:
        exact: groups of two or more with equal pixels, rising within a group; not those of one colour all over, which
            microscopes and satellites give by the dozen.
        near: pairs that differ as little as saving again does; none of them exact.
    """

    exact: tuple[tuple[int, ...], ...] = ()
    near: tuple[tuple[int, int], ...] = ()


def digest(values: NDArray[np.uint8]) -> bytes:
    """16 bytes of BLAKE2b over the values."""
    return hashlib.blake2b(np.ascontiguousarray(values).data, digest_size=16).digest()


def draw_portrait(pixels: NDArray[np.uint8], size: tuple[int, int], key: bytes) -> Portrait:
    """The portrait of a decoded image.

    The hash is dHash (N. Krawetz, "Kind of Like That", 2013): is each of 8 x 8 places brighter than its left neighbour?

    Args:
        pixels: [3,h,w], perhaps scaled down by a whole power of two.
        size: (height, width) of the whole image.
        key: see :class:`Portrait`.
    """
    height, width = size
    ratio = 2.0 ** round(np.log2(height / pixels.shape[1]))
    # Decoders round a scaled size up; the last row and column are only partly the image's.
    box = (0.0, 0.0, min(width / ratio, pixels.shape[2]), min(height / ratio, pixels.shape[1]))
    if pixels.strides[0] == 0:
        image = Image.fromarray(pixels[0])
    else:
        image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    grey = np.asarray(image.resize((_COLUMNS, _ROWS), Image.Resampling.BILINEAR, box=box).convert("L"))
    small = grey.reshape(8, 2, 9, 2).sum(axis=(1, 3), dtype=np.int32)
    bits = np.packbits(small[:, 1:] > small[:, :-1])
    return Portrait(size, key, exact=False, hash=int.from_bytes(bits.tobytes(), "big"), grey=grey)


def find_copies(portraits: Sequence[Portrait | None], images: Sequence[ImageSource], pool: Executor) -> Copies:
    """The copies among images.

    Comparing hashes takes time in proportion to the square of the number of images: 20,000 take a second.

    Args:
        portraits: N, None for images that could not be read. Without hashes only copies of equal bytes are found.
        images: N sources, read again where candidates must be confirmed.
        pool: reads them.
    """
    groups = _Groups(len(portraits))
    by_key: dict[bytes, list[int]] = defaultdict(list)
    for index, portrait in enumerate(portraits):
        if portrait is not None:
            by_key[portrait.key].append(index)
    unproved: list[int] = []
    for same in by_key.values():
        first = portraits[same[0]]
        if len(same) > 1 and first is not None and first.exact:
            groups.join_all(same)
        elif len(same) > 1:
            unproved += same
    groups.join_equal(unproved, pool.map(_digest_bytes, (images[index] for index in unproved)))
    firsts = [
        index for index, portrait in enumerate(portraits) if portrait is not None and groups.first(index) == index
    ]
    alike = _Alike(
        [(index, portrait) for index in firsts if (portrait := portraits[index]) and portrait.hash is not None]
    )
    candidates, near = alike.compare()
    groups.join_equal(candidates, pool.map(_digest_pixels, (images[index] for index in candidates)))
    return Copies(
        exact=tuple(group for group in groups.as_tuples() if not _is_blank(images[group[0]])),
        near=tuple(sorted(pair for pair in near if groups.first(pair[0]) != groups.first(pair[1]))),
    )


class _Groups:
    """Groups of positions that are joined one by one; each group is named by its lowest position."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def first(self, index: int) -> int:
        while self._parents[index] != index:
            self._parents[index] = self._parents[self._parents[index]]
            index = self._parents[index]
        return index

    def join_all(self, indices: Iterable[int]) -> None:
        roots = {self.first(index) for index in indices}
        lowest = min(roots)
        for root in roots:
            self._parents[root] = lowest

    def join_equal(self, indices: Sequence[int], values: Iterable[Hashable | None]) -> None:
        """Joins the positions of equal values; None equals nothing."""
        by_value: dict[Hashable, list[int]] = defaultdict(list)
        for index, value in zip(indices, values, strict=True):
            if value is not None:
                by_value[value].append(index)
        for same in by_value.values():
            self.join_all(same)

    def as_tuples(self) -> tuple[tuple[int, ...], ...]:
        members: dict[int, list[int]] = defaultdict(list)
        for index in range(len(self._parents)):
            members[self.first(index)].append(index)
        return tuple(tuple(group) for group in members.values() if len(group) > 1)


class _Alike:
    """Compares portraits with one another by their hashes."""

    def __init__(self, entries: Sequence[tuple[int, Portrait]]) -> None:
        self._indices = np.asarray([index for index, _ in entries], np.int64)
        self._sizes = np.asarray([portrait.size for _, portrait in entries], np.int64).reshape(-1, 2)
        self._hashes = np.asarray([portrait.hash for _, portrait in entries], np.uint64)
        greys = [portrait.grey for _, portrait in entries if portrait.grey is not None]
        self._greys = np.stack(greys).reshape(len(greys), -1) if greys else np.zeros((0, _ROWS * _COLUMNS), np.uint8)
        self._contrasts = self._greys.std(axis=1)

    def compare(self) -> tuple[list[int], list[tuple[int, int]]]:
        """Indices whose pixels may be exact copies of another's, and pairs that are at least near copies."""
        candidates: set[int] = set()
        near: list[tuple[int, int]] = []
        for left, right in self._pairs():
            change = np.abs(self._greys[left].astype(np.int16) - self._greys[right])
            most = change.max(axis=1)
            rms = np.sqrt(np.square(change, dtype=np.int32).mean(axis=1))
            maybe = (self._sizes[left] == self._sizes[right]).all(axis=1) & (most <= _SAME_DECODE)
            candidates.update(self._indices[left[maybe]].tolist(), self._indices[right[maybe]].tolist())
            contrast = np.minimum(self._contrasts[left], self._contrasts[right])
            aspects = self._sizes[:, 1] / self._sizes[:, 0]
            sure = (most <= _NEAR_MOST) & (rms <= np.minimum(_NEAR_RMS, _NEAR_SHARE * contrast))
            sure &= np.minimum(self._sizes[left].min(axis=1), self._sizes[right].min(axis=1)) >= _NEAR_SIDE
            sure &= np.abs(aspects[left] / aspects[right] - 1) <= _NEAR_ASPECT
            pairs = np.sort(np.stack([self._indices[left[sure]], self._indices[right[sure]]], axis=1), axis=1)
            near += [(int(first), int(second)) for first, second in pairs]
        return sorted(candidates), near

    def _pairs(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Positions (left, right) of portraits whose hashes differ in few bits, each pair once."""
        count = len(self._hashes)
        rows = max(1, _COMPARED // max(count, 1))
        for start in range(0, count, rows):
            block = self._hashes[start : start + rows]
            # Column 0 is the block's first row, so what lies above the diagonal is each pair once.
            near = np.bitwise_count(block[:, None] ^ self._hashes[None, start:]) <= _BITS
            left, right = np.nonzero(np.triu(near, 1))
            for cut in range(0, len(left), _PAIRS):
                yield start + left[cut : cut + _PAIRS], start + right[cut : cut + _PAIRS]


def _digest_bytes(image: ImageSource) -> bytes | None:
    """The digest of the encoded bytes; of the pixels for an array."""
    if isinstance(image, BytesImage):
        return hashlib.blake2b(image.data, digest_size=16).digest()
    if image.path is None:
        return _digest_pixels(image)
    try:
        return hashlib.blake2b(read_regular(image.path, limit=LARGEST_IMAGE), digest_size=16).digest()
    except DataError:
        return None


def _digest_pixels(image: ImageSource) -> bytes | None:
    """Of [H,W,3] at full size, or of all channels that there are; None if it can no longer be read."""
    try:
        source = with_header_read(image)
        if isinstance(source, OpenedImage | ArrayImage) and not source.is_picture:
            values = source.load_values(source.channels)
            return digest(values.view(np.uint8)) + repr((values.shape, values.dtype)).encode()
        pixels = source.load()
    except DataError:
        return None
    return digest(pixels.transpose(1, 2, 0)) + repr(pixels.shape).encode()


def _is_blank(image: ImageSource) -> bool:
    """Whether all pixels have one colour."""
    try:
        pixels = image.load((LOOK, LOOK))
    except DataError:
        return False
    return bool((pixels == pixels[:, :1, :1]).all())
