"""Builds a network a second time, from its facts alone: none of the code of ``visus.models`` or ``visus.layers`` runs.

The facts of a network say what its layers are; its wiring, in ``wirings/*.yaml``, says how they follow on each other, and
what no table prints: where an activation stands, which layers have biases, a normalisation's constants. Two builders that
have nothing in common but the publication can then be held to each other, in every number that they give.

An entry of a wiring has

- ``fact``: the id of the facts; ``source``: where what the table does not print is from;
- ``network``: the chain from the image to the raw outputs; ``outputs`` lists what it gives where that is more than one;
- ``let``: abbreviations, ``name: "chain with $1, $2"``, called as ``name(a, b)``; those of the file's ``let`` hold too.
  Three read the layer table: ``rows(A, B, chain)`` are its rows from A to B, each convolution or dense layer with the
  chain behind; ``each(A, B, name)`` is ``name(ROW)`` for each of these rows; ``ways(ROW, join=+, after=CHAIN, ...)`` are
  the branches of a row with the sign of a join between them, ``after`` behind each convolution, ``last`` behind the last
  one of a branch, ``depth`` behind depthwise ones, ``pool`` for poolings of stride 1 and ``halve`` for others; ``mark`` on
  each convolution; ``of`` counts the branches that are meant (``of=0:2``); ``.`` where a row has none of these;
- ``eps``: of BatchNorm; ``biases``: whether convolutions have them (those before ``bn`` never do).

A chain is written as steps with ``>`` between them:

==========================  ===========================================================================================
``conv 3x3 64 s2 p1 g2``    convolution: kernel, channels, stride (``s1x2``), padding (without: half the kernel; ``p0``;
                            ``p3x2``; ``same``: TensorFlow's), groups, ``d6``: dilation, ``biased``, ``unbiased``
``depthwise 3x3 s2``        the same, each channel by itself
``up 4x4 21 s2 p1``         transposed convolution
``bilinear 16 s8``          transposed convolution whose fixed weights interpolate
``max 3x3 s2 p1 ceil``      pooling (without ``p``: no padding, ``same``: TensorFlow's); ``avg`` too, with ``counted``
                            for zeros of the padding that count in the mean
``global``                  mean of each map; ``global max``
``linear 10``               dense layer, on all values of its input, channels first; ``unbiased``
``bn``, ``lrn n a b k``     BatchNorm; x / (k + a * sum over n channels of x^2)^b; ``l2norm``: of each pixel, scaled
``relu``, ``leaky 0.1``...  activations, norms of groups (``gn 32``): also relu6, prelu, sigmoid, tanh, swish, ``maxout 2`` (best of pieces)
``offset``, ``spp 2 1``     a bias for each channel and position; a pyramid of grids of so many bins a side
``times 0.1``, ``crop 5``   product with a number; without so many pixels at each side
``nearest 2``, ``resize 2``  enlarged by repeating pixels, or bilinearly
``conv1``                   a row of the layer table, with the kernel, stride, padding, groups and channels that it states
``( A + B )``               sum of two ways from here; ``.`` is the way that changes nothing; ``( A * B )`` the product
``[ A | B ]``               channels of several ways from here, one behind the other
``cut 5 NAME``              from pixel 5 on as much as what is kept as NAME has
``switches A``, ``unpool A``  2x2 pooling that keeps where each maximum was, and its inverse
``moved``                   a pixel up and to the left; zeros come in
``boxes 4``, ``part 0 9``   [N, B*4, H, W] as [N, H*W*B, 4]; of vectors, the values from 0 to 8
``conv 3x3 8 @name``        a layer with this name at its end is one layer wherever the name comes again
``3x A``                    three times A, each with its own weights; ``{ A }`` is one step of a chain
``:name``, ``name:``        keeps what is here under a name; goes on from there
==========================  ===========================================================================================
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn

from visus.errors import UsageError
from visus.proof.published import fact

Kept = dict[str, Tensor]
_TOKEN = re.compile(r"\s*(>|\(|\)|\[|\]|\{|\}|\||\+(?=\s)|\*(?=\s)|\d+x(?=\s+[^\d>|)\]]*[a-z({\[])|[^\s>()\[\]{}|]+)")
_TIMES = re.compile(r"^\d+x$")
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


def build_from_facts(id_: str, device: str = "cpu") -> nn.Module:
    """Builds the network of these facts, in eval mode, with values that are not drawn yet.

    Args:
        id_: of the facts; :func:`wirings` lists those that have a wiring.
        device: "meta" for a network without values.

    Returns:
        A module from [N,C,H,W] to a tensor, or to a tuple of tensors.

    Raises:
        WiringError: if there is no wiring of this id, or it does not fit the rows of the facts.
    """
    known = wirings()
    if id_ not in known:
        raise WiringError(f"there is no wiring for the facts {id_}", expected=" or ".join(known), got=id_)
    entry = fact(id_)
    rows = {row["name"]: row for row in entry.get("layers", ())}
    wiring = known[id_]
    tree = _Parser(_written_out(wiring.network, wiring.let, entry.get("layers", ()))).whole()
    with torch.device("meta"):
        builder = _Builder(wiring, rows)
        network = BuiltNetwork(tree, wiring.outputs)
        network.grow(builder, torch.empty(1, *entry["input"]))
    network.eval()
    if device == "meta":
        return network
    network.to_empty(device=device)
    for layer in network.modules():
        if isinstance(layer, _Bilinear):
            layer.reset_parameters()
    return network


def _written_out(text: str, let: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> str:
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
        raise WiringError("a wiring names no row of the layer table", expected=" or ".join(names), got=f"{first}, {last}")
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


# --- from text to a tree


class _Parser:
    """Reads a chain; every method takes what it understands from the front of ``tokens``."""

    def __init__(self, text: str) -> None:
        self.tokens = [token for token in _TOKEN.findall(text) if token]
        self.position = 0

    def whole(self) -> Chain:
        chain = self.chain()
        if self.front:
            raise WiringError("a wiring does not end where it should", got=" ".join(self.tokens[self.position :][:12]))
        return chain

    @property
    def front(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def take(self) -> str:
        token = self.front
        self.position += 1
        return token

    def chain(self) -> Chain:
        parts = [*self.step()]
        while self.front == ">":
            self.take()
            parts += self.step()
        return Chain(parts)

    def step(self) -> list[Node]:
        if _TIMES.match(self.front):
            times, start = int(self.take()[:-1]), self.position
            steps: list[Node] = []
            for _ in range(times):
                self.position = start
                steps += self.step()
            return steps
        if self.front == "{":
            self.take()
            chain = self.chain()
            self.expect("}")
            return [chain]
        if self.front in ("(", "["):
            return [self.join()]
        words = []
        while self.front and self.front not in "> ( ) [ ] { } | + *".split():
            words.append(self.take())
        if not words:
            raise WiringError("a step is missing in a wiring", got=" ".join(self.tokens[self.position :][:12]))
        return [Step(tuple(words))]

    def join(self) -> Join:
        opened = self.take()
        signs, closed = (("+", "*"), ")") if opened == "(" else (("|",), "]")
        ways, sign = [self.chain()], "+" if opened == "(" else "|"
        while self.front in signs:
            sign = self.take()
            ways.append(self.chain())
        self.expect(closed)
        return Join(sign, ways)

    def expect(self, token: str) -> None:
        if self.take() != token:
            raise WiringError(
                "a bracket of a wiring is not closed",
                expected=token,
                got=" ".join(self.tokens[max(0, self.position - 8) :][:12]),
            )


# --- the tree, which is the network


class Node(nn.Module):
    """A part of a built network: from a tensor, and those kept by name, to a tensor."""

    def grow(self, builder: _Builder, x: Tensor, kept: Kept, following: str = "") -> Tensor:
        """Makes the layers for an input of this shape, and gives their output."""
        raise NotImplementedError

    def forward(self, x: Tensor, kept: Kept) -> Tensor:
        raise NotImplementedError


class Chain(Node):
    """Steps one behind the other."""

    def __init__(self, parts: Sequence[Node]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def grow(self, builder: _Builder, x: Tensor, kept: Kept, following: str = "") -> Tensor:
        for number, part in enumerate(self.parts):
            after = self.parts[number + 1] if number + 1 < len(self.parts) else None
            x = part.grow(builder, x, kept, first_word(after) if after is not None else following)
        return x

    def forward(self, x: Tensor, kept: Kept) -> Tensor:
        for part in self.parts:
            x = part(x, kept)
        return x


class Join(Node):
    """Several ways from one tensor, whose results are added (+), multiplied (*) or put one behind the other (|)."""

    def __init__(self, sign: str, ways: Sequence[Chain]) -> None:
        super().__init__()
        self.sign = sign
        self.ways = nn.ModuleList(ways)

    def grow(self, builder: _Builder, x: Tensor, kept: Kept, following: str = "") -> Tensor:
        results = [way.grow(builder, x, kept, following) for way in self.ways]
        try:
            return self.joined(results)
        except RuntimeError:
            raise WiringError(
                f"the ways of a join ({self.sign}) do not fit each other",
                got=", ".join("x".join(map(str, result.shape[1:])) for result in results),
            ) from None

    def forward(self, x: Tensor, kept: Kept) -> Tensor:
        return self.joined([way(x, kept) for way in self.ways])

    def joined(self, results: Sequence[Tensor]) -> Tensor:
        if self.sign == "|":
            return torch.cat(list(results), 1)
        total = results[0]
        for result in results[1:]:
            total = total + result if self.sign == "+" else total * result
        return total


class Step(Node):
    """One layer, or a name."""

    def __init__(self, words: tuple[str, ...]) -> None:
        super().__init__()
        self.words = words
        self.layer: nn.Module = nn.Identity()

    def grow(self, builder: _Builder, x: Tensor, kept: Kept, following: str = "") -> Tensor:
        word = self.words[0]
        if not word.startswith(":") and not word.endswith(":") and word not in (".", "cut", "switches", "unpool"):
            self.layer = builder.layer(self.words, x, following).eval()
        return self(x, kept)

    def forward(self, x: Tensor, kept: Kept) -> Tensor:
        word, *rest = self.words
        if word.startswith(":"):
            kept[word[1:]] = x
        elif word.endswith(":"):
            return kept[word[:-1]]
        elif word == "cut":
            first, like = int(rest[0]), kept[rest[1]]
            return x[:, :, first : first + like.shape[2], first : first + like.shape[3]]
        elif word == "switches":
            x, kept[rest[0]] = F.max_pool2d(x, 2, 2, return_indices=True)
        elif word == "unpool":
            return F.max_unpool2d(x, kept[rest[0]], 2)
        elif word != ".":
            return self.layer(x)
        return x


class BuiltNetwork(nn.Module):
    """A network from its facts. [N,C,H,W] -> its raw outputs."""

    def __init__(self, tree: Chain, outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.tree = tree
        self.outputs = outputs

    def grow(self, builder: _Builder, x: Tensor) -> None:
        """Makes all layers for an input of this shape."""
        self.tree.grow(builder, x, {"image": x})

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        kept = {"image": images}
        end = self.tree(images, kept)
        return tuple(kept[name] for name in self.outputs) if self.outputs else end


def first_word(node: Node) -> str:
    """The first word of a part, which decides whether a convolution before it has biases."""
    while isinstance(node, Chain):
        node = node.parts[0]
    return node.words[0] if isinstance(node, Step) else ""


# --- layers


@dataclass(slots=True)
class _Marks:
    """The numbers behind a layer's name."""

    kernel: tuple[int, int] = (1, 1)
    numbers: list[float] = field(default_factory=list)
    stride: tuple[int, int] = (1, 1)
    groups: int = 1
    dilation: int = 1
    padding: tuple[int, int, int, int] | None = None  # left, right, top, bottom, as F.pad has it
    words: set[str] = field(default_factory=set)


