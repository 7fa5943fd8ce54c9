"""Reads XML safely: document types and entities are refused, so nothing expands and nothing is fetched."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn
from xml.etree.ElementTree import Element, ParseError, TreeBuilder
from xml.parsers import expat

from visus.errors import DataError
from visus.files.regular import LARGEST_TEXT, open_regular

_HEAD = 4096  # bytes in which the root element of a file must begin


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
    """The root element of a file.

    Raises:
        DataError: if it cannot be read, is no XML, or declares a document type or an entity.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(path.read_bytes(), True)
        root: Element = builder.close()
    except _Refused as error:
        raise DataError(
            f"{path} declares a document type or entities",
            expected="plain elements",
            got="<!DOCTYPE or <!ENTITY",
            remedy="remove the declaration",
        ) from error
    except (OSError, expat.ExpatError, ParseError, ValueError, AssertionError) as error:
        raise DataError(f"{path} cannot be read as XML", expected="a whole XML file", got=str(error)) from error
    return root
