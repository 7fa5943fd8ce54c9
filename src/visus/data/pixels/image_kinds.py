"""The kinds of image files that visus reads: their suffixes, and how their content begins."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "AVIF", "JPEG2000")
"""What Pillow may open; PPM includes PGM and PBM. Rare formats stay shut: their decoders are where the holes are."""

KINDS: Mapping[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp"),
    "PNG": (".png",),
    "WebP": (".webp",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "AVIF": (".avif",),
    "JPEG 2000": (".jp2", ".j2k", ".jpf", ".jpx", ".j2c"),
    "NumPy array": (".npy",),
    "HEIF": (".heic", ".heif", ".hif"),
    "DICOM": (".dcm", ".dicom"),
}
"""From kind to its suffixes (lower case)."""


def suffixes_of(*kinds: str) -> frozenset[str]:
    """The suffixes (lower case) of these kinds."""
    return frozenset(suffix for kind in kinds for suffix in KINDS[kind])


_BY_CONTENT = ("NumPy array", "HEIF", "DICOM")  # whose suffix is not enough: may be something else, or need a package

IMAGE_SUFFIXES = suffixes_of(*(kind for kind in KINDS if kind not in _BY_CONTENT))
"""Suffixes by which image files are found in folders; other files by :func:`starts_like_image`."""

HEAD = 132  # bytes that tell every kind

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # classic and big, either byte order
_JPEG_2000 = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")
_STARTS: Mapping[bytes, str] = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"\x93NUMPY": "NumPy array",
    **dict.fromkeys(_TIFF, "TIFF"),
    **dict.fromkeys(_JPEG_2000, "JPEG 2000"),
    **{b"P%d" % number: "PPM" for number in range(1, 7)},
}
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_NEEDS: Mapping[str, str] = {"HEIF": "pillow_heif", "DICOM": "pydicom"}  # packages of the extras


def kind_of(head: bytes) -> str:
    """The kind of an image by its first :data:`HEAD` bytes; "" if it is none of :data:`KINDS`."""
    if head[128:132] == b"DICM":
        return "DICOM"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        return "AVIF" if head[8:12] in (b"avif", b"avis") else "HEIF" if head[8:12] in _HEIF_BRANDS else ""
    return next((kind for start, kind in _STARTS.items() if head.startswith(start)), "")


def is_readable(kind: str) -> bool:
    """Whether files of a kind can be read here: some need a package of an extra."""
    return kind not in _NEEDS or find_spec(_NEEDS[kind]) is not None


def starts_like_image(path: Path) -> bool:
    """Whether the first bytes of a file are those of an image that visus reads; False where it cannot be read."""
    try:
        if not path.is_file() or path.name.upper() == "DICOMDIR":  # a pipe would never end; an index is no image
            return False
        with path.open("rb") as stream:
            head = stream.read(HEAD)
            kind = kind_of(head)
            if kind in ("", "BMP", "PPM") or not is_readable(kind):  # two letters are too little to tell by
                return False
            if kind == "NumPy array":
                stream.seek(0)
                return _holds_numbers(stream)
    except (OSError, ValueError):
        return False
    return True


def _holds_numbers(stream: BinaryIO) -> bool:
    """Whether a NumPy file is an array of numbers with two or three axes, and no list of boxes or pickled objects."""
    from numpy.lib import format as numpy_format

    try:
        version = numpy_format.read_magic(stream)
        read = numpy_format.read_array_header_1_0 if version == (1, 0) else numpy_format.read_array_header_2_0
        shape, _, dtype = read(stream)
    except Exception:  # whatever is wrong with it, it is no image
        return False
    return len(shape) in (2, 3) and dtype.kind in "buif"


RAW_PHOTOS = (".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw")

UNREAD_IMAGES = frozenset({*KINDS["HEIF"], *KINDS["DICOM"], ".jxl", *RAW_PHOTOS})
"""Suffixes of files that are images, but that may not be readable here."""

ADVICE: Mapping[str, str] = {
    **dict.fromkeys(KINDS["HEIF"], "pip install visus[heif]"),
    **dict.fromkeys((*KINDS["DICOM"], ".ima"), "pip install visus[medical]"),
    **dict.fromkeys((".nii", ".nii.gz"), "pip install visus[medical]"),
    ".jxl": "convert them with djxl",
    **dict.fromkeys(RAW_PHOTOS, "these are raw photos: develop them to JPEG or TIFF"),
    **dict.fromkeys(
        (".czi", ".lif", ".nd2", ".oib", ".oif", ".vsi", ".ims", ".lsm"),
        "save them as OME-TIFF with Fiji or bfconvert",
    ),
    **dict.fromkeys((".svs", ".ndpi", ".mrxs", ".scn"), "cut these slides into tiles, as with OpenSlide"),
    **dict.fromkeys((".nrrd", ".mha", ".mhd"), "save them as NIfTI, as with SimpleITK"),
    **dict.fromkeys((".mp4", ".avi", ".mov", ".mkv", ".webm"), "these are videos: take their frames with ffmpeg"),
    **dict.fromkeys((".psd", ".xcf", ".svg", ".eps", ".ai", ".tga", ".exr", ".hdr"), "save them as PNG"),
    **dict.fromkeys((".h5", ".hdf5"), "save the images in them as PNG or .npy"),
}
"""How to bring files here that are not read, by suffix."""


def suffix_of(path: Path) -> str:
    """The suffix of a file in lower case, ".nii.gz" whole."""
    return ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()