def _marks(words: Sequence[str]) -> _Marks:
    marks = _Marks()
    for word in words:
        if match := re.fullmatch(r"(\d+)x(\d+)", word):
            marks.kernel = (int(match[1]), int(match[2]))
        elif match := re.fullmatch(r"s(\d+)(?:x(\d+))?", word):
            marks.stride = (int(match[1]), int(match[2] or match[1]))
        elif match := re.fullmatch(r"([gd])(\d+)", word):
            setattr(marks, {"g": "groups", "d": "dilation"}[match[1]], int(match[2]))
        elif match := re.fullmatch(r"p(\d+)(?:x(\d+))?", word):
            y, x = int(match[1]), int(match[2] or match[1])
            marks.padding = (x, x, y, y)
        elif match := re.fullmatch(r"p(\d+),(\d+),(\d+),(\d+)", word):
            top, bottom, left, right = map(int, match.groups())
            marks.padding = (left, right, top, bottom)
        elif re.fullmatch(r"-?\d*\.?\d+(e-?\d+)?(/\d+)?", word):
            above, _, below = word.partition("/")
            marks.numbers.append(float(above) / float(below or 1))
        else:
            marks.words.add(word)
    return marks


class _Builder:
    """Makes the layers of one wiring."""

    def __init__(self, wiring: Wiring, rows: Mapping[str, Mapping[str, Any]]) -> None:
        self.wiring = wiring
        self.rows = rows
        self.shared: dict[str, nn.Module] = {}

    def layer(self, words: Sequence[str], x: Tensor, following: str) -> nn.Module:
        """The layer that a step names, for an input of this shape."""
        if words[-1].startswith("@"):
            if words[-1] not in self.shared:
                self.shared[words[-1]] = self.layer(words[:-1], x, following)
            return self.shared[words[-1]]
        name, *rest = words
        if name in self.rows and not (name in _LAYERS and rest):
            name, *rest = [*_of_row(self.rows[name], x), *rest]
        marks = _marks(rest)
        if name in _CONVOLUTIONS:
            has_bias = "biased" in marks.words or (self.wiring.biases and following != "bn")
            return _convolution(name, marks, x, bias=has_bias and "unbiased" not in marks.words)
        if name == "bn":
            return nn.BatchNorm2d(x.shape[1], eps=self.wiring.eps) if x.ndim == 4 else nn.BatchNorm1d(x.shape[1])
        if name not in _LAYERS:
            known = (*_CONVOLUTIONS, "bn", *_LAYERS)
            raise WiringError(
                f"{self.wiring.fact}: a wiring has no step {name}", expected=" or ".join(known), got=" ".join(words)
            )
        layer = _LAYERS[name](marks, x)
        if isinstance(layer, _Plain):
            layer.words = tuple(words)
        return layer


