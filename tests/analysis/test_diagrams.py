"""Pictures of networks: whole SVG documents that name every layer and let no text cover another."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

import visus
from visus.analysis.diagrams.svg import Placed
from visus.errors import UsageError


def sides(text: Placed) -> tuple[list[float], list[float]]:
    """The horizontal and the vertical places of a text's corners."""
    return [x for x, _ in text.corners], [y for _, y in text.corners]


@pytest.mark.parametrize("name", ["lenet5", "alexnet", "vgg16", "resnet50", "googlenet", "densenet121", "unet", "ssd"])
def test_a_picture_is_a_whole_document_whose_texts_are_apart(name: str) -> None:
    diagram = visus.draw(name)
    root = ElementTree.fromstring(diagram.svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    width, height = (float(v) for v in root.attrib["viewBox"].split()[2:])
    assert min(width, height) > 100
    for one, other in combinations(diagram.texts, 2):
        pairs = zip(sides(one), sides(other), strict=True)
        assert any(max(a) <= min(b) or max(b) <= min(a) for a, b in pairs), (one, other)


def test_repeated_blocks_are_drawn_once_with_their_number() -> None:
    # Table 1 of the ResNet paper: 3, 8, 36 and 3 blocks, of which the first of each stage projects its shortcut.
    texts = re.findall(r">([^<>]+)</text>", visus.draw("resnet152").svg)
    assert [t for t in texts if t.startswith("\u00d7 ")] == ["\u00d7 2", "\u00d7 7", "\u00d7 35", "\u00d7 2"]


def test_a_picture_names_kernels_widths_and_sizes() -> None:
    texts = re.findall(r">([^<>]+)</text>", visus.draw("alexnet@torchvision").svg)
    assert any("11\u00d711" in t and "64" in t for t in texts)
    assert any(t.endswith("4096") for t in texts)


def test_only_svg_is_written(tmp_path: Path) -> None:
    diagram = visus.draw("lenet5")
    assert diagram.save(tmp_path / "new" / "lenet5.svg").read_text(encoding="utf-8") == diagram.svg
    with pytest.raises(UsageError, match="png"):
        diagram.save(tmp_path / "lenet5.png")
