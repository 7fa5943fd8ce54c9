"""Draws a network as a picture, with a legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from visus.analysis.diagrams.blocks import meaning, shape_text, visible
from visus.analysis.diagrams.flow import draw_flow
from visus.analysis.diagrams.nodes import COLOURS, MEANINGS, REMARK_MEANINGS, REMARKS, Node, nodes_of
from visus.analysis.diagrams.structure import structure_of
from visus.analysis.diagrams.svg import SOFT, PlacedText, Sheet, text_width
from visus.analysis.diagrams.volumes import can_draw_volumes, draw_volumes
from visus.analysis.line import Line
from visus.analysis.writing import write_text
from visus.errors import UsageError


@dataclass(frozen=True, slots=True)
class Diagram:
    """A picture of a network.

    Args:
        svg: the picture, a whole SVG document on white.
        texts: every text on it, and what it covers.
    """

    svg: str
    texts: tuple[PlacedText, ...]

    def save(self, file: str | Path) -> Path:
        """Writes the picture to an .svg file.

        Raises:
            UsageError: for another suffix.
            DiskError: if the file cannot be written.
        """
        path = Path(file)
        if path.suffix != ".svg":
            raise UsageError(f"unknown format for the picture of a network: {file}", expected=".svg", got=path.suffix)
        return write_text(path, self.svg)

    def _repr_svg_(self) -> str:
        """The SVG text, which notebooks show as a picture."""
        return self.svg


def draw(name: str, shape: tuple[int, int, int], lines: Sequence[Line], outputs: Sequence[int]) -> Diagram:
    """Draws the network of a summary.

    Args:
        name: for its head.
        shape: of the image, (channels, height, width).
        lines: of its summary.
        outputs: the indices of the lines whose outputs are the network's.
    """
    nodes = nodes_of(lines, outputs)
    structure = structure_of(nodes)
    sheet = Sheet()
    if can_draw_volumes(structure):
        draw_volumes(structure, shape, sheet)
    else:
        draw_flow(structure, shape, sheet)
    passed = [line for line in lines if not line.only_in_training]
    parameters, macs = sum(line.parameters for line in passed), sum(line.macs for line in passed)
    more = sum(line.parameters for line in lines) - parameters
    left, top, _, _ = sheet.bounds
    sheet.text(left, top - 30, name, size=17, anchor="start", bold=True)
    training = f" ({_short(parameters + more)} in training)" if more else ""
    numbers = f"{_short(parameters)} parameters{training}, {_short(macs)} MACs"
    sheet.text(left, top - 14, numbers, size=11, colour=SOFT, anchor="start")
    _add_legend(nodes, sheet)
    description = f"{name} for {shape_text(shape)}: {parameters:,} parameters, {macs:,} MACs"
    return Diagram(sheet.finished(name, description), tuple(sheet.texts))


def _add_legend(nodes: Sequence[Node], sheet: Sheet) -> None:
    left, _, right, bottom = sheet.bounds
    x, y = left, bottom + 30
    kinds = [kind for kind in MEANINGS if any(node.kind == kind for node in nodes)]
    remarks = dict.fromkeys(meaning(r) for node in nodes for r in visible([*node.before, *node.after]))
    entries = [(MEANINGS[kind], kind, "") for kind in kinds]
    entries += [(REMARK_MEANINGS[remark], "", remark) for remark in REMARK_MEANINGS if remark in remarks]
    for text, kind, remark in entries:
        width = text_width(text, 10) + 36
        if x + width - 14 > max(right, left + 420) and x > left:
            x, y = left, y + 18
        if kind:
            colour = COLOURS[kind]
            sheet.rectangle(x, y - 8, 14, 10, fill=colour.fill, stroke=colour.stroke, radius=2)
        else:
            sheet.rectangle(x, y - 4.5, 14, 3, fill=REMARKS[remark])
        sheet.text(x + 20, y + 1, text, size=10, colour=SOFT, anchor="start")
        x += width


def _short(value: int) -> str:
    for size, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= size:
            return f"{value / size:.3g} {name}"
    return str(value)
