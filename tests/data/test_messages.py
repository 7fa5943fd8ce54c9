"""A message counts what it speaks of, and is in the singular for one thing."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from visus.data.messages import listed, singular, with_count

DATA = Path(__file__).parents[2] / "src" / "visus" / "data"


@pytest.mark.parametrize(
    ("message", "one", "many"),
    [
        ("{count} boxes have no class", "1 box has no class", "2,000 boxes have no class"),
        ("{count} entries cannot be understood", "1 entry cannot be understood", "2,000 entries cannot be understood"),
        (
            "{count} columns look like a split and are not used: write train into them",
            "1 column looks like a split and is not used: write train into them",
            "2,000 columns look like a split and are not used: write train into them",
        ),
        (
            "{count} objects that are ignored are left out",
            "1 object that is ignored is left out",
            "2,000 objects that are ignored are left out",
        ),
        (
            "{count} images have another size than their labels state",
            "1 image has another size than its labels state",
            "2,000 images have another size than their labels state",
        ),
        ("{count} of 9 images are of a kind", "1 of 9 images is of a kind", "2,000 of 9 images are of a kind"),
        ("all {count} boxes are small", "the 1 box is small", "all 2,000 boxes are small"),
        ("{count} class folders hold no image", "1 class folder holds no image", "2,000 class folders hold no image"),
        ("no number at all", "no number at all", "no number at all"),
    ],
)
def test_singular_and_plural(message: str, one: str, many: str) -> None:
    assert with_count(message, 1) == one
    assert with_count(message, 2000) == many
    assert with_count(message, 0) == many.replace("2,000", "0")


def test_nouns() -> None:
    assert [singular(noun) for noun in ("classes", "boxes", "images", "identities", "words")] == [
        "class", "box", "image", "identity", "word",
    ]  # fmt: skip


def test_lists_of_names() -> None:
    assert listed("abc") == "a, b, c"
    assert listed(iter([1, 2, 3]), 2) == "1, 2 ..."
    assert listed([]) == ""


def messages() -> list[str]:
    """Every text in the source of this room that has a number to put in; a value within it is "N"."""
    found = set()
    for path in DATA.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in nodes:
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "N" for part in node.values)
            elif isinstance(node, ast.Constant) and id(node) not in parts:
                text = str(node.value)
            else:
                continue
            if "{count} " in text and "\n" not in text:
                found.add(text)
    return sorted(found)


def test_every_message_of_the_source_has_a_singular() -> None:
    told = messages()
    assert len(told) > 100
    plurals = ("are", "were", "have", "do", "their", "they", "them")
    for message in told:
        one = with_count(message, 1)
        clause = one.partition("1 ")[2].split(":")[0].split(";")[0].split("(")[0].split(", ")[0]
        before = clause.split(" that ")[0].split(" whose ")[0].split()
        assert one != message.replace("{count}", "1"), one
        assert not set(before) & set(plurals), one
