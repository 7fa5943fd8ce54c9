"""Reads DICOM images with the values that a viewer would show; needs the extra ``medical``.

- Where the file states a window (VOI LUT), its values run over all 16 bits from the window's lower to its upper end.
- Elsewhere stored values are rescaled, if the slope is whole. CT's are its Hounsfield units plus 1024, never below 0;
  others are shifted so that none is below 0.
- MONOCHROME1 is turned over, so that more is brighter everywhere.
- Colours are RGB, also of palettes.

Rows and columns stay as stored, which is how they are meant to be shown. (DICOM PS3.3, C.7.6.3, C.11.1 and C.11.2)
"""

from __future__ import annotations

import io
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from visus.errors import DataError

_AIR = 1024  # Hounsfield units of air are -1000; scanners store from -1024 on


def read_header(stream: BinaryIO, name: str) -> tuple[tuple[int, int], int]:
    """((height, width), channels).

    Raises:
        DataError: if the file is no image, holds several frames, or is damaged.
    """
    import pydicom

    try:
        dataset = pydicom.dcmread(stream, stop_before_pixels=True)
        size = (int(dataset.Rows), int(dataset.Columns))
        frames, samples = int(dataset.get("NumberOfFrames", 1) or 1), int(dataset.get("SamplesPerPixel", 1))
        palette = dataset.get("PhotometricInterpretation") == "PALETTE COLOR"
    except Exception as error:  # a foreign parser on foreign bytes: whatever it raises, the file is what is wrong
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{name} is no DICOM image", expected="an image with rows and columns", got=text) from error
    if frames > 1:
        raise DataError(
            f"{name} holds {frames} frames",
            expected="one image a file",
            got=f"{frames} frames of {size[0]} x {size[1]}",
            remedy="save each frame as a file of its own, such as a PNG or TIFF of 16 bits",
        )
    return size, 3 if samples == 3 or palette else 1


def load_values(data: bytes, name: str) -> NDArray[Any]:
    """[H,W] uint8 or uint16, or [H,W,3] of colours.

    Args:
        data: the file.
        name: what errors call it.

    Raises:
        DataError: if the pixels are compressed in a way that no installed package knows.
        Exception: whatever pydicom raises for a damaged file.
    """
    import pydicom
    from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut

    dataset: Any = pydicom.dcmread(io.BytesIO(data))
    try:
        stored = np.asarray(dataset.pixel_array)
    except RuntimeError as error:  # pydicom lists the packages that would undo this compression
        if "missing dependencies" not in str(error):
            raise
        raise DataError(
            f"{name} cannot be decoded",
            expected="pixels that are not compressed, or with RLE, JPEG or JPEG 2000",
            got=str(dataset.file_meta.TransferSyntaxUID.name),
            remedy="pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg",
        ) from error
    kind = str(dataset.PhotometricInterpretation)
    if kind == "PALETTE COLOR":
        return np.asarray(apply_color_lut(stored, dataset))
    if stored.ndim == 3:
        return stored
    turned = kind == "MONOCHROME1"
    bits = int(dataset.BitsStored)
    signed = bool(dataset.PixelRepresentation)
    center, width = _first(dataset.get("WindowCenter")), _first(dataset.get("WindowWidth"))
    if center is not None and width is not None and width >= 1:
        shown = _windowed(np.asarray(apply_modality_lut(stored, dataset), np.float64), center, width, dataset)
        shown = 1 - shown if turned else shown
        return np.rint(shown * 65535).astype(np.uint16)
    if "VOILUTSequence" in dataset:
        looked_up = np.asarray(apply_voi_lut(np.asarray(apply_modality_lut(stored, dataset)), dataset))
        top = 2 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1
        return (top - looked_up if turned else looked_up).astype(np.uint16)
    slope, intercept = float(dataset.get("RescaleSlope", 1) or 1), float(dataset.get("RescaleIntercept", 0) or 0)
    if slope != int(slope) or intercept != int(intercept) or slope < 1:
        slope, intercept = 1, 0  # rounding would lose what the stored values tell apart
    offset = _AIR if dataset.get("Modality") == "CT" else 0 if signed else -int(intercept)
    values = np.maximum(stored.astype(np.int64) * int(slope) + int(intercept) + offset, 0)
    top = (2 ** (bits - signed) - 1) * int(slope) + int(intercept) + offset
    values = np.clip(top - values if turned else values, 0, 65535)
    return values.astype(np.uint8 if bits <= 8 and top <= 255 else np.uint16)


def _windowed(values: NDArray[np.float64], center: float, width: float, dataset: Any) -> NDArray[np.float64]:
    """The values on 0..1 by the window; the function is linear unless the file names another."""
    function = str(dataset.get("VOILUTFunction", "LINEAR"))
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(-4 * (values - center) / width)))
    low, span = (center - width / 2, width) if function == "LINEAR_EXACT" else (center - width / 2, width - 1)
    return np.asarray(np.clip((values - low) / span, 0, 1) if span > 0 else values > low, np.float64)


def _first(value: Any) -> float | None:
    """The first of one or several numbers of a tag; None if there is none."""
    if value is None or value == "":
        return None
    try:
        return float(value)
    except TypeError:
        return float(value[0]) if len(value) else None
