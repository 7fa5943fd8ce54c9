"""An SVG drawing that keeps the sizes and positions of its texts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]

FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
INK = "#26282d"
SOFT = "#6b6f78"
LINE = "#4a4e57"

# Widths of DejaVu Sans, the widest of the common fonts, in hundredths of the font's size.
_WIDTHS = {
    **dict.fromkeys("'ijlIJ", 29),
    **dict.fromkeys(" ,./:;\\|·", 34),
    **dict.fromkeys('f-()[]t!r"', 41),
    **dict.fromkeys("*_`–sz?c", 54),
    **dict.fromkeys("LFkvxyPTYao", 61),
    **dict.fromkeys("mMW@%…", 99),
    **dict.fromkeys("wOQ#+<=>^~×→−&DG", 83),
    **dict.fromkeys("KAVBRXZCUHN", 75),
}


@dataclass(frozen=True, slots=True)
class Colour:
    """The colours of a shape: its face, its edge, and its face in shadow."""

    fill: str
    stroke: str
    shade: str


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """The largest width of a text in pixels."""
    return sum(_WIDTHS.get(character, 64) for character in text) / 100 * size * (1.1 if bold else 1.0)


@dataclass(frozen=True, slots=True)
class PlacedText:
    """A text on the sheet, with the four corners of the area that it covers."""

    text: str
    corners: tuple[Point, Point, Point, Point]


class Sheet:
    """Collects shapes; later shapes lie above earlier ones."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._xs: list[float] = []
        self._ys: list[float] = []
        self.texts: list[PlacedText] = []

    def rectangle(
        self, x: float, y: float, width: float, height: float, *, fill: str, stroke: str = "none", radius: float = 0,
        dashed: bool = False, thin: float = 1,
    ) -> None:  # fmt: skip
        """Adds a rectangle with its upper left corner at (x, y)."""
        self._reach((x, x + width), (y, y + height))
        self._parts.append(
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" rx="{_n(radius)}" fill="{fill}" '
            f'stroke="{stroke}" stroke-width="{_n(thin)}"{_dashes(dashed)}/>'
        )

    def circle(self, x: float, y: float, radius: float, *, fill: str, stroke: str) -> None:
        """Adds a disc around (x, y)."""
        self._reach((x - radius, x + radius), (y - radius, y + radius))
        self._parts.append(
            f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}" fill="{fill}" stroke="{stroke}" stroke-width="1.2"/>'
        )

    def polygon(self, points: Sequence[Point], *, fill: str, stroke: str) -> None:
        """Adds a polygon with these corners."""
        self._reach((x for x, _ in points), (y for _, y in points))
        corners = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self._parts.append(
            f'<polygon points="{corners}" fill="{fill}" stroke="{stroke}" stroke-width="0.8" stroke-linejoin="round"/>'
        )

    def way(
        self,
        points: Sequence[Point],
        *,
        arrow: bool = True,
        dashed: bool = False,
        colour: str = LINE,
        radius: float = 7,
    ) -> None:
        """Adds a line through the points, with round corners and an arrow at its end."""
        points = [p for i, p in enumerate(points) if i == 0 or p != points[i - 1]]
        if len(points) < 2:
            return
        self._reach((x for x, _ in points), (y for _, y in points))
        head = ' marker-end="url(#tip)"' if arrow else ""
        self._parts.append(
            f'<path d="{_rounded(points, radius)}" fill="none" stroke="{colour}" stroke-width="1.1"{head}'
            f"{_dashes(dashed)}/>"
        )

    def text(
        self, x: float, y: float, text: str, *, size: float = 11, colour: str = INK, anchor: str = "middle",
        bold: bool = False, turned: float = 0,
    ) -> None:  # fmt: skip
        """Adds a text on the baseline y, anchored at x ("start", "middle" or "end") and turned around (x, y)."""
        width = text_width(text, size, bold=bold)
        left = x - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
        flat = [(left, y - 0.74 * size), (left + width, y - 0.74 * size), (left + width, y + 0.2 * size),
                (left, y + 0.2 * size)]  # fmt: skip
        a, b, c, d = (_turned(point, (x, y), turned) for point in flat)
        self.texts.append(PlacedText(text, (a, b, c, d)))
        self._reach((p[0] for p in (a, b, c, d)), (p[1] for p in (a, b, c, d)))
        weight = ' font-weight="600"' if bold else ""
        turn = f' transform="rotate({_n(turned)} {_n(x)} {_n(y)})"' if turned else ""
        anchoring = f' text-anchor="{anchor}"' if anchor != "start" else ""
        attributes = f'font-size="{_n(size)}" fill="{colour}"{anchoring}{weight}{turn}'
        self._parts.append(f'<text x="{_n(x)}" y="{_n(y)}" {attributes}>{escape(text)}</text>')

    @contextmanager
    def hint(self, text: str) -> Iterator[None]:
        """Context: shapes drawn inside show this text under the pointer."""
        self._parts.append(f"<g><title>{escape(text)}</title>")
        yield
        self._parts.append("</g>")

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of all shapes and texts."""
        return min(self._xs), min(self._ys), max(self._xs), max(self._ys)

    def finished(self, title: str, description: str, *, margin: float = 16) -> str:
        """The whole SVG document, on a white ground, which is readable on any page."""
        left, top, right, bottom = self.bounds
        x, y = left - margin, top - margin
        width, height = right - left + 2 * margin, bottom - top + 2 * margin
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{_n(x)} {_n(y)} {_n(width)} {_n(height)}" '
            f'width="{_n(width)}" height="{_n(height)}" font-family="{FONT}" role="img">\n'
            f"<title>{escape(title)}</title>\n<desc>{escape(description)}</desc>\n"
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            f'orient="auto-start-reverse"><path d="M0 0.6L7.4 4L0 7.4L1.6 4z" fill="{LINE}"/></marker></defs>\n'
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" rx="6" fill="#ffffff"/>\n'
            + "\n".join(self._parts)
            + "\n</svg>\n"
        )

    def _reach(self, xs: Iterable[float], ys: Iterable[float]) -> None:
        self._xs += xs
        self._ys += ys


def _rounded(points: Sequence[Point], radius: float) -> str:
    """Path data through the points; each corner is cut by a curve of at most ``radius``."""
    parts = [f"M{_n(points[0][0])} {_n(points[0][1])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        room = min(radius, _distance(before, corner) / 2, _distance(corner, after) / 2)
        a, b = _towards(corner, before, room), _towards(corner, after, room)
        parts.append(f"L{_n(a[0])} {_n(a[1])}Q{_n(corner[0])} {_n(corner[1])} {_n(b[0])} {_n(b[1])}")
    return "".join(parts) + f"L{_n(points[-1][0])} {_n(points[-1][1])}"


def _distance(one: Point, other: Point) -> float:
    return float(((one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2) ** 0.5)


def _towards(start: Point, end: Point, step: float) -> Point:
    length = _distance(start, end) or 1.0
    return start[0] + (end[0] - start[0]) * step / length, start[1] + (end[1] - start[1]) * step / length


def _turned(point: Point, centre: Point, degrees: float) -> Point:
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    x, y = point[0] - centre[0], point[1] - centre[1]
    return centre[0] + x * cosine - y * sine, centre[1] + x * sine + y * cosine


def _dashes(dashed: bool) -> str:
    return ' stroke-dasharray="4 3"' if dashed else ""


def _n(value: float) -> str:
    """A number as text, with at most one decimal."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text
