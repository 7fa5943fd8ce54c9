"""Computes the region proposals of images that a network is given, once for each image and choice of settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from visus.data.proposals.cache import ProposalCache, content_key
from visus.errors import DataError
from visus.structures import ImageSource, Proposals, ProposalSettings

if TYPE_CHECKING:
    from visus.ops.selective_search import SelectiveSearch

VERSION = 1
"""Of the algorithm: grows whenever it finds other boxes than before, so that kept ones are not mistaken for its own."""


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
        DataError: if the image cannot be read, or if its proposals must come from a file.
    """
    if settings.method == "given":
        raise DataError(
            "the network needs region proposals that it does not make itself",
            expected="a file that has them for each image",
            got="none",
            remedy="name it: --proposals FILE",
        )
    _, found = searched(image, settings)
    return Proposals(found.boxes, found.size, found.scores)


def searched(image: ImageSource, settings: ProposalSettings) -> tuple[NDArray[np.uint8], SelectiveSearch]:
    """The pixels [H,W,3] of an image, and what selective search finds in them, with its groupings.

    Raises:
        DataError: if the image cannot be read.
    """
    from visus.ops.selective_search import selective_search

    pixels = np.ascontiguousarray(image.load().transpose(1, 2, 0))  # [H, W, 3]
    return pixels, selective_search(pixels, mode=settings.mode)
