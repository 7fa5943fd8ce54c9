"""Whether two programs are the same network, told from the values that they compute; and where they part, if not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from visus.analysis.content_weights import ContentWeights, Draw
from visus.analysis.network_trace import trace
from visus.analysis.steps import Step, Trace
from visus.errors import ShapeError, UsageError


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two networks part.

    Args:
        after: our last layer, on the way there, that gives what a layer of theirs gives; "" for the input.
        our_layer, their_layer: the layers that differ; "" where one of the networks has nothing there.
        words: what differs.
        times: at how many places.
    """

    after: str
    our_layer: str
    their_layer: str
    words: str
    times: int = 1

    def __str__(self) -> str:
        place = self.our_layer or self.their_layer
        again = f" ({self.times} times)" if self.times > 1 else ""
        return f"{f'in {place} ' if place else ''}{self.words}{again}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of running two networks with equal weights.

    Args:
        ours, theirs: the networks' names.
        differences: in the order in which they come; none for the same network.
        largest: the largest difference of an output relative to the largest output, if all layers that differ do as
            ours; None if the networks go apart for good.
    """

    ours: str
    theirs: str
    differences: tuple[Difference, ...]
    largest: float | None

    @property
    def same(self) -> bool:
        """Whether both give the same outputs."""
        return not self.differences

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**asdict(self), "same": self.same, "words": str(self)}

    def __str__(self) -> str:
        if self.same:
            return f"the same network: largest difference {self.largest:.0e} of the output"
        after = self.differences[0].after
        layer = f"the {after}" if " " in after else f"layer {after}"
        start = f"the same up to {layer}" if after else "different from the first layer on"
        end = "" if self.largest is None else f"; but for that the same network, to {self.largest:.0e} of the output"
        return f"{start}; {'; '.join(map(str, self.differences))}{end}"


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
    itself. If one does, both run again, and a layer of theirs that differs from one of ours on the same input gives
    what ours gives, so that the next difference shows. The networks stay as they are. What runs in a training only is
    not judged.

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
    our_run, their_run = (
        _trace(network, image, weights, name) for network, name in zip((ours, theirs), names, strict=True)
    )
    if parting(our_run, their_run) is None:
        return Judgement(*names, (), _largest(our_run, their_run))
    pairs: dict[int, Draw] = {}
    if len({kind for kind, _, _ in our_run.uses}) < len(our_run.uses):
        alike = trace(ours, image, weights, keep=True, alike=True)
        pairs = _paired(our_run, alike, trace(theirs, image, weights, replace=Follower(alike, their_run), alike=True))
    our_run = trace(ours, image, weights, keep=True)
    follower = Follower(our_run, their_run)
    their_run = trace(theirs, image, weights, replace=follower, pairs=pairs)
    found = follower.differences()
    rest = parting(our_run, their_run)
    if rest is not None:
        return Judgement(*names, (*found, rest), None)
    return Judgement(*names, found, _largest(our_run, their_run))


def _paired(run: Trace, ours: Trace, theirs: Trace) -> dict[int, Draw]:
    """Which weights their twins get: those of our twin from which the same values follow, whatever the order.

    Args:
        run: ours, in which twins got weights of their own.
        ours, theirs: the runs in which twins got equal weights.
    """
    twins: defaultdict[Hashable, list[int]] = defaultdict(list)
    for use, (kind, _, _) in enumerate(ours.uses):
        twins[kind].append(use)
    pairs: dict[int, Draw] = {}
    for use, (kind, _, after) in enumerate(theirs.uses):
        if candidates := twins[kind]:
            best = min(candidates, key=lambda ours_use: (ours.uses[ours_use][2] ^ after).bit_count())
            candidates.remove(best)
            pairs[use] = run.uses[best][1]
    return pairs


def _trace(network: nn.Module, image: Tensor, weights: ContentWeights, name: str) -> Trace:
    try:
        result = trace(network, image, weights)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError) as error:
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


def parting(ours: Trace, theirs: Trace) -> Difference | None:
    """The first place where two runs part for good; None if they give the same."""
    if ours.outputs.keys() == theirs.outputs.keys():
        return None
    common = ours.values & theirs.values
    our_way, their_way = _Way(ours, common), _Way(theirs, common)
    their_step = next(iter(their_way.parting), None)
    our_step = _counterpart(their_step, our_way, their_way)
    after = our_way.before(our_step) if our_step else their_way.before(their_step) if their_step else ""
    if our_step and their_step:
        words = difference_in_words(our_step, their_step, our_way.origin, their_way.origin)
    elif their_step:
        words = f"they go on with {_name(their_step)}"
    elif our_step:
        words = f"we go on with {_name(our_step)}"
    else:
        words = "they give other ones of the same values"
    return Difference(after, _place(our_step), _place(their_step), words)


def _largest(ours: Trace, theirs: Trace) -> float:
    return max(_difference(ours.outputs[number], theirs.outputs[number]) for number in ours.outputs)


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
        roots: set[int] = set()
        seen: set[int] = set()
        values = list(step.inputs)
        while values:
            value = values.pop()
            if value in self.common:
                roots.add(value)
            elif value not in seen and value in self.makers:
                values += self.makers[value].inputs
            seen.add(value)
        return frozenset(roots)

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


class Follower:
    """Asked at each step of theirs: a step that differs from one of ours on the same input gives what ours gives.

    Args:
        ours: our run, with its values kept.
        theirs: their first run, which tells where they add a bias by an operator of its own.
    """

    def __init__(self, ours: Trace, theirs: Trace) -> None:
        self.ours = ours
        self.biases = {(step.path, step.kind): step.settings.get("bias", "") for step in theirs.steps}
        self.way = _Way(ours, frozenset())
        self.users: defaultdict[tuple[int, ...], list[Step]] = defaultdict(list)
        for step in ours.steps:
            self.users[step.inputs].append(step)
        self.given: set[int] = set()  # the values that they came to by themselves
        self.taken: set[int] = set()  # our steps whose values they were given
        self.instead: dict[tuple[tuple[int, ...], int], Step] = {}  # our steps, by what theirs took and gave
        self.found: dict[tuple[str, str], Difference] = {}

    def __call__(self, their: Step) -> Tensor | None:
        bias = self.biases.get((their.path, their.kind)) or their.settings.get("bias", "")
        their = replace(their, settings={**their.settings, **({"bias": bias} if bias else {})})
        known = their.output in self.ours.values or (their.output in self.ours.inner and bias != "no")
        if known and their.output not in self.given:
            self.given.add(their.output)
            return None
        candidates = [
            step
            for step in self.users[their.inputs]
            if step.output not in self.given and id(step) not in self.taken
            if step.shape == their.shape and _alike(step, their)
        ]
        if known:
            twins = [step for step in candidates if not _settings(step, their) and step.kind == their.kind]
            return self._of(twins[0]) if twins and their.kind in _WITH_WEIGHTS else None
        if candidates:
            best = max(candidates, key=lambda step: (step.kind == their.kind, -len(_settings(step, their))))
            self.instead.setdefault((their.inputs, their.output), best)
            our: Step | None = best
        else:  # twins of equal weights are one step of ours
            our = self.instead.get((their.inputs, their.output))
        if our is not None:
            self._note(our, their, difference_in_words(our, their, self.way.origin, str))
            return self._of(our)
        if their.kind in _LEFT_OUT and their.inputs[0] in self.ours.kept:
            more = "add a bias" if their.kind == "bias" else f"have {_name(their)}"
            self._note(None, their, f"they {more}, we do not")
            return self.ours.kept[their.inputs[0]]
        return None

    def _of(self, our: Step) -> Tensor:
        self.taken.add(id(our))
        return self.ours.kept[our.output]

    def _note(self, our: Step | None, their: Step, words: str) -> None:
        key = (their.kind, words)
        if key in self.found:
            self.found[key] = replace(self.found[key], times=self.found[key].times + 1)
        else:
            after = self.way.before(our) if our else self.way.origin(their.inputs[0])
            self.found[key] = Difference(after, _place(our), _place(their), words)

    def differences(self) -> tuple[Difference, ...]:
        """What was found, in the order in which it came."""
        return tuple(self.found.values())


_LEFT_OUT = ("bias", "ReLU", "clipping")
"""What one network may have more, so that what follows can be the same."""

_WITH_WEIGHTS = ("convolution", "transposed convolution", "linear")

_ACTIVATIONS = ("ReLU", "PReLU", "leaky ReLU", "clipping", "SiLU", "sigmoid", "tanh", "gelu", "hardswish", "elu")


def _alike(our: Step, their: Step) -> bool:
    """Whether one step may stand for the other: steps of one kind, with weights of one shape, or of one family."""
    if our.kind in _ACTIVATIONS:
        return their.kind in _ACTIVATIONS
    if "pooling" in our.kind:
        return "pooling" in their.kind
    shaped = ("kernel", "groups", "channels") if our.kind in _WITH_WEIGHTS else ()
    return our.kind == their.kind and all(our.settings.get(name) == their.settings.get(name) for name in shaped)


def difference_in_words(
    our: Step, their: Step, our_origin: Callable[[int], str], their_origin: Callable[[int], str]
) -> str:
    """What differs between two steps.

    Args:
        our, their: the steps.
        our_origin, their_origin: what names the layer that made a value.
    """
    if our.kind == their.kind:
        texts = _settings(our, their)
        if len(texts) == 1:
            name, left, right = texts[0]
            if name == "padding":
                return f"they pad {right}, we {left}"
            if "yes" in (left, right):
                return f"they have a {name}, we have none" if right == "yes" else f"they have no {name}, we have one"
            return f"they have {name} {right}, we {left}"
        if texts:
            left, right = (_listed([f"{name} {text[side]}" for name, *text in texts]) for side in (0, 1))
            return f"they have {right}, we {left}"
        if our.inputs != their.inputs:
            left = ", ".join(our_origin(value) or "the input" for value in our.inputs)
            right = ", ".join(their_origin(value) or "the input" for value in their.inputs)
            if sorted(our.inputs) == sorted(their.inputs):
                return f"they take the same in another order, namely {right}, we {left}"
            return f"they take other inputs, namely {right}, we {left}"
    left, right = _apart(_name(our), _name(their))
    if left != right:
        return f"they have {right}, we {left}"
    return f"they make other values of the same inputs ({our.kind})"


def _listed(texts: Sequence[str]) -> str:
    return f"{', '.join(texts[:-1])} and {texts[-1]}"


def _settings(our: Step, their: Step) -> list[tuple[str, str, str]]:
    """The settings of a window or of a normalisation that differ: the name, ours and theirs."""
    texts = []
    if our.padding != their.padding:
        texts.append(("padding", _sides(our.padding), _sides(their.padding)))
    for name in dict.fromkeys((*our.settings, *their.settings)):
        left, right = our.settings.get(name, "none"), their.settings.get(name, "none")
        if name == "arguments" or left == right:
            continue
        if name != "padded with" or (any(our.padding) and any(their.padding)):
            texts.append((name, left, right))
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
    if step.layer:
        return step.layer
    arguments = step.settings.get("arguments")
    return f"{step.kind}{f' ({arguments})' if arguments else ''}{f' in {step.path}' if step.path else ''}"


def _place(step: Step | None) -> str:
    """A layer's name; for an operator outside of layers, its kind and where it is; "" for None."""
    if step is None:
        return ""
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