def _of_row(row: Mapping[str, Any], x: Tensor) -> list[str]:
    """A row of a layer table as a step."""
    kind = row["kind"].partition(" ")[0].partition("+")[0]
    if kind == "linear":
        return ["linear", str(row["out"][0])]
    sides = row.get("kernel", 1)
    sides = [sides, sides] if isinstance(sides, int) else sides
    words = [f"{sides[0]}x{sides[1]}", f"s{row.get('stride', 1)}"]
    pad = row.get("pad", 0)
    words.append("p" + ("x" if len(pad) == 2 else ",").join(map(str, pad)) if isinstance(pad, list) else f"p{pad}")
    if kind in ("maxpool", "avgpool"):
        if "kernel" not in row or sides == list(x.shape[2:]):
            return ["global"] if kind == "avgpool" else ["global", "max"]
        size = x.shape[2] + (sum(pad[:2]) if isinstance(pad, list) and len(pad) == 4 else 2 * pad)
        whole = (size - sides[0]) // row.get("stride", 1) + 1
        rounding = ["ceil"] if row["out"][1] == whole + 1 else []
        return ["max" if kind == "maxpool" else "avg", *words, *rounding]
    if kind == "conv":
        return ["conv", *words, str(row["out"][0]), f"g{row.get('groups', 1)}"]
    raise WiringError(f"a row of the kind {row['kind']} is no step", got=row["name"])


