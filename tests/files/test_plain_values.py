"""JSON and YAML of any content end in values or in one error."""

from __future__ import annotations

from pathlib import Path

import pytest

from visus.errors import RecipeError
from visus.files.plain_values import parse_json, read_json, read_yaml


def test_values_are_those_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: [1, 2.5, {b: no}]\nc: text\n", encoding="utf-8-sig")
    assert read_yaml(tmp_path / "a.yaml", expected="x") == {"a": [1, 2.5, {"b": False}], "c": "text"}
    (tmp_path / "a.json").write_text('{"a": [1, null, "\\u00e4"]}')
    assert read_json(tmp_path / "a.json", expected="x") == {"a": [1, None, "ä"]}


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(8)
)
"""Eight lines that stand for 9^9 values."""


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe\x00binary\x00",
        b"a: [",
        b"[" * 3000,
        b"[" * 100 + b"]" * 100,
        b"a: &x [*x]",
        BOMB.encode(),
        b"a: " + b"9" * 6000,
        b"a: 2020-13-45",
        b"!!timestamp x",
        b"!!int ''",
        b"!!bool maybe",
        b"!!float x",
        b"!!python/object/apply:print [x]",
        b"{[1]: 2}",
        b"a: b: c",
        b"\t",
        b"%YAML 9.9\n---\n",
    ],
)
def test_no_yaml_does_more_than_raise(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "a.yaml").write_bytes(text)
    with pytest.raises(RecipeError, match="is damaged"):
        read_yaml(tmp_path / "a.yaml", expected="a YAML mapping", error=RecipeError)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 40 + b"1" + b"}" * 40, b"9" * 6000, b"nul"]
)
def test_no_json_does_more_than_raise(text: bytes) -> None:
    with pytest.raises(RecipeError, match="is damaged"):
        parse_json(text, "a.json", "JSON", RecipeError)


def test_size_is_limited(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"a: 1\n" + b"#" * (3 << 20))
    with pytest.raises(RecipeError, match="too large"):
        read_yaml(tmp_path / "a.yaml", expected="YAML", error=RecipeError)
