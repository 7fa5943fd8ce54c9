"""Builds a network a second time, from its facts alone: none of the code of ``visus.models`` or ``visus.layers`` runs.

The facts of a network say what its layers are. Its wiring, in ``wirings/*.yaml``, says how they follow on each other,
and what no table prints: where an activation stands, which layers have biases, a normalisation's constants. Two
builders that have nothing in common but the publication can then be held to each other, in every number that they give.

An entry of a wiring has

- ``fact``: the id of the facts; ``source``: where what the table does not print is from;
- ``network``: the chain from the image to the raw outputs; ``outputs``: names of what it gives, if not its end alone;
- ``let``: abbreviations, ``name: "chain with $1, $2"``, called as ``name(a, b)``; those of the file's ``let`` hold too;
- ``eps``: of BatchNorm; ``biases``: whether convolutions have them (those before ``bn`` have none).

Three abbreviations read the layer table. ``rows(A, B, chain)`` are its rows from A to B, with the chain behind each
convolution and dense layer. ``each(A, B, name)`` is ``name(ROW)`` for each of these rows. ``ways(ROW, join=+,
after=CHAIN)`` are the branches of a row with the sign of a join between them: ``after`` stands behind each convolution,
``last`` behind the last one of a branch, ``depth`` behind depthwise ones; ``pool`` is the kind of poolings of stride 1,
``halve`` that of others; ``mark`` is added to convolutions; ``of=0:2`` takes some of the branches, and ``.`` stands for
none.

A chain is written as steps with ``>`` between them:

============================  ========================================================================================
``conv 3x3 64 s2 p1 g2``      convolution: kernel, channels, stride (``s1x2``), padding (without: half the kernel;
                              ``p0``; ``p3x2``; ``same``: TensorFlow's), groups, ``d6``: dilation, ``biased``,
                              ``unbiased``
``depthwise 3x3 s2``          the same, each channel by itself
``up 4x4 21 s2 p1``           transposed convolution; ``bilinear 16 s8``: one whose fixed weights interpolate
``max 3x3 s2 p1 ceil``        pooling (without ``p``: no padding; ``same``: TensorFlow's); ``avg`` too, with ``counted``
                              for zeros of the padding that count in the mean
``global``, ``global max``    mean, or maximum, of each map
``linear 10``                 dense layer, on all values of its input, channels first; ``unbiased``
``bn``, ``gn 32``             BatchNorm; GroupNorm
``lrn n a b k``, ``l2norm``   x / (k + a * sum over n channels of x^2)^b; each pixel at length 1, and a factor a channel
``relu``, ``leaky 0.1``       activations; also relu6, prelu, sigmoid, tanh, swish, ``maxout 2`` (the best of pieces)
``offset``, ``spp 2 1``       a bias for each channel and position; a pyramid of grids of so many bins a side
``times 0.1``                 product with a number
``nearest 2``, ``resize 2``   enlarged by repeating pixels, or bilinearly
``conv1``                     a row of the layer table: the kernel, stride, padding, groups and channels that it states
``( A + B )``, ``( A * B )``  sum and product of two ways from here; ``.`` is the way that changes nothing
``[ A | B ]``                 the channels of several ways from here, one behind the other
``:name``, ``name:``          keeps what is here under a name; goes on from there
``cut 5 NAME``                from pixel 5 on, as much as what is kept as NAME has
``switches A``, ``unpool A``  2x2 pooling that keeps where each maximum was, and its inverse
``moved``                     a pixel up and to the left; zeros come in
``within n a b``              x / (1 + a * mean of n x n pixels' x^2)^b, in each map by itself
``regions 7 M S O P``         max pooling to 7x7 of the regions that scores S and offsets O give, in the map M; keeps P
``region 7 P``                max pooling to 7x7 of all of the image as one region, which is kept as P
``warp 227 16 P``             all of the image as one region, which is kept as P, stretched with 16 pixels of context
``inside P``                  the cells of a map that belong to all of the image as one region, which is kept as P
``propose S O P``             keeps the regions that scores S and offsets O give as P
``vote 7 P``                  of each region of P the mean of its 7x7 parts, each read from a map of its own
``boxes 4``, ``part 0 9``     [N, B*4, H, W] as [N, H*W*B, 4]; of vectors, the values 0 to 8
``conv 3x3 8 @name``          a layer with this name at its end is one layer wherever the name comes again
``3x A``, ``{ A }``           three times A, each with its own weights; a chain as one step
============================  ========================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from visus.errors import UsageError

_CALL = re.compile(r"(?<![\w$])([a-z_]\w*)\(([^()]*)\)")


class WiringError(UsageError):
    """A wiring cannot be read or built."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """How the layers of one network follow on each other.

    Args:
        fact: the id of its facts.
        source: of what the layer table does not print.
        network: the chain.
        let: the abbreviations in it.
        outputs: names of what the network gives; none: the end of the chain.
        eps: of BatchNorm.
        biases: whether convolutions without BatchNorm behind them have biases.
    """

    fact: str
    source: str
    network: str
    let: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    eps: float = 1e-5
    biases: bool = True


@cache
def wirings() -> Mapping[str, Wiring]:
    """Every wiring by the id of its facts."""
    found: dict[str, Wiring] = {}
    for file in sorted((files("visus.proof") / "wirings").iterdir(), key=lambda path: path.name):
        if not file.name.endswith(".yaml"):
            continue
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        for entry in content["wirings"]:
            entry = dict(entry)
            let = {**content.get("let", {}), **entry.pop("let", {})}
            found[entry["fact"]] = Wiring(**{**entry, "outputs": tuple(entry.get("outputs", ())), "let": let})
    return found


def written_out(text: str, let: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Replaces every abbreviation by its chain."""

    def chain(match: re.Match[str]) -> str:
        name, given = match[1], [argument.strip() for argument in match[2].split(",")]
        if name == "rows":
            return _rows(rows, *given)
        if name == "each":
            return " > ".join(f"{given[2]}({_short(row['name'])})" for row in _between(rows, *given[:2]))
        if name == "ways":
            (row,) = _between(rows, given[0], given[0])
            return _ways(row["branches"], **dict(argument.split("=", 1) for argument in given[1:]))
        if name not in let:
            raise WiringError(f"a wiring has no abbreviation {name}", expected=" or ".join(let), got=match[0])
        return "{ " + re.sub(r"\$(\d)", lambda number: given[int(number[1]) - 1], let[name]) + " }"

    for _ in range(20):
        text, changes = _CALL.subn(chain, text)
        if not changes:
            return text
    raise WiringError("an abbreviation calls itself", got=text[:100])


