"""Builds pieces of HTML pages. All text is escaped; only results of these functions count as markup."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from PIL import Image

from visus.structures.drawing.canvas import shrink

LONGEST_SIDE = 480
"""Pictures in pages have at most this many pixels a side."""

TOGETHER = "Of the images that show the class of the row: how many also show the class of the column."
"""Under a table of classes that occur together."""


class Markup(str):
    """Text that is HTML already, so that it is not escaped again."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Any value as escaped text; markup stays unchanged."""
    return value if isinstance(value, Markup) else Markup(html.escape(str(value)))


def element(tag: str, *children: object, **attributes: object) -> Markup:
    """``<tag name="value">children</tag>``; ``class_`` stands for class, and an attribute of None is left out."""
    names = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{tag}{names}>{join(children)}</{tag}>")


def join(parts: Sequence[object]) -> Markup:
    """Joins pieces one after the other."""
    return Markup("".join(text(part) for part in parts))


def page(title: str, kicker: str, intro: str, parts: Sequence[Markup]) -> str:
    """A whole HTML document that loads nothing from outside."""
    style = resources.files("visus.report").joinpath("style.css").read_text(encoding="utf-8")
    head = [
        Markup('<meta charset="utf-8">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark">'),
        element("title", title),
        element("style", Markup(style)),
    ]
    header = element(
        "header",
        element("p", kicker, class_="kicker"),
        element("h1", title),
        element("p", intro, class_="intro") if intro else "",
    )
    body = element("main", header, *parts)
    return f'<!doctype html>\n<html lang="en">{element("head", *head)}{element("body", body)}</html>\n'


def section(title: str, *parts: object, note: str = "") -> Markup:
    """A part of the page under its heading."""
    return element("section", element("h2", title), element("p", note, class_="note") if note else "", *parts)


def tiles(entries: Sequence[tuple[str, str, str]]) -> Markup:
    """Tiles with large figures; each entry is (figure, its name, a remark)."""
    return element(
        "div",
        *(
            element(
                "div",
                element("div", figure, class_="figure"),
                element("div", name, class_="name"),
                element("div", more, class_="more") if more else "",
                class_="tile",
            )
            for figure, name, more in entries
        ),
        class_="tiles",
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: Sequence[int] = ()) -> Markup:
    """A table; the columns listed in ``numbers`` are aligned to the right."""

    def kind(i: int) -> str | None:
        return "number" if i in numbers else None

    head = element("thead", element("tr", *(element("th", name, class_=kind(i)) for i, name in enumerate(columns))))
    body = [element("tr", *(element("td", value, class_=kind(i)) for i, value in enumerate(row))) for row in rows]
    whole = element("table", head if any(columns) else "", element("tbody", *body))
    return element("div", whole, class_="scroll")


def facts(entries: Mapping[str, object]) -> Markup:
    """A list of names with their values, one line each."""
    return element("dl", *(join([element("dt", name), element("dd", plain(value))]) for name, value in entries.items()))


def bar(share: float) -> Markup:
    """A horizontal bar for a fraction."""
    width = 100 * min(max(share, 0), 1)
    return element("span", element("i", style=f"width:{width:.1f}%"), class_="bar")


def folded(title: str, *parts: object) -> Markup:
    """A closed part that opens at a click."""
    return element("details", element("summary", title), *parts)


def code(value: str) -> Markup:
    """A command, in a typewriter font."""
    return element("pre", element("code", value))


def svg(drawing: str, caption: str = "", *, wide: bool = False) -> Markup:
    """A drawing from :func:`visus.report.plots.to_svg`; a ``wide`` drawing keeps its size and scrolls."""
    return element(
        "figure",
        Markup(drawing),
        element("figcaption", caption) if caption else "",
        class_="plot wide" if wide else "plot",
    )


def picture(image: Image.Image, description: str, *, side: int = LONGEST_SIDE) -> Markup:
    """A picture of at most ``side`` pixels a side, embedded as PNG or JPEG, whichever is smaller."""
    small = shrink(image.convert("RGB"), side)
    content = min((_encoded(small, "png"), _encoded(small, "jpeg", quality=86)), key=lambda entry: len(entry[1]))
    data = base64.b64encode(content[1]).decode("ascii")
    return Markup(
        f'<img src="data:image/{content[0]};base64,{data}" width="{small.width}" height="{small.height}" '
        f'alt="{html.escape(description)}">'
    )


def percentage(value: float | None) -> str:
    """A fraction in per cent; a dash for None."""
    return "–" if value is None else f"{100 * value:.1f} %"


def plain(value: object) -> object:
    """A value in the form in which people write it."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain(part)}" for name, part in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(str(plain(part)) for part in value) or "none"
    return str(value)


def _encoded(image: Image.Image, kind: str, **options: Any) -> tuple[str, bytes]:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return kind, content.getvalue()
