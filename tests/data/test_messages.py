"""A message counts what it speaks of, and is in the singular for one thing."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

from visus.data.messages import counted, listed, singular, with_count

SOURCE = Path(__file__).parents[2] / "src" / "visus"
SPEAKING = ("api", "cli", "data", "engine", "explanation", "report", "workflow")
"""The rooms whose sentences people read."""

NOUNS = (
    "anchors", "answers", "boxes", "classes", "colours", "corners", "editions", "epochs", "fields", "figures", "files",
    "findings", "folders", "groups", "images", "labels", "lines", "masks", "models", "objects", "phases", "points",
    "predictions", "processes", "proposals", "reasons", "regions", "rows", "runs", "samples", "scores", "seeds",
    "steps", "tasks", "tensors", "trainings", "windows", "words",
)  # fmt: skip
NEVER_ONE = {
    "{used} classes": "twice as many as are single",
    "{len(kept)} colours": "of many",
    "{len(held)} groups": "told of several only",
    "{len(parts)} reasons": "told of several only",
    "{total} images": "told where some were left out",
    "{len(rows)} classes": "a long table is folded",
    "{len(known)} classes": "told where some were left out",
    "{len(folders)} trainings": "told of several only",
}
"""Numbers beside plurals that need no singular, and why."""


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


def test_numbers_of_things() -> None:
    assert counted(1, "epochs") == "1 epoch"
    assert counted(0, "epochs") == "0 epochs"
    assert counted(1, "images have") == "1 image has"
    assert counted(2000, "hard negative regions") == "2,000 hard negative regions"
    assert counted(1, "hard negative regions") == "1 hard negative region"


def test_no_number_stands_beside_a_plural_that_it_may_not_be() -> None:
    """f"{len(images)} images" says "1 images": such numbers go through counted() or with_count()."""
    behind = re.compile(rf" (?:[a-z]+ )?(?:{'|'.join(NOUNS)})\b")
    found = []
    for path in (path for room in SPEAKING for path in (SOURCE / room).rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        named = [node for node in nodes if isinstance(node, ast.keyword) and node.arg in ("expected", "got")]
        aside = {id(part) for node in named for part in ast.walk(node.value)}
        for node in nodes:
            if isinstance(node, ast.JoinedStr) and id(node) not in aside:
                for value, text in pairwise(node.values):
                    if isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant):
                        match = behind.match(str(text.value))
                        if match and is_number(value):
                            found.append(f"{{{ast.unparse(value.value)}}}{match[0]}")
    assert set(found) == set(NEVER_ONE), set(found) ^ set(NEVER_ONE)


def is_number(value: ast.FormattedValue) -> bool:
    """Whether a number is put in: of things that are counted, or one with commas for thousands."""
    call = value.value.func if isinstance(value.value, ast.Call) else None
    commas = value.format_spec is not None and ast.unparse(value.format_spec) == "f','"
    return commas or (isinstance(call, ast.Name) and call.id in ("int", "len", "sum"))


def messages() -> list[str]:
    """Every text in the source that has a number to put in; a value within it is "N"."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in nodes:
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "N" for part in node.values)
            elif isinstance(node, ast.Constant) and id(node) not in parts:
                text = str(node.value)
            else:
                continue
            if "{count} " in text and text != "{count} N" and "\n" not in text:
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
