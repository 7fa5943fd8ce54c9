"""The XML files of PASCAL VOC: names, boxes and marks of the objects of one image."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from visus.data.formats.texts.safe_xml import walk_xml
from visus.errors import DataError
from visus.files.regular import LARGEST_TEXT, open_regular, read_regular

ROOT = "annotation"
_TRUE = frozenset({"1", "true", "yes"})
_ROOT_TAG = re.compile(rb"<\s*(annotation)[\s>]", re.IGNORECASE)
_HEAD = 4096  # bytes of a file that are looked at
_BOX = ("xmin", "ymin", "xmax", "ymax")
_OBJECT = re.compile(
    r"<object>\s*<name>([^<]*)</name>(.*?)<bndbox>\s*"
    + r"\s*".join(f"<{key}>([^<]*)</{key}>" for key in _BOX)
    + r"\s*</bndbox>(.*?)</object>",
    re.DOTALL,
)
_SIZE = re.compile(r"<size>\s*<width>([^<]*)</width>\s*<height>([^<]*)</height>")
_DIFFICULT = re.compile(r"<difficult>\s*(?:1|true|yes)\s*</difficult>", re.IGNORECASE)
_FILENAME = re.compile(r"<filename>([^<]*)</filename>")


@dataclass(slots=True)
class VocAnnotation:
    """One XML file, as it is written.

    Args:
        names: of the N objects; "" where none is given.
        boxes: N times xmin, ymin, xmax, ymax; NaN where something else is written; None for an object without a box.
        difficult: N.
        size: (height, width) if stated, else (0, 0).
        filename: of the image; "" if not stated.
        polygons: the number of objects with an outline beside their box; outlines are not read.
    """

    names: list[str] = field(default_factory=list)
    boxes: list[tuple[float, ...] | None] = field(default_factory=list)
    difficult: list[bool] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)
    filename: str = ""
    polygons: int = 0


def read_annotation(path: Path) -> VocAnnotation:
    """The objects and the size in a VOC XML file.

    Raises:
        DataError: if it is no XML, declares entities, or is the XML of something else.
    """
    quick = _read_plain(read_regular(path, limit=LARGEST_TEXT, expected="an XML file"))
    if quick is not None:
        return quick
    target = walk_xml(path, _Target)
    if target.root != ROOT:
        raise DataError(
            f"{path} is no annotation of PASCAL VOC", expected=f"the root <{ROOT}>", got=f"<{target.root[:60]}>"
        )
    return target.annotation


def _read_plain(data: bytes) -> VocAnnotation | None:
    """What a file holds that is written as nearly all are; None for any other, which the parser is to read.

    Three times as fast as the parser. Such a file is UTF-8, has plain tags, no parts of objects, and nothing that would
    have to be expanded, refused or passed over.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    declaration, _, _ = text.partition("?>")
    encoded = "encoding" in declaration and "utf-8" not in declaration.lower() and declaration != text
    if encoded or "<!" in text or "&" in text or "<part" in text or text.count("<annotation>") != 1:
        return None
    if "<object " in text or not text.rstrip().endswith("</annotation>"):
        return None
    items = _OBJECT.findall(text)
    if not len(items) == text.count("<object>") == text.count("</object>"):
        return None
    annotation = VocAnnotation(names=[item[0].strip() for item in items])
    try:
        annotation.boxes = [(float(x1), float(y1), float(x2), float(y2)) for _, _, x1, y1, x2, y2, _ in items]
        if size := _SIZE.search(text):
            annotation.size = _whole_size(float(size[2]), float(size[1]))
        elif "<size" in text:
            return None
    except ValueError:
        return None
    if _DIFFICULT.search(text):
        annotation.difficult = [bool(_DIFFICULT.search(item[1]) or _DIFFICULT.search(item[6])) for item in items]
    else:
        annotation.difficult = [False] * len(items)
    annotation.polygons = text.count("<polygon>")
    named = _FILENAME.search(text)
    annotation.filename = named[1].strip() if named else ""
    return annotation


def _whole_size(height: float, width: float) -> tuple[int, int]:
    return (int(height), int(width)) if 1 <= height < 1 << 31 and 1 <= width < 1 << 31 else (0, 0)


def looks_like_voc(path: Path) -> bool:
    """Whether the first bytes of a file hold the root of an annotation, in any encoding."""
    try:
        with open_regular(path, limit=LARGEST_TEXT) as stream:
            head = stream.read(_HEAD).replace(b"\0", b"")  # of UTF-16
    except (DataError, OSError):
        return False
    return _ROOT_TAG.search(head) is not None


class _Target:
    """Keeps what is wanted of an annotation; parts of objects (such as a person's head) are passed over."""

    def __init__(self) -> None:
        self.annotation = VocAnnotation()
        self.root = ""
        self._path: list[str] = []
        self._text = ""
        self._object: dict[str, str] = {}
        self._size: dict[str, str] = {}

    def start(self, tag: str, attributes: dict[str, str]) -> None:  # noqa: ARG002 (VOC has none)
        tag = tag.lower()
        if not self._path:
            self.root = tag
        elif len(self._path) == 1 and tag == "object":
            self._object = {}
        self._path.append(tag)
        self._text = ""

    def data(self, text: str) -> None:
        self._text += text

    def end(self, tag: str) -> None:
        tag = self._path.pop()
        path, text = self._path, self._text
        depth = len(path)
        if depth == 3 and path[2] == "bndbox" and path[1] == "object":
            self._object[tag] = text
        elif depth == 2 and path[1] == "object":
            self._object.setdefault(tag, text.strip())
        elif depth == 1 and tag == "object":
            self._end_object()
        elif depth == 2 and path[1] == "size":
            self._size[tag] = text
        elif depth == 1 and tag == "filename":
            self.annotation.filename = text.strip()
        self._text = ""

    def _end_object(self) -> None:
        item = self._object
        self.annotation.names.append(item.get("name", ""))
        box = tuple(_number(item.get(key, "")) for key in _BOX) if "bndbox" in item else None
        self.annotation.boxes.append(box)
        self.annotation.polygons += box is not None and "polygon" in item
        self.annotation.difficult.append(item.get("difficult", "").lower() in _TRUE)

    def close(self) -> _Target:
        """The target, with the size that is stated."""
        self.annotation.size = _whole_size(*(_number(self._size.get(key, "")) for key in ("height", "width")))
        return self


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