def _convolution(name: str, marks: _Marks, x: Tensor, *, bias: bool) -> nn.Module:
    channels = x.shape[1]
    outputs = int(marks.numbers[0]) if marks.numbers else channels
    if name == "up":
        padding = marks.padding or (0, 0, 0, 0)
        return nn.ConvTranspose2d(
            channels, outputs, marks.kernel, marks.stride, (padding[2], padding[0]), bias=bias, groups=marks.groups
        )
    groups = channels if name == "depthwise" else marks.groups
    layer = nn.Conv2d(channels, outputs, marks.kernel, marks.stride, bias=bias, groups=groups, dilation=marks.dilation)
    if "same" in marks.words:
        return nn.Sequential(_Same(marks, 0.0), layer)
    y, z = (marks.dilation * (side - 1) // 2 for side in marks.kernel)
    padding = marks.padding if marks.padding is not None else (z, z, y, y)
    if padding[0] == padding[1] and padding[2] == padding[3]:
        layer.padding = (padding[2], padding[0])
        layer._reversed_padding_repeated_twice = [padding[0]] * 2 + [padding[2]] * 2
        return layer
    return nn.Sequential(nn.ZeroPad2d(padding), layer)


class _Same(nn.Module):
    """TensorFlow's SAME: as little as gives ceil(H/s) x ceil(W/s), the odd pixel at the bottom and right."""

    def __init__(self, marks: _Marks, value: float) -> None:
        super().__init__()
        self.marks = marks
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, _same(self.marks, x), value=self.value)


