"""Writes plain values as JSON that every reader takes: Python's own writes NaN and Infinity, which are no JSON."""

from __future__ import annotations

import json
from typing import Any


def json_text(values: Any, *, indent: int | None = None) -> str:
    """One JSON document, not escaped beyond need; numbers that are not finite become null.

    Args:
        values: mappings, lists, tuples, text, numbers, truth values and None.
        indent: spaces a level; None: one line.
    """
    return json.dumps(_finite(values), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(values: Any) -> Any:
    if isinstance(values, dict):
        return {str(key): _finite(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    if isinstance(values, float) and (values != values or values in (float("inf"), float("-inf"))):
        return None
    return values