def _short(name: str) -> str:
    """A row's name without its remark in brackets."""
    return name.partition(" (")[0]


def _between(rows: Sequence[Mapping[str, Any]], first: str, last: str) -> Sequence[Mapping[str, Any]]:
    names = [_short(row["name"]) for row in rows]
    if first not in names or last not in names:
        raise WiringError(
            "a wiring names no row of the layer table", expected=" or ".join(names), got=f"{first}, {last}"
        )
    return rows[names.index(first) : names.index(last) + 1]


def _rows(rows: Sequence[Mapping[str, Any]], first: str, last: str, after: str) -> str:
    """The rows from ``first`` to ``last`` as a chain, with ``after`` behind each layer that has weights."""
    taken = _between(rows, first, last)
    return " > ".join(row["name"] + ("" if "pool" in row["kind"] else f" > {after}") for row in taken)


def _ways(
    branches: Sequence[str],
    *,
    join: str,
    after: str = "",
    last: str | None = None,
    depth: str | None = None,
    pool: str = "",
    halve: str = "",
    of: str = ":",
    mark: str = "",
) -> str:
    """The branches of a row as the ways of a join."""

    def step(match: re.Match[str]) -> str:
        words = match[0].split()
        if "pool" in words:
            kind, *more = (halve if "s2" in words else pool).split()
            return " ".join([kind, *words[words.index("pool") + 1 :], *more])
        is_last = not match.string[match.end() :].strip(" ]")
        behind = after if last is None or not is_last else last
        if "linear" in words:
            return "conv " + " ".join(word for word in words if word != "linear") + " biased"
        if "depthwise" in words:
            behind = behind if depth is None else depth
            words = ["depthwise", *(word for word in words[:1] + words[2:] if word != "depthwise"), *mark.split()]
        else:
            words = ["conv", *words, *mark.split()]
        return " > ".join([" ".join(words), *([behind] if behind else [])])

    start, _, end = of.partition(":")
    taken = branches[int(start) if start else None : int(end) if end else None]
    if not taken:
        return "."
    return f" {join} ".join(re.sub(r"[^>|\[\]\s][^>|\[\]]*[^>|\[\]\s]", step, branch) for branch in taken)
