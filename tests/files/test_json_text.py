"""JSON that every reader takes."""

from __future__ import annotations

import json
import math

from visus.files.json_text import json_text


def test_numbers_that_are_not_finite_become_null_wherever_they_are() -> None:
    values = {"a": [math.nan, (math.inf, 1.5)], 2: {"b": -math.inf}, "ü": None}
    assert json.loads(json_text(values)) == {"a": [None, [None, 1.5]], "2": {"b": None}, "ü": None}
    assert "ü" in json_text(values)
    assert json_text([1], indent=2) == "[\n  1\n]"