def _same(marks: _Marks, x: Tensor) -> list[int]:
    sides = []
    for axis in (1, 0):
        side, stride = x.shape[2 + axis], marks.stride[axis]
        reach = marks.dilation * (marks.kernel[axis] - 1) + 1
        total = max((math.ceil(side / stride) - 1) * stride + reach - side, 0)
        sides += [total // 2, total - total // 2]
    return sides


class _Pooling(nn.Module):
    """Max or mean of windows; zeros of the padding never count unless ``counted``."""

    def __init__(self, marks: _Marks, *, mean: bool) -> None:
        super().__init__()
        self.marks, self.mean = marks, mean

    def forward(self, x: Tensor) -> Tensor:
        marks = self.marks
        ceil = "ceil" in marks.words
        if "same" in marks.words:
            sides = _same(marks, x)
            if not self.mean:
                return F.max_pool2d(F.pad(x, sides, value=-math.inf), marks.kernel, marks.stride)
            total = F.avg_pool2d(F.pad(x, sides), marks.kernel, marks.stride)
            return total / F.avg_pool2d(F.pad(torch.ones_like(x[:1, :1]), sides), marks.kernel, marks.stride)
        left, right, top, bottom = marks.padding or (0, 0, 0, 0)
        if (left, top) != (right, bottom):
            x, left, top = F.pad(x, (left, right, top, bottom), value=0.0 if self.mean else -math.inf), 0, 0
        if not self.mean:
            return F.max_pool2d(x, marks.kernel, marks.stride, (top, left), ceil_mode=ceil)
        counted = "counted" in marks.words
        return F.avg_pool2d(x, marks.kernel, marks.stride, (top, left), ceil_mode=ceil, count_include_pad=counted)


class _Plain(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.words: tuple[str, ...] = ()

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)

    def extra_repr(self) -> str:
        return " ".join(self.words)


def _lrn(marks: _Marks, _: Tensor) -> nn.Module:
    size, alpha, beta, k = marks.numbers
    before = (int(size) - 1) // 2

    def normalised(x: Tensor) -> Tensor:
        squares = F.pad(x * x, (0, 0, 0, 0, before, int(size) - 1 - before))
        total = sum(squares[:, shift : shift + x.shape[1]] for shift in range(int(size)))
        return x / (k + alpha * total) ** beta

    return _Plain(normalised)


def _maxout(marks: _Marks, _: Tensor) -> nn.Module:
    pieces = int(marks.numbers[0])
    return _Plain(lambda x: x.unflatten(1, (-1, pieces)).amax(2))


class _L2Norm(nn.Module):
    """Each pixel's channels over their Euclidean norm, times a trained number a channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x / x.norm(dim=1, keepdim=True) * self.scale[:, None, None]


class _Bilinear(nn.ConvTranspose2d):
    """Bilinear interpolation, which never learns, as a transposed convolution: Long et al. CVPR 2015, section 3.3."""

    def __init__(self, channels: int, side: int, stride: tuple[int, int]) -> None:
        super().__init__(channels, channels, side, stride, bias=False)
        self.weight.requires_grad_(False)

    def reset_parameters(self) -> None:
        """Each channel from itself alone: a pyramid that is 1 in the middle, and 0 a stride away from it."""
        side = self.kernel_size[0]
        stride = (side + 1) // 2
        line = [1 - abs(place - (side - 1) / 2) / stride for place in range(side)]
        kernel = torch.outer(torch.tensor(line), torch.tensor(line))
        with torch.no_grad():
            self.weight.copy_(torch.eye(self.in_channels)[:, :, None, None] * kernel)


class _Linear(nn.Linear):
    """A dense layer on all values of its input."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1))


def _option_a(marks: _Marks, _: Tensor) -> nn.Module:
    channels, stride = int(marks.numbers[0]), marks.stride[0]
    return _Plain(lambda x: F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, channels - x.shape[1])))


