"""Reads XML safely: document types and entities are refused, so nothing expands and nothing is fetched.

Encodings that the parser does not know (such as GB2312) are decoded by Python, if the file declares them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar
from xml.etree.ElementTree import Element, ParseError, TreeBuilder
from xml.parsers import expat

from visus.errors import DataError
from visus.files.regular import LARGEST_TEXT, open_regular, read_regular

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

_HEAD = 4096  # bytes in which the root element of a file must begin
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]{0,100}\sencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_KNOWN = frozenset({"utf-8", "utf8", "utf-16", "iso-8859-1", "us-ascii"})
"""Encodings that the parser decodes itself."""


class XmlTarget(Protocol[T_co]):
    """Takes the elements of a file in their order."""

    def start(self, tag: str, attributes: dict[str, str], /) -> object:
        """An element begins."""

    def end(self, tag: str, /) -> object:
        """An element ends."""

    def data(self, text: str, /) -> object:
        """Text inside of the innermost element; may come in several pieces."""

    def close(self) -> T_co:
        """What was made of the file, after its end."""


def root_tag(path: Path) -> str:
    """The name of a file's root element, as its first bytes say it; "" if they say none or it cannot be read."""
    try:
        with open_regular(path, limit=LARGEST_TEXT) as stream:
            head = stream.read(_HEAD)
    except (DataError, OSError):
        return ""
    match = re.search(rb"<([A-Za-z_][\w.:-]*)", re.sub(rb"<!--.*?-->", b"", head, flags=re.DOTALL))
    return match[1].decode() if match else ""


class _Refused(Exception):
    """The file declares a document type or an entity."""


def _refuse(*_: object) -> NoReturn:
    raise _Refused


def parse_xml(path: Path) -> Element:
    """The root element of a file; raises as :func:`walk_xml`."""
    return walk_xml(path, TreeBuilder)


def walk_xml(path: Path, make_target: Callable[[], XmlTarget[T]]) -> T:
    """What a target makes of the elements of a file.

    Args:
        path: of the file.
        make_target: makes the target.

    Raises:
        DataError: if it cannot be read, is no XML, or declares a document type or an entity.
    """
    target = make_target()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.StartElementHandler = target.start
    parser.EndElementHandler = target.end
    parser.CharacterDataHandler = target.data
    try:
        data = read_regular(path, limit=LARGEST_TEXT, expected="an XML file")
        declared = _DECLARED.match(data)
        if declared and declared[1].decode().lower() not in _KNOWN:
            parser.Parse(data.decode(declared[1].decode()), True)
        else:
            parser.Parse(data, True)
        return target.close()
    except _Refused as error:
        raise DataError(
            f"{path} declares a document type or entities",
            expected="plain elements",
            got="<!DOCTYPE or <!ENTITY",
            remedy="remove the declaration",
        ) from error
    except (OSError, expat.ExpatError, ParseError, LookupError, ValueError, AssertionError) as error:
        raise DataError(f"{path} cannot be read as XML", expected="a whole XML file", got=str(error)) from error
