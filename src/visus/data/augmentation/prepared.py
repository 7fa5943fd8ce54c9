"""One image as a network takes it, but in whole numbers; and the way there without any randomness.

This is the way of every prediction: it loads neither torch nor OpenCV, and the same file gives the same bytes
everywhere.

Letters: C channels, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from visus.data.augmentation.cut import Cut
from visus.data.augmentation.frame import Frame
from visus.data.augmentation.windows import decoding_size, fixed_window
from visus.data.pixels.images import with_header_read
from visus.data.pixels.intensity import load_channels
from visus.data.proposals.computing import Proposer
from visus.errors import DataError
from visus.structures import Placement, Preprocessing, Proposals, Sample, Value


@dataclass(frozen=True, slots=True)
class Prepared:
    """One image ready for a batch.

    Args:
        image: [C,H,W] uint8; a grey one may be one plane that is seen several times, and a coloured one a view of
            [H,W,C] memory.
        target: in network pixels, or None.
        placement: where the file lies in it; exact without augmentation.
        id: the sample's name.
        proposals: in network pixels, best first; None where the preprocessing asks for none.
        fill: raw value with which a batch pads it at the right and below to the size of the largest of its images; None
            where all have one size.
    """

    image: NDArray[np.uint8]
    target: Value | None
    placement: Placement
    id: str
    proposals: Proposals | None = None
    fill: int | None = None


def prepare(sample: Sample, task: str, preprocessing: Preprocessing, *, masks: bool) -> Prepared:
    """The sample as its preprocessing says; see :class:`visus.data.augmentation.preparing.Preparer`."""
    target: Value | None = sample.target(task, masks=masks) if sample.targets else None
    source = with_header_read(sample.image)
    file_size = source.size()
    window, size = fixed_window(file_size, preprocessing)
    loaded = load_channels(source, preprocessing, decoding_size(window, size, file_size), sample.id)
    cut = Cut.of(file_size, window, size, loaded.shape[:2])
    proposals = proposals_of(sample, preprocessing, file_size)
    frame = with_channels(cut.apply(Frame(loaded, target, preprocessing.fill, proposals)), preprocessing)
    return finished(frame, loaded, cut.placement, sample.id, preprocessing)


def proposals_of(sample: Sample, preprocessing: Preprocessing, file_size: tuple[int, int]) -> Proposals | None:
    """The best proposals of the file, as many as the network is given; None for one that is given none."""
    settings, held = preprocessing.proposals, sample.proposals
    if settings is None:
        return None
    if held is None:
        return Proposer.of(settings)(sample.image)
    proposals = held if isinstance(held, Proposals) else held.load()
    if proposals.size != file_size:
        raise DataError(
            f"the proposals of {sample.id} are of an image of another size",
            expected=f"height {file_size[0]}, width {file_size[1]}",
            got=f"height {proposals.size[0]}, width {proposals.size[1]}",
        )
    return proposals.repaired()[0].first(settings.count)


def with_channels(frame: Frame, preprocessing: Preprocessing) -> Frame:
    """The frame; of a network for one channel, a coloured one by its luminance (ITU-R 601)."""
    if preprocessing.channels == 1 and frame.pixels.ndim == 3:
        weighted = frame.pixels @ _LUMINANCE  # [H, W] int32
        return replace(frame, pixels=((weighted + _HALF) >> _BITS).astype(np.uint8))
    return frame


_BITS = 15
_HALF = 1 << (_BITS - 1)
_LUMINANCE = np.asarray([9798, 19235, 3735], np.int32)
"""0.299, 0.587 and 0.114 of R, G and B in 1/2^15, which are 1 together."""


def finished(
    frame: Frame, loaded: NDArray[np.uint8], placement: Placement, name: str, preprocessing: Preprocessing
) -> Prepared:
    """The frame as a network takes it; ``loaded``: the data set's own pixels, which nobody may write."""
    pixels = np.ascontiguousarray(frame.pixels)
    if np.may_share_memory(pixels, loaded):
        pixels = pixels.copy()
    if pixels.ndim == 3:
        image = pixels.transpose(2, 0, 1)
    else:  # a grey image stays one plane to the end, and is then seen as often as the network has channels
        shape, strides = (preprocessing.channels, *pixels.shape), (0, *pixels.strides)
        image = np.lib.stride_tricks.as_strided(pixels, shape, strides)
    fill = preprocessing.fill if preprocessing.fit == "shorter_side" else None
    return Prepared(image, frame.target, placement, name, frame.proposals, fill)