class _Offset(nn.Module):
    """Adds a trained number to each value of a map: a bias for each channel and position."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.empty(shape))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


def _spp(marks: _Marks, _: Tensor) -> nn.Module:
    """The best value of each bin of several grids: from the floor of its upper edge to the ceiling of its lower one."""

    def pyramid(x: Tensor) -> Tensor:
        (height, width), values = x.shape[2:], []
        for level in map(int, marks.numbers):
            bins = [
                x[:, :, i * height // level : -(-(i + 1) * height // level), j * width // level : -(-(j + 1) * width // level)]
                for i in range(level)
                for j in range(level)
            ]
            values.append(torch.stack([part.amax((2, 3)) for part in bins], 2).flatten(1))
        return torch.cat(values, 1)

    return _Plain(pyramid)


def _global(marks: _Marks, _: Tensor) -> nn.Module:
    if "max" in marks.words:
        return _Plain(lambda x: x.amax((2, 3), keepdim=True))
    return _Plain(lambda x: x.mean((2, 3), keepdim=True))


def _crop(marks: _Marks, _: Tensor) -> nn.Module:
    cut = int(marks.numbers[0])
    return _Plain(lambda x: x[:, :, cut : x.shape[2] - cut, cut : x.shape[3] - cut])


def _reorganised(marks: _Marks, _: Tensor) -> nn.Module:
    """Every n-th pixel of every n-th row as a map of its own; the shifts come first, then the channels."""
    n = int(marks.numbers[0])
    return _Plain(lambda x: torch.cat([x[:, :, i::n, j::n] for i in range(n) for j in range(n)], 1))


def _boxes(marks: _Marks, _: Tensor) -> nn.Module:
    values = int(marks.numbers[0])
    return _Plain(lambda x: x.permute(0, 2, 3, 1).reshape(len(x), -1, values))


def _reorganised_by_darknet(x: Tensor) -> Tensor:
    """What reorg_cpu of Darknet's blas.c makes of a map, element by element: the output's place for each input's."""
    n, channels, height, width = x.shape
    flat = torch.empty_like(x).flatten(1)
    c, j, i = torch.meshgrid(torch.arange(channels), torch.arange(height), torch.arange(width), indexing="ij")
    less = channels // 4
    row, column = j * 2 + (c // less) // 2, i * 2 + (c // less) % 2
    source = column + width * 2 * (row + height * 2 * (c % less))
    if x.device.type != "meta":
        flat[:, :] = x.flatten(1)[:, source.flatten()]
    return flat.reshape(n, 4 * channels, height // 2, width // 2)


_CONVOLUTIONS = ("conv", "depthwise", "up")
_LAYERS: Mapping[str, Callable[[_Marks, Tensor], nn.Module]] = {
    "max": lambda marks, x: _Pooling(marks, mean=False),
    "avg": lambda marks, x: _Pooling(marks, mean=True),
    "global": _global,
    "linear": lambda marks, x: _Linear(math.prod(x.shape[1:]), int(marks.numbers[0]), bias="unbiased" not in marks.words),
    "lrn": _lrn,
    "l2norm": lambda marks, x: _L2Norm(x.shape[1]),
    "relu": lambda marks, x: nn.ReLU(),
    "relu6": lambda marks, x: nn.ReLU6(),
    "leaky": lambda marks, x: nn.LeakyReLU(marks.numbers[0]),
    "prelu": lambda marks, x: nn.PReLU(x.shape[1]),
    "sigmoid": lambda marks, x: nn.Sigmoid(),
    "tanh": lambda marks, x: nn.Tanh(),
    "gn": lambda marks, x: nn.GroupNorm(int(marks.numbers[0]), x.shape[1]),
    "resize": lambda marks, x: _Plain(
        lambda x: F.interpolate(x, scale_factor=marks.numbers[0], mode="bilinear", align_corners=False)
    ),
    "swish": lambda marks, x: nn.SiLU(),
    "maxout": _maxout,
    "times": lambda marks, x: _Plain(lambda values: values * marks.numbers[0]),
    "crop": _crop,
    "offset": lambda marks, x: _Offset(x.shape[1:]),
    "spp": _spp,
    "bilinear": lambda marks, x: _Bilinear(x.shape[1], int(marks.numbers[0]), marks.stride),
    "moved": lambda marks, x: _Plain(lambda x: F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]),
    "boxes": _boxes,
    "part": lambda marks, x: _Plain(lambda x: x[:, int(marks.numbers[0]) : int(marks.numbers[1])]),
    "reorg_darknet": lambda marks, x: _Plain(_reorganised_by_darknet),
    "flat": lambda marks, x: nn.Flatten(),
    "option_a": _option_a,
    "reorg": _reorganised,
    "nearest": lambda marks, x: nn.Upsample(scale_factor=marks.numbers[0], mode="nearest"),
    "pad": lambda marks, x: nn.ConstantPad2d(marks.padding or 0, -math.inf if "-inf" in marks.words else 0.0),
}
