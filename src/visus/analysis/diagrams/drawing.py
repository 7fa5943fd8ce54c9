"""A network as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from visus.analysis.diagrams.blocks import meaning, shape_text, visible
from visus.analysis.diagrams.flow import draw_flow
from visus.analysis.diagrams.nodes import COLOURS, MEANINGS, REMARK_MEANINGS, REMARKS, Node, nodes_of
from visus.analysis.diagrams.structure import structure_of
from visus.analysis.diagrams.svg import SOFT, Placed, Sheet, text_width
from visus.errors import DiskError, UsageError

if TYPE_CHECKING:
    from visus.analysis.summary import Summary


@dataclass(frozen=True, slots=True)
class Diagram:
    """A picture of a network.

    Args:
        svg: the picture, a whole SVG document on white.
        texts: every text on it, and what it covers.
    """

    svg: str
    texts: tuple[Placed, ...]

    def save(self, file: str | Path) -> Path:
        """Writes the picture into an .svg file.

        Raises:
            UsageError: for another suffix.
            DiskError: if the file cannot be written.
        """
        path = Path(file)
        if path.suffix != ".svg":
            raise UsageError(f"cannot draw a network as {file}", expected=".svg", got=path.suffix)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.svg, encoding="utf-8")
        except OSError as error:
            raise DiskError(f"cannot write {path}", got=str(error), remedy="choose another place") from None
        return path

    def _repr_svg_(self) -> str:
        """For notebooks."""
        return self.svg


def draw(summary: Summary) -> Diagram:
    """Draws a network that was worked out."""
    nodes = nodes_of(summary.lines)
    structure = structure_of(nodes)
    sheet = Sheet()
    draw_flow(structure, summary.input, sheet)
    _add_head(summary, sheet)
    _add_legend(nodes, sheet)
    description = (
        f"{summary.name} for {shape_text(summary.input)}: {summary.parameters:,} parameters, {summary.macs:,} MACs"
    )
    return Diagram(sheet.finished(summary.name, description), tuple(sheet.texts))


def _add_head(summary: Summary, sheet: Sheet) -> None:
    left, top, _, _ = sheet.bounds
    sheet.text(left, top - 30, summary.name, size=17, anchor="start", bold=True)
    extra = sum(line.parameters for line in summary.lines if line.only_in_training)
    more = f" ({_short(summary.parameters)} in training)" if extra else ""
    numbers = f"{_short(summary.parameters - extra)} parameters{more}, {_short(summary.macs)} MACs"
    sheet.text(left, top - 14, numbers, size=11, colour=SOFT, anchor="start")


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
