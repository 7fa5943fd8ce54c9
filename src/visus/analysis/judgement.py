"""Whether two programs are the same network, told from the values that they compute; and where they part, if not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from visus.analysis.content_weights import ContentWeights
from visus.analysis.network_trace import Step, Trace, trace
from visus.errors import ShapeError, UsageError


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of running two networks with equal weights.

    Args:
        ours, theirs: the networks' names.
        same: whether they give the same outputs.
        largest: the largest difference of an output, relative to the largest output; None where the networks differ.
        after: our last layer, on the way to the difference, that gives what a layer of theirs gives; "" for the input.
        our_layer, their_layer: where the networks part; "" where one of them has nothing there.
        difference: what differs there, in words; "" for the same network.
    """

    ours: str
    theirs: str
    same: bool
    largest: float | None = None
    after: str = ""
    our_layer: str = ""
    their_layer: str = ""
    difference: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        if self.same:
            return f"the same network: largest difference {self.largest:.0e} of the output"
        after = f"the {self.after}" if " " in self.after else f"layer {self.after}"
        start = f"the same up to {after}" if self.after else "different from the first layer on"
        place = self.our_layer or self.their_layer
        return f"{start}; {f'in {place} ' if place else ''}{self.difference}"


def compare_networks(
    ours: nn.Module,
    theirs: nn.Module,
    image: Tensor | tuple[int, int, int],
    *,
    names: tuple[str, str] = ("ours", "theirs"),
    tolerance: float = 1e-9,
) -> Judgement:
    """Judges whether two networks are the same, whatever their layers are called and however they are written.

    Both run once in double precision and eval mode, with weights that follow from what each layer sees
    (:mod:`visus.analysis.content_weights`); then equal layers give equal values, and the first that differs shows
    itself. The networks stay as they are. What runs in a training only is not judged.

    Args:
        ours, theirs: any networks.
        image: the input [1,C,H,W], or (C,H,W) of one that is drawn.
        names: of the networks.
        tolerance: the largest difference of equal values, relative to their norm.

    Returns:
        A :class:`Judgement`: print it.

    Raises:
        ShapeError: if one of the networks cannot take such an input.
        UsageError: if one of them gives no tensor that depends on the image.
    """
    if not isinstance(image, Tensor):
        generator = torch.Generator().manual_seed(0)
        image = torch.rand((1, *image), generator=generator, dtype=torch.float64) * 4 - 2
    weights = ContentWeights(tolerance)
    traces = [_trace(network, image, weights, name) for network, name in zip((ours, theirs), names, strict=True)]
    return judged(traces[0], traces[1], names)


def _trace(network: nn.Module, image: Tensor, weights: ContentWeights, name: str) -> Trace:
    try:
        result = trace(network, image, weights)
    except (RuntimeError, ValueError, IndexError) as error:
        raise ShapeError(
            f"{name} cannot take an input of {'x'.join(map(str, image.shape[1:]))}",
            got=str(error).splitlines()[0] if str(error) else type(error).__name__,
            remedy="choose another input size or number of channels",
        ) from error
    if not result.outputs:
        raise UsageError(
            f"{name} gives no tensor that depends on the image", remedy="compare networks with raw outputs"
        )
    return result


def judged(ours: Trace, theirs: Trace, names: tuple[str, str]) -> Judgement:
    """Judges two runs with one table of weights."""
    if ours.outputs.keys() == theirs.outputs.keys():
        largest = max(_difference(ours.outputs[number], theirs.outputs[number]) for number in ours.outputs)
        return Judgement(*names, same=True, largest=largest)
    common = ours.values & theirs.values
    our_way, their_way = _Way(ours, common), _Way(theirs, common)
    their_step = next(iter(their_way.parting), None)
    our_step = _counterpart(their_step, our_way, their_way)
    after = our_way.before(our_step) if our_step else their_way.before(their_step) if their_step else ""
    if our_step and their_step:
        difference = _differences(our_step, their_step, our_way, their_way)
    elif their_step:
        difference = f"they go on with {_name(their_step)}"
    elif our_step:
        difference = f"we go on with {_name(our_step)}"
    else:
        difference = "they give other ones of the same values"
    return Judgement(
        *names,
        same=False,
        after=after,
        our_layer=_place(our_step) if our_step else "",
        their_layer=_place(their_step) if their_step else "",
        difference=difference,
    )


def _difference(left: Tensor, right: Tensor) -> float:
    largest = float((left.reshape(-1) - right.reshape(-1)).abs().max())
    return largest / (float(right.abs().max()) or 1.0)


