"""Looks at the header of an image that a client sent, before anything of it is decoded."""

from __future__ import annotations

import io

from visus.data.pixels.images import BytesImage, open_raster
from visus.data.pixels.multichannel import open_stored
from visus.errors import DataError
from visus.server.uploads import Upload
from visus.structures import Sample, ValueRange


class TooManyPixelsError(DataError):
    """An image whose header says that it has more pixels than are taken."""


def stated_size(data: bytes, name: str) -> tuple[int, int]:
    """(height, width) as the file's header has them: not turned upright, which for PNG would mean decoding it.

    Raises:
        DataError: if it is no image, or larger than visus takes anywhere.
    """
    stored = open_stored(io.BytesIO(data), name)
    if stored is not None:
        return stored.size
    try:
        width, height = open_raster(io.BytesIO(data), name).size
    except DataError:
        strange = open_stored(io.BytesIO(data), name, pictures=True)  # a TIFF that is strange to Pillow alone
        if strange is None:
            raise
        return strange.size
    return height, width


def checked_sample(upload: Upload, most: int, value_range: ValueRange | None) -> tuple[Sample, int]:
    """The sample of an upload, and its number of pixels.

    Args:
        upload: what was sent.
        most: pixels.
        value_range: as the network takes images; see :class:`visus.data.pixels.images.BytesImage`.

    Raises:
        DataError: if it is no image.
        TooManyPixelsError: if it has more pixels.
    """
    height, width = stated_size(upload.data, upload.name)
    if height * width > most:
        raise TooManyPixelsError(
            f"{upload.name} is too large to decode",
            expected=f"at most {most / 1e6:.4g} million pixels",
            got=f"{height} x {width} = {height * width / 1e6:.4g} million pixels",
            remedy="scale it down first",
        )
    return Sample(upload.name, BytesImage(upload.data, upload.name, value_range)), height * width
