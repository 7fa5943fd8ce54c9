"""Reads JSON and YAML of files as plain values, with limits on their size, depth and number.

Small files only: settings, scores, lists of classes. Whatever the text holds, the caller gets mappings, lists, text,
numbers, truth values and None, or one error; what they mean is the caller's to check.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from visus.errors import DataError, VisusError
from visus.files.regular import MIB, read_regular

LARGEST = 2 * MIB
"""Bytes; YAML of that size takes seconds to read."""

DEEPEST = 32
"""Mappings and lists within one another."""

MOST = 1_000_000
"""Values in all; a few lines of YAML can stand for billions, by aliases of aliases."""


def read_yaml(path: Path, *, expected: str, error: type[VisusError] = DataError, as_text: bool = False) -> Any:
    """Reads a YAML file.

    Args:
        path: of a small file.
        expected: what it should be, for the message.
        error: the class of the error that is raised.
        as_text: keep single values as they are written: YAML makes truth values of the words no and yes.

    Raises:
        VisusError: of the class ``error``, if it cannot be read, is no YAML, or holds more than the limits allow.
    """
    content = read_regular(path, limit=LARGEST, expected=expected, error=error)
    loader = yaml.BaseLoader if as_text else yaml.SafeLoader
    # Neither loader makes anything but mappings, lists, text and numbers.
    return _parsed(lambda: yaml.load(content.decode("utf-8-sig"), loader), str(path), expected, error)


def read_json(path: Path, *, expected: str, error: type[VisusError] = DataError) -> Any:
    """Reads a small JSON file; arguments and errors as :func:`read_yaml`."""
    return parse_json(read_regular(path, limit=LARGEST, expected=expected, error=error), str(path), expected, error)


def parse_json(text: str | bytes, name: str, expected: str, error: type[VisusError] = DataError) -> Any:
    """Reads JSON text of the file ``name``; errors as :func:`read_yaml`."""
    return _parsed(lambda: json.loads(text), name, expected, error)


def _parsed(parse: Callable[[], Any], name: str, expected: str, error: type[VisusError]) -> Any:
    try:
        values = parse()
        _require_limits(values)
    except RecursionError:
        problem = "values too deep within one another"
    except (yaml.YAMLError, ValueError) as caught:  # numbers of thousands of digits and wrong encodings among them
        problem = " ".join(str(caught).split())
    except (TypeError, KeyError, AttributeError, IndexError, OverflowError) as caught:
        # PyYAML's own: of a date that is none, a truth value that is none, an empty number ...
        problem = f"a value that cannot be read ({type(caught).__name__}: {caught})"
    else:
        return values
    raise error(f"{name} is damaged", expected=expected, got=problem[:300], remedy="take an undamaged copy") from None


def _require_limits(values: Any) -> None:
    count, layer = 0, [values]
    for _ in range(DEEPEST + 1):
        count += len(layer)
        if count > MOST:
            raise ValueError(f"more than {MOST:,} values")
        deeper: list[Any] = []
        for value in layer:
            if isinstance(value, dict):
                deeper += value.values()
            elif isinstance(value, list | tuple | set):
                deeper += value
            if len(deeper) > MOST:
                raise ValueError(f"more than {MOST:,} values")
        if not deeper:
            return
        layer = deeper
    raise ValueError(f"more than {DEEPEST} mappings or lists within one another")
