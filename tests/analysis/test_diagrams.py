"""Pictures of networks: that they are whole, that nothing lies over a text, and that the structure is the network's."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import visus
from visus.analysis.diagrams.drawing import Diagram
from visus.analysis.diagrams.nodes import Node, nodes_of
from visus.analysis.diagrams.structure import Dag, Fork, Repeat, Series, nodes_in, structure_of
from visus.analysis.diagrams.svg import Point, text_width
from visus.analysis.summary import Summary, summarize
from visus.errors import UsageError

SVG = "{http://www.w3.org/2000/svg}"

NETWORKS = [
    "lenet5",
    "alexnet",
    "vgg16",
    "googlenet",
    "inception_v3",
    "inception_resnet_v2",
    "resnet18",
    "resnet152",
    "resnet110@exclusive_gating",
    "preact_resnet164",
    "densenet121",
    "xception",
    "mobilenet_v1",
    "mobilenet_v2",
    "squeezenet1_0",
    "efficientnet_b0",
    "se_resnet50",
    "polynet",
    "unet",
    "unet@padded",
    "ssd",
]


def apart(one: Sequence[Point], other: Sequence[Point], slack: float = 0.6) -> bool:
    """Whether a line separates two turned rectangles."""
    for a, b in ((one, other), (other, one)):
        for corner in (0, 1):
            x, y = a[corner + 1][0] - a[corner][0], a[corner + 1][1] - a[corner][1]
            length = (x * x + y * y) ** 0.5
            mine, theirs = ([(p[0] * x + p[1] * y) / length for p in shape] for shape in (a, b))
            if max(mine) <= min(theirs) + slack or max(theirs) <= min(mine) + slack:
                return True
    return False


@functools.cache
def summary_of(name: str) -> Summary:
    """The summary of a network, made once for all tests."""
    return visus.summary(name)


@functools.cache
def drawn(name: str) -> Diagram:
    """The picture of a network, drawn once for all tests."""
    return summary_of(name).draw()


@pytest.mark.parametrize("name", NETWORKS)
def test_no_text_lies_over_another(name: str) -> None:
    diagram = drawn(name)
    for one, other in combinations(diagram.texts, 2):
        if abs(one.corners[0][0] - other.corners[0][0]) < 400:
            assert apart(one.corners, other.corners), (one.text, other.text)


@pytest.mark.parametrize("name", NETWORKS)
def test_pictures_are_whole(name: str) -> None:
    summary, diagram = summary_of(name), drawn(name)
    root = ElementTree.fromstring(diagram.svg)
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    for text in diagram.texts:
        for x, y in text.corners:
            assert left <= x <= left + width, text.text
            assert top <= y <= top + height, text.text
    words = [element.text for element in root.iter(f"{SVG}text")]
    assert words[-1]
    assert summary.name in words
    # Every layer with weights is told under the pointer, unless its like is drawn with a number of times.
    hints = " ".join(element.text or "" for element in root.iter(f"{SVG}title"))
    weighted = [line.path for line in summary.lines if line.parameters and line.output]
    missing = [path for path in weighted if path not in hints]
    assert not missing or any((word or "").startswith("× ") for word in words), missing
    assert len(weighted) - len(missing) >= min(len(weighted), 7)


@pytest.mark.parametrize("name", ["googlenet", "densenet121", "unet"])
def test_drawn_again_a_picture_is_the_same(name: str) -> None:
    assert visus.summary(name).draw() == drawn(name)


def words_of(diagram: Diagram) -> list[str]:
    return [text.text for text in diagram.texts]


def test_what_repeats_is_drawn_once() -> None:
    words = words_of(drawn("resnet152"))
    # He et al. 2016, table 1: 3, 8, 36 and 3 blocks, the first of each with a projection.
    assert [word for word in words if word.startswith("×")] == ["× 2", "× 7", "× 35", "× 2"]
    dense = words_of(drawn("densenet121"))
    assert [word for word in dense if word.startswith("×")] == ["× 6", "× 12", "× 24", "× 16"]  # Huang et al., table 1
    assert "concat, 96 … 256" in dense


def test_a_training_alone_is_dashed() -> None:
    with_heads = drawn("googlenet")
    assert words_of(with_heads).count("fc, 1000") == 3
    assert "stroke-dasharray" in with_heads.svg
    assert "7 M parameters (13.4 M in training)" in " ".join(words_of(with_heads))
    assert "stroke-dasharray" not in drawn("resnet18").svg


def test_the_sizes_of_alexnet() -> None:
    words = words_of(drawn("alexnet"))
    for size in ("227×227", "55×55", "27×27", "13×13", "6×6"):
        assert words.count(size) == 1
    assert "5×5 conv, 256, 2 groups" in words
    assert words.count("fc, 4096") == 2


def test_u_net_goes_down_and_up() -> None:
    diagram = drawn("unet")
    heights = {text.text: text.corners[0][1] for text in diagram.texts}
    levels = ["568×568", "280×280", "136×136", "64×64", "28×28"]  # Ronneberger et al. 2015, figure 1
    assert [heights[size] for size in levels] == sorted(heights[size] for size in levels)
    assert heights["52×52"] == pytest.approx(heights["64×64"], abs=3)
    assert heights["388×388"] < heights["196×196"] < heights["100×100"] < heights["52×52"]


def test_a_detector_ends_in_its_answers() -> None:
    words = words_of(drawn("ssd"))
    assert "answers: 8732×21, 8732×4" in words
    assert words.count("3×3 conv, 84") == 3  # 4 boxes, 21 classes: on three of the six maps
    assert words.count("3×3 conv, 126") == 3  # 6 boxes


def structure(summary: Summary) -> tuple[list[Node], Series]:
    nodes = nodes_of(summary.lines, summary.outputs)
    return nodes, structure_of(nodes).main


class Wired(nn.Module):
    """Convolutions of two channels, each fed by the sum of some before it (0 is the image)."""

    def __init__(self, wires: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.wires = wires
        self.layers = nn.ModuleList(nn.Conv2d(2, 2, 1) for _ in wires)

    def forward(self, image: Tensor) -> Tensor:
        values = [image]
        for layer, sources in zip(self.layers, self.wires, strict=True):
            x = values[sources[0]]
            for source in sources[1:]:
                x = x + values[source]
            values.append(layer(x))
        return values[-1]


def shape_of(item: Any) -> Any:
    """A structure with dots for nodes, for comparisons."""
    if isinstance(item, int):
        return "."
    if isinstance(item, Series):
        return [shape_of(part) for part in item.items]
    if isinstance(item, Fork):
        return tuple(shape_of(branch) for branch in item.branches)
    if isinstance(item, Repeat):
        return {len(item.bodies): shape_of(item.body)}
    return len(item.nodes)


@pytest.mark.parametrize(
    ("wires", "expected"),
    [
        ([[0], [1], [2]], [".", ".", "."]),
        ([[0], [1], [1, 2]], [".", (["."], []), ".", "."]),  # a shortcut, a sum, a layer
        ([[0], [1], [1], [2, 3]], [".", (["."], ["."]), ".", "."]),
        ([[0], [1], [2], [1, 3]], [".", ([".", "."], []), ".", "."]),
        ([[0], [0, 1]], [(["."], []), ".", "."]),  # a shortcut from the image
        ([[0], [1], [1, 2], [1, 3]], [".", ([(["."], []), ".", "."], []), ".", "."]),  # one within another
        ([[0], [1], [1], [2, 3], [2], [4, 5]], [".", 5, ".", "."]),  # crossed
        ([[0], [1], [0], [2]], [".", ".", "."]),  # the third leads nowhere
    ],
)
def test_how_nodes_hang_together(wires: list[list[int]], expected: Any) -> None:
    _, main = structure(summarize(Wired(wires), (2, 4, 4)))
    assert shape_of(main) == expected


@given(st.data())
def test_every_node_is_somewhere_once(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 9))
    wires = [data.draw(st.lists(st.integers(0, place), min_size=1, max_size=3, unique=True)) for place in range(count)]
    summary = summarize(Wired(wires), (2, 4, 4))
    nodes, main = structure(summary)
    assert sorted(nodes_in(main)) == list(range(len(nodes)))
    diagram = summary.draw()
    assert sum(text.text == "1×1 conv, 2" for text in diagram.texts) + diagram.svg.count("× ") >= 1
    ElementTree.fromstring(diagram.svg)


def test_equal_blocks_are_folded_and_others_are_not() -> None:
    def block(channels: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(4, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, 4, 3, padding=1))

    class Residual(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.inner = block(channels)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.inner(x)  # type: ignore[no-any-return]

    alike = nn.Sequential(*(Residual(8) for _ in range(3)), Residual(6))
    _, main = structure(summarize(alike, (4, 8, 8)))
    inner = [([".", "."], []), "."]
    assert shape_of(main) == [{3: inner}, *inner]
    chain = nn.Sequential(*(nn.Conv2d(4, 4, 3, padding=1) for _ in range(3)))
    assert shape_of(structure(summarize(chain, (4, 8, 8)))[1]) == [".", ".", "."]


def test_remarks_stand_on_the_layers_they_belong_to() -> None:
    class PreActivated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.first, self.second = nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            return x + self.second(torch.relu(self.norm(x)))  # type: ignore[no-any-return]

    nodes, _ = structure(summarize(PreActivated(), (2, 4, 4)))
    assert [(node.label, node.before, node.after) for node in nodes] == [
        ("1×1 conv, 2", [], []),
        ("1×1 conv, 2", ["BN"], []),
        ("+", [], []),
    ]
    after = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout(0.5), nn.MaxPool2d(2))
    nodes, _ = structure(summarize(after, (2, 4, 4)))
    assert [(node.label, node.after) for node in nodes] == [
        ("1×1 conv, 2", ["BN", "ReLU", "dropout"]),
        ("2×2 max pool, /2", []),
    ]


def test_large_general_graphs_are_drawn_by_their_modules() -> None:
    class Cell(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = (nn.Conv2d(2, 2, 1) for _ in range(3))

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return self.a(x) + self.b(y) + self.c(self.a(x))  # type: ignore[no-any-return]

    class Cells(nn.Module):
        """Each cell takes the two before it, as in NASNet."""

        def __init__(self) -> None:
            super().__init__()
            self.cells = nn.ModuleList(Cell() for _ in range(12))

        def forward(self, x: Tensor) -> Tensor:
            before, last = x, x
            for cell in self.cells:
                before, last = last, cell(before, last)
            return last

    words = words_of(summarize(Cells(), (2, 4, 4)).draw())
    assert {f"cells.{place}, 2×4×4" for place in range(3, 11)} <= set(words)  # the last ends in the output


def test_letters_are_at_least_as_wide_as_they_are(tmp_path: Path) -> None:
    # Against matplotlib's own copy of DejaVu Sans, with which nobody's page is set narrower.
    from matplotlib import font_manager
    from PIL import ImageFont

    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 100)
    for text in ("3×3 conv, 512, /2", "global avg pool", "image 3×224×224", "concat, 96 … 256", "5×5 depthwise, 1152"):
        assert 0.98 <= text_width(text, 100) / font.getlength(text) <= 1.15, text


def test_saving(cli: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "deep" / "net.svg"
    told = cli("summary", "lenet5", "--save", file)
    assert (told.code, told.out) == (0, "")
    assert file.read_text() == visus.summary("lenet5").draw().svg
    assert visus.summary("lenet5").draw()._repr_svg_() == file.read_text() == visus.draw("lenet5").svg
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", file.read_text())
    with pytest.raises(UsageError, match="png"):
        visus.summary("lenet5").draw().save(tmp_path / "net.png")


def test_a_graph_without_structure_has_no_parts() -> None:
    assert list(nodes_in(Dag((3, 1, 2)))) == [3, 1, 2]


@pytest.mark.parametrize("name", ["vgg16", "unet", "resnet50", "googlenet", "densenet121", "ssd"])
def test_the_pictures_on_the_pages_are_todays(name: str) -> None:
    file = Path(__file__).parents[2] / "docs" / "images" / f"{name}.svg"
    # If not: visus summary NAME --save docs/images/NAME.svg
    assert drawn(name).svg == file.read_text(encoding="utf-8")
