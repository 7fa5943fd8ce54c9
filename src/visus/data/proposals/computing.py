"""Computes the region proposals of images that a network is given, once for each image and choice of settings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visus.data.proposals.cache import ProposalCache, content_key
from visus.structures import ImageSource, Proposals, ProposalSettings

VERSION = 1
"""Of the algorithm: grows whenever it finds other boxes than before, so that kept ones are not mistaken for its own."""

MOST_PIXELS = 1_000_000
"""A larger image is scaled down to so many pixels first. The thresholds of selective search are in pixels, of images
about 500 wide; R-CNN's released code (selective_search_boxes.m of rbgirshick/rcnn) scales every image to that."""


@dataclass(frozen=True, slots=True)
class Proposer:
    """Finds the region proposals of an image: those that are kept, or it computes them and keeps them.

    All that the algorithm finds are kept, so that another count needs no new computing.

    Args:
        settings: of the proposals.
        cache: where they are kept.
    """

    settings: ProposalSettings
    cache: ProposalCache

    @classmethod
    def of(cls, settings: ProposalSettings) -> Proposer:
        """With the cache of these settings in the cache folder."""
        return cls(settings, ProposalCache(f"{settings.method}-{settings.mode}-{VERSION}"))

    def find(self, image: ImageSource) -> Proposals | None:
        """The best proposals, where they are kept; None where they are not.

        Raises:
            DataError: if the image's file cannot be read.
        """
        kept = self.cache.find(content_key(image))
        return None if kept is None else kept.first(self.settings.count)

    def __call__(self, image: ImageSource) -> Proposals:
        """The best proposals of an image, in its pixels.

        Raises:
            DataError: if it cannot be read.
            DiskError: if they cannot be kept.
        """
        key = content_key(image)
        proposals = self.cache.find(key)
        if proposals is None:
            proposals = compute(image, self.settings)
            self.cache.keep(key, proposals)
        return proposals.first(self.settings.count)


def compute(image: ImageSource, settings: ProposalSettings) -> Proposals:
    """All region proposals of an image, best first; nothing is kept.

    Raises:
        DataError: if the image cannot be read.
    """
    from visus.ops.selective_search import selective_search  # type: ignore[import-not-found, unused-ignore]

    height, width = image.size()
    scale = min(1.0, math.sqrt(MOST_PIXELS / (height * width)))
    rows, columns = max(round(height * scale), 1), max(round(width * scale), 1)
    pixels = _scaled(image.load((rows, columns)), (rows, columns))
    found = selective_search(pixels, mode=settings.mode)
    back = np.asarray([width / columns, height / rows] * 2, np.float32)
    return Proposals(found.boxes * back, (height, width), found.scores)


def _scaled(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """[3,H,W] -> [h,w,3], contiguous."""
    import cv2

    plain = np.ascontiguousarray(pixels.transpose(1, 2, 0))
    if plain.shape[:2] == size:
        return plain
    return np.asarray(cv2.resize(plain, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
