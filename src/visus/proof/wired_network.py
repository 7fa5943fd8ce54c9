"""Networks as trees of steps, made from a wiring and the rows of a layer table (see :mod:`visus.proof.wiring`)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visus.proof.published import fact
from visus.proof.wired_layers import (
    CONVOLUTIONS,
    Bilinear,
    convolution,
    read_marks,
    with_weights,
    without_weights,
)
from visus.proof.wired_regions import inside, pooled, proposed, voted, warped
from visus.proof.wiring import Wiring, WiringError, wirings, written_out

Kept = dict[str, Tensor]
_TOKEN = re.compile(r"\s*(>|\(|\)|\[|\]|\{|\}|\||\+(?=\s)|\*(?=\s)|\d+x(?=\s+[^\d>|)\]]*[a-z({\[])|[^\s>()\[\]{}|]+)")
_OF_REGIONS = ("regions", "region", "warp", "inside", "propose", "vote")
_TIMES = re.compile(r"^\d+x$")


def build_from_facts(id_: str, device: str = "cpu") -> BuiltNetwork:
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
        raise WiringError(
            f"the facts {id_} do not say how the layers follow on each other",
            expected=f"one of {len(known)} with a wiring",
            got=id_,
            remedy="list them with: visus.proof.wiring.wirings()",
        )
    entry = fact(id_)
    return build_wiring(known[id_], entry.get("layers", ()), entry["input"], device)


def build_wiring(
    wiring: Wiring, rows: Sequence[Mapping[str, Any]], size: Sequence[int], device: str = "cpu"
) -> BuiltNetwork:
    """Builds the network of a wiring.

    Args:
        wiring: how the layers follow on each other.
        rows: of the layer table, as facts have them.
        size: (C,H,W) of the input for which the rows state their shapes.
        device: "meta" for a network without values.

    Raises:
        WiringError: if the text cannot be read, or its layers do not fit each other or the rows.
    """
    tree = _Parser(written_out(wiring.network, wiring.let, rows)).whole()
    with torch.device("meta"):
        network = BuiltNetwork(tree, wiring.outputs)
        network.grow(_Builder(wiring, {row["name"]: row for row in rows}), torch.empty(1, *size))
    network.eval()
    if device == "meta":
        return network
    network.to_empty(device=device)
    for layer in network.modules():
        if isinstance(layer, Bilinear):
            layer.reset_parameters()
    return network


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
        while self.front and self.front not in [">", "(", ")", "[", "]", "{", "}", "|", "+", "*"]:
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

    title = "chain"
    """What judgements call it, behind its number."""

    def grow(self, builder: _Builder, x: Tensor, kept: Kept, following: str = "") -> Tensor:
        """Makes the layers for an input of this shape, and gives their output."""
        raise NotImplementedError

    def forward(self, x: Tensor, kept: Kept) -> Tensor:
        """The output for this input."""
        raise NotImplementedError


class Chain(Node):
    """Steps one behind the other."""

    def __init__(self, parts: Sequence[Node]) -> None:
        super().__init__()
        self.steps = tuple(parts)
        for number, part in enumerate(parts, start=1):
            self.add_module(f"{number}_{part.title}", part)

    def grow(self, builder: _Builder, x: Tensor, kept: Kept, following: str = "") -> Tensor:
        for number, part in enumerate(self.steps):
            after = self.steps[number + 1] if number + 1 < len(self.steps) else None
            x = part.grow(builder, x, kept, first_word(after) if after is not None else following)
        return x

    def forward(self, x: Tensor, kept: Kept) -> Tensor:
        for part in self.steps:
            x = part(x, kept)
        return x


class Join(Node):
    """Several ways from one tensor, whose results are added (+), multiplied (*) or put one behind the other (|)."""

    def __init__(self, sign: str, ways: Sequence[Chain]) -> None:
        super().__init__()
        self.sign = sign
        self.chains = tuple(ways)
        self.title = {"+": "sum", "*": "product", "|": "joined"}[sign]
        for number, way in enumerate(ways, start=1):
            self.add_module(f"way_{number}", way)

    def grow(self, builder: _Builder, x: Tensor, kept: Kept, following: str = "") -> Tensor:
        results = [way.grow(builder, x, kept, following) for way in self.chains]
        try:
            return self.joined(results)
        except RuntimeError:
            raise WiringError(
                f"the ways of a join ({self.sign}) do not fit each other",
                got=", ".join("x".join(map(str, result.shape[1:])) for result in results),
            ) from None

    def forward(self, x: Tensor, kept: Kept) -> Tensor:
        return self.joined([way(x, kept) for way in self.chains])

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
        self.title = words[0].replace(".", "_")
        self.layer: nn.Module = nn.Identity()

    def grow(self, builder: _Builder, x: Tensor, kept: Kept, following: str = "") -> Tensor:
        word = self.words[0]
        if (
            not word.startswith(":")
            and not word.endswith(":")
            and word not in (".", "cut", "switches", "unpool", *_OF_REGIONS)
        ):
            self.layer = builder.layer(self.words, x, following).eval()
        return self.forward(x, kept)

    def forward(self, x: Tensor, kept: Kept) -> Tensor:
        word, *rest = self.words
        if word.startswith(":"):
            kept[word[1:]] = x
        elif word.endswith(":"):
            return kept[word[:-1]]
        elif word == "cut":
            first, (height, width) = int(rest[0]), kept[rest[1]].shape[2:]
            return x[:, :, first : first + height, first : first + width]
        elif word in _OF_REGIONS:
            return self.of_regions(x, kept)
        elif word == "switches":
            x, kept[rest[0]] = F.max_pool2d(x, 2, 2, return_indices=True)
        elif word == "unpool":
            return F.max_unpool2d(x, kept[rest[0]], [2, 2])
        elif word != ".":
            y: Tensor = self.layer(x)
            return y
        return x

    def of_regions(self, x: Tensor, kept: Kept) -> Tensor:
        """What the steps of networks with two stages give."""
        word, *rest = self.words
        image = kept["image"]
        if word == "regions":
            map_, scores, offsets, name = rest[1:]
            kept[name] = proposed(kept[scores], kept[offsets], image.shape[2:])
            return pooled(kept[map_], kept[name], int(rest[0]))
        if word == "region":
            kept[rest[1]] = image.new_tensor([[0, 0, image.shape[3], image.shape[2]]])
            return pooled(x, kept[rest[1]], int(rest[0]))
        if word in ("warp", "inside"):
            name = rest[-1]
            kept[name] = image.new_tensor([[0, 0, image.shape[3], image.shape[2]]])
            whole = (0, 0, image.shape[3], image.shape[2])
            return warped(x, whole, int(rest[0]), int(rest[1])) if word == "warp" else inside(x, whole)
        if word == "propose":
            kept[rest[2]] = proposed(kept[rest[0]], kept[rest[1]], image.shape[2:])
            return x
        return voted(x, kept[rest[1]], int(rest[0]))


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
        node = node.steps[0]
    return node.words[0] if isinstance(node, Step) else ""


# --- from a step to its layer


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
        if name in self.rows and not (rest and rest[0][0].isdigit()):
            name, *rest = [*_of_row(self.rows[name], x), *rest]
        marks = read_marks(rest)
        if name in CONVOLUTIONS:
            has_bias = "biased" in marks.words or (self.wiring.biases and following != "bn")
            return convolution(name, marks, x, bias=has_bias and "unbiased" not in marks.words)
        if name == "bn":
            return nn.BatchNorm2d(x.shape[1], eps=self.wiring.eps) if x.ndim == 4 else nn.BatchNorm1d(x.shape[1])
        layer = with_weights(name, marks, x) or without_weights(name, marks)
        if layer is None:
            raise WiringError(f"{self.wiring.fact}: a wiring has no step {name}", got=" ".join(words))
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