class _Way:
    """How one network comes from the values that both have to an output that only it has.

    Args:
        run: of the network.
        common: the values that both networks have.
    """

    def __init__(self, run: Trace, common: frozenset[int]) -> None:
        self.run = run
        self.common = common
        self.makers: dict[int, Step] = {}
        for step in run.steps:
            self.makers.setdefault(step.output, step)
        users: defaultdict[int, list[Step]] = defaultdict(list)
        for step in run.steps:
            for value in step.inputs:
                users[value].append(step)
        comes_back = set(common)  # values that are common, or become common later on
        needed = set(run.outputs) - common
        for step in reversed(run.steps):
            if any(user.output in comes_back for user in users[step.output]):
                comes_back.add(step.output)
            if step.output in needed:
                needed.update(step.inputs)
        lost = [step for step in run.steps if step.output in needed and step.output not in comes_back]
        values = {step.output for step in lost}
        self.parting = [step for step in lost if not values & set(step.inputs)]
        """The first steps from which no way leads back."""

    def roots(self, step: Step) -> frozenset[int]:
        """The nearest common values that a step comes from."""
        return self._roots(step.inputs, frozenset())

    def _roots(self, values: Sequence[int], known: frozenset[int]) -> frozenset[int]:
        roots = known
        for value in values:
            roots |= {value} if value in self.common else self._roots(self.makers[value].inputs, roots)
        return roots

    def before(self, step: Step) -> str:
        """The layer that made what a step takes first, outside of the step's own layer; "" for the input."""
        value = step.inputs[0]
        while value in self.makers and step.layer and self.makers[value].path == step.path:
            value = self.makers[value].inputs[0]
        return self.origin(value)

    def origin(self, value: int) -> str:
        """Who made a value, such as "conv1" or "sum in layer1"; "" for the input."""
        maker = self.makers.get(value)
        return "" if maker is None else _place(maker)


def _counterpart(step: Step | None, ours: _Way, theirs: _Way) -> Step | None:
    """Of the steps where we part, the one that is most like theirs."""
    if step is None:
        return next(iter(ours.parting), None)
    roots = theirs.roots(step)

    def likeness(candidate: Step) -> tuple[int, bool, bool]:
        return len(roots & ours.roots(candidate)), candidate.kind == step.kind, candidate.shape == step.shape

    return max(ours.parting, key=likeness, default=None)


def _differences(our: Step, their: Step, ours: _Way, theirs: _Way) -> str:
    """What differs between two steps, in words."""
    if our.kind == their.kind:
        texts = _settings(our, their)
        if texts:
            return f"they {' and '.join(text for text, _ in texts)}, we {' and '.join(text for _, text in texts)}"
        if our.inputs != their.inputs:
            left, right = (
                ", ".join(way.origin(value) or "the input" for value in step.inputs)
                for way, step in ((ours, our), (theirs, their))
            )
            if sorted(our.inputs) == sorted(their.inputs):
                return f"they take the same in another order, namely {right}, we {left}"
            return f"they take other inputs, namely {right}, we {left}"
    left, right = _apart(_name(our), _name(their))
    if left != right:
        return f"they have {right}, we {left}"
    return f"they make other values of the same inputs ({our.kind})"


def _settings(our: Step, their: Step) -> list[tuple[str, str]]:
    """The settings of a window or of a normalisation that differ: what they do, and what we do."""
    texts = []
    if our.padding != their.padding:
        texts.append((f"pad {_sides(their.padding)}", _sides(our.padding)))
    for name in dict.fromkeys((*our.settings, *their.settings)):
        left, right = our.settings.get(name, "none"), their.settings.get(name, "none")
        if name == "arguments" or left == right:
            continue
        if name == "padded with" and not (any(our.padding) and any(their.padding)):
            continue
        if "yes" in (left, right):
            texts.append(
                (f"{'have' if right == 'yes' else 'have no'} {name}", "have it" if left == "yes" else "have none")
            )
        else:
            texts.append((f"have {name} {right}", left))
    return texts


def _apart(left: str, right: str) -> tuple[str, str]:
    """Two layers in words; of two of one kind, only the settings that differ."""
    (one, _, ours), (other, _, theirs) = left.partition("("), right.partition("(")
    if one != other or not ours:
        return left, right
    our_settings, their_settings = ours.removesuffix(")").split(", "), theirs.removesuffix(")").split(", ")
    only_left = [text for text in our_settings if text not in their_settings]
    only_right = [text for text in their_settings if text not in our_settings]
    return f"{one}({', '.join(only_left)})", f"{one}({', '.join(only_right)})"


def _name(step: Step) -> str:
    arguments = step.settings.get("arguments")
    return step.layer or (f"{step.kind} ({arguments})" if arguments else step.kind)


def _place(step: Step) -> str:
    """A layer's name; for an operator outside of layers, its kind and where it is."""
    if step.layer:
        return step.path
    return f"{step.kind} in {step.path}" if step.path else step.kind


def _sides(padding: Sequence[int]) -> str:
    """The padding of a window in words, such as "1", or "0 before and 1 after"."""
    above, below, left, right = padding or (0, 0, 0, 0)
    if above == below and left == right:
        return str(above) if above == left else f"{above}x{left}"
    if above == left and below == right:
        return f"{above} before and {below} after"
    return f"{above} above, {below} below, {left} left, {right} right"
