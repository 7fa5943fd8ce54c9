"""Runs a network with weights from a table, and notes what each operator made of what."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from visus.analysis.content_weights import LEVEL, ContentWeights, Draw
from visus.analysis.operations import FRESH, TensorTable
from visus.analysis.steps import KINDS_IN_WORDS, Step, Trace, after_padding, joined_steps, settings_of, tensors_of

aten = torch.ops.aten

Replace = Callable[[Step], Tensor | None]
"""What is to be put in the place of a step's output; None for nothing."""


def trace(
    network: nn.Module,
    image: Tensor,
    weights: ContentWeights,
    *,
    keep: bool = False,
    replace: Replace | None = None,
    alike: bool = False,
    pairs: Mapping[int, Draw] | None = None,
) -> Trace:
    """Runs a network in eval mode and double precision, its learned values drawn from a table; leaves it as it was.

    Drawn are all parameters, and the statistics of batch normalisation. Parameters that do not learn stay as they are,
    unless none learns.

    Args:
        network: any network.
        image: [1,C,H,W].
        weights: the table, shared by networks that are to be compared.
        keep: whether the steps' outputs are kept, which takes memory.
        replace: asked at each step, which sees its inputs without their padding.
        alike, pairs: of :meth:`ContentWeights.begin`.
    """
    recorder = _Recorder(weights, keep, replace)
    weights.begin(alike=alike, pairs=pairs or {})
    with ExitStack() as stack:
        for owner, parameter in enumerate(stack.enter_context(_stand_ins(network))):
            recorder.owners[parameter] = owner
        stack.enter_context(_watched(network, recorder))
        stack.enter_context(torch.no_grad())
        image = image.detach().double().clone()
        recorder.see(image)
        with recorder:
            output = network(image)
        outputs = {recorder.number(leaf): leaf for leaf in tensors_of(output) if recorder.sees(leaf)}
    steps = tuple(joined_steps(recorder.steps))
    uses = tuple((*use, after) for use, after in zip(weights.uses, recorder.after_uses(), strict=True))
    return Trace(weights.values.number(image), steps, outputs, frozenset(recorder.inner), recorder.kept, uses)


@contextmanager
def _stand_ins(network: nn.Module) -> Iterator[list[Tensor]]:
    """Context: puts zeros that take no memory in the place of the learned parameters, and doubles all other values."""
    kept: list[tuple[dict[str, Any], dict[str, Any]]] = []
    learn = any(parameter.requires_grad for parameter in network.parameters())
    new: dict[int, Tensor] = {}
    learned: list[Tensor] = []
    for module in network.modules():
        both: tuple[dict[str, Any], dict[str, Any]] = (module._parameters, module._buffers)
        for tensors in both:
            kept.append((tensors, dict(tensors)))
            for name, value in tensors.items():
                if value is None:
                    continue
                if id(value) not in new:
                    if isinstance(value, nn.Parameter) and value.requires_grad >= learn:
                        zeros = torch.zeros((), dtype=torch.float64).expand(value.shape)
                        new[id(value)] = nn.Parameter(zeros, requires_grad=value.requires_grad)
                        learned.append(new[id(value)])
                    else:
                        new[id(value)] = value.detach().double() if value.is_floating_point() else value.detach()
                        if isinstance(value, nn.Parameter):
                            new[id(value)] = nn.Parameter(new[id(value)], requires_grad=False)
                tensors[name] = new[id(value)]
    try:
        yield learned
    finally:
        for tensors, before in kept:
            tensors.update(before)


@contextmanager
def _watched(network: nn.Module, recorder: _Recorder) -> Iterator[None]:
    """Context: the network is in eval mode, and tells the recorder which layer is running."""
    modes = {module: module.training for module in network.modules()}
    hooks = []
    for path, module in network.named_modules():
        module.training = False
        words = "" if next(module.children(), None) is not None else _in_words(module)
        hooks.append(
            module.register_forward_pre_hook(lambda _, __, at=(path, words): recorder.layers.append(at), prepend=True)
        )
        hooks.append(module.register_forward_hook(lambda *_: recorder.layers.pop() and None))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode


def _in_words(layer: nn.Module) -> str:
    plain = ("inplace", "momentum", "affine", "track_running_stats", "bias=True", "device", "dtype")
    settings = [text for text in layer.extra_repr().split(", ") if not text.startswith(plain)]
    kind: Callable[[], str] = layer._get_name  # its class, or what it says that it is
    return f"{kind()}({', '.join(settings)})"


@dataclass(frozen=True, slots=True)
class _Call:
    """A call of an operator.

    Args:
        operator: what is called.
        args, kwargs: with what.
        settings: what is to be said of it.
    """

    operator: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    settings: dict[str, str]

    def __call__(self, *args: Any) -> Any:
        return self.operator(*args, **self.kwargs)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, gives layers their weights and notes the steps."""

    def __init__(self, weights: ContentWeights, keep: bool, replace: Replace | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.weights = weights
        self.keep = keep
        self.replace = replace
        self.kept: dict[int, Tensor] = {}
        self.inner: set[int] = set()
        self.makers: TensorTable[int] = TensorTable()  # the places of the steps that made tensors
        self.sources: list[tuple[int, ...]] = []  # of each step: the places of those that made its inputs
        self.used_at: list[int] = []  # the place of the step of each use of weights
        self.steps: list[Step] = []
        self.layers: list[tuple[str, str]] = []
        self.owners: TensorTable[Hashable] = TensorTable()
        self.seen: TensorTable[tuple[int, int]] = TensorTable()
        self.padded: dict[int, Step] = {}  # the paddings by what they gave

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here; a wrapper against it would import the compiler

    def see(self, tensor: Tensor) -> int:
        """Notes that a tensor comes from the image, and gives its number."""
        number = self.weights.values.number(tensor)
        self.seen[tensor] = number, tensor._version
        return number

    def sees(self, tensor: Tensor) -> bool:
        """Whether a tensor comes from the image."""
        return self.seen.get(tensor) is not None

    def number(self, tensor: Tensor) -> int:
        """The number of a tensor that comes from the image, as its values are now."""
        number, version = self.seen.get(tensor) or (0, -1)
        return number if version == tensor._version else self.see(tensor)

    def after_uses(self) -> list[int]:
        """For each use of weights, the values that follow from it, as the bits of a number."""
        after = [1 << step.output for step in self.steps] + [0]
        for place in range(len(self.steps) - 1, -1, -1):
            for source in self.sources[place]:
                after[source] |= after[place]
        return [after[min(place, len(self.steps))] for place in self.used_at]

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        packet, kwargs = func.overloadpacket, kwargs or {}
        leaves = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        seen = [tensor for tensor in leaves if self.sees(tensor)]
        if not seen:
            outputs = func(*args, **kwargs)
            self._inherit(packet, leaves, args, outputs)
            return outputs
        if packet in FRESH:
            return func(*args, **kwargs)
        inputs = tuple(self.number(tensor) for tensor in seen)
        sources = tuple(source for tensor in seen if (source := self.makers.get(tensor)) is not None)
        settings = settings_of(packet, args)
        if packet is aten.native_batch_norm and not args[5]:
            outputs = self._normalise(args)
        elif any(self.owners.get(leaf) is not None for leaf in leaves):
            rule: Callable[..., Any] = _RULES.get(packet, _Recorder._draw_any)
            outputs = rule(self, _Call(func, args, kwargs, settings))
        else:
            outputs = func(*args, **kwargs)
        self._note(packet, inputs, sources, outputs, settings)
        return outputs

    def _inherit(self, packet: Any, leaves: Sequence[Tensor], args: Any, outputs: Any) -> None:
        """What is made of parameters alone is owned by them: the same of the same is drawn once."""
        owners = [self.owners.get(leaf) for leaf in leaves]
        if any(owner is not None for owner in owners):
            plain = tuple(repr(leaf) for leaf in tree_leaves(args) if not isinstance(leaf, Tensor))
            for place, output in enumerate(tensors_of(outputs)):
                self.owners[output] = (str(packet), tuple(owners), plain, place)

    def _note(
        self,
        packet: Any,
        inputs: tuple[int, ...],
        sources: tuple[int, ...],
        outputs: Any,
        settings: dict[str, str],
    ) -> None:
        path, layer = self.layers[-1] if self.layers else ("", "")
        packet = getattr(aten, packet.__name__.removesuffix("_"), packet)  # relu_ is relu
        kind = KINDS_IN_WORDS.get(packet, packet.__name__.strip("_"))
        kind = settings.pop("kind", kind)
        padding = tuple(int(side) for side in settings.pop("sides", "").split())
        for output in tensors_of(outputs)[:1] if packet in _FIRST_ONLY else tensors_of(outputs):
            number = self.see(output)
            if number in inputs:
                if sources:
                    self.makers[output] = sources[0]
                continue
            step = Step(kind, path, layer, inputs, number, tuple(output.shape[1:]), settings, padding)
            bare = after_padding(step, self.padded.get(inputs[0]))
            if kind == "padding" and padding:
                self.padded[number] = bare
            elif self.replace is not None and packet not in _VIEWS:
                value = self.replace(bare)
                if value is not None:
                    output.copy_(value.reshape(output.shape))
                    step = changed(step, output=self.see(output))
            if self.keep:
                self.kept[step.output] = output.clone()
            self.makers[output] = len(self.steps)
            self.sources.append(sources)
            self.steps.append(step)

    # --- operators with weights

    def _find(self, owner: Tensor, role: Hashable, seen: Tensor, measure: Callable[[Draw], tuple[float, ...]]) -> Draw:
        """The weights for a layer that sees ``seen``; where they are new, with what ``measure`` says of them."""
        known = self.owners.get(owner)
        place = (id(owner) if known is None else known, role, self._content(seen))
        self.inner.add(place[2])
        self.used_at.append(len(self.steps))
        draw = self.weights.find(*place)
        if draw is None:
            draw = Draw(self.weights.new_seed())
            draw = self.weights.keep(*place, changed(draw, measured=measure(draw)))
        return draw

    def _content(self, tensor: Tensor) -> int:
        """The number of a layer's input; of one that is padded, that of what was padded."""
        number = self.number(tensor) if self.sees(tensor) else self.weights.values.number(tensor)
        return self.padded[number].inputs[0] if number in self.padded else number

    def _product(
        self, owner: Tensor, role: Hashable, seen: Tensor, shape: tuple[int, ...], multiply: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """What weights of ``shape`` give, scaled so that its root mean square is LEVEL."""
        results: list[Tensor] = []

        def measure(draw: Draw) -> tuple[float]:
            results.append(multiply(draw.uniform(shape)))
            return (LEVEL / (_rms(results[0]) or LEVEL),)

        draw = self._find(owner, role, seen, measure)
        result = results[0] if results else multiply(draw.uniform(shape))
        return result * draw.measured[0]

    def _add_bias(self, result: Tensor, bias: Tensor | None, axis: int = 1) -> Tensor:
        if bias is None:
            return result
        draw = self._find(bias, ("bias", bias.numel()), result, lambda _: (0.3 * _rms(result),))
        values = draw.uniform((bias.numel(),)) * draw.measured[0]
        return result + values.reshape(-1, *[1] * (result.ndim - 1 - axis))

    def _convolve(self, call: _Call) -> Tensor:
        image, weight, bias, stride, padding, _, transposed, _, groups = call.args
        if self.owners.get(weight) is None:
            result = call(image, weight, None, *call.args[3:])
        else:
            shape = tuple(weight.shape)
            whole = shape[2:] == image.shape[2:] and not any(padding) and groups == 1 and not transposed
            role = _matrix_role(*weight.flatten(1).shape) if whole else ("kernel", transposed, groups, shape)
            seen = image
            if shape[2:] == (1, 1) and not any(padding) and not transposed:
                seen = image[:, :, :: stride[0], :: stride[1]]  # with a stride, it sees no more than these pixels
            result = self._product(weight, role, seen, shape, lambda w: call(image, w, None, *call.args[3:]))
        return self._add_bias(result, bias)

    def _linear(self, call: _Call) -> Tensor:
        bias, left, right = call.args if len(call.args) == 3 else (None, *call.args)
        if self.owners.get(right) is None or right.ndim != 2:
            return self._multiply(call)
        inputs, outputs = right.shape
        role = _matrix_role(outputs, inputs)
        result = self._product(right, role, left, (outputs, inputs), lambda values: left @ values.t())
        return self._add_bias(result, bias)

    def _multiply(self, call: _Call) -> Tensor:
        left, right = call.args[-2:]
        owner, seen = (left, right) if self.owners.get(left) is not None else (right, left)
        shape = tuple(owner.shape)

        def multiply(values: Tensor) -> Tensor:
            return torch.matmul(values, right) if owner is left else torch.matmul(left, values)

        result = self._product(owner, ("matrix", shape), seen, shape, multiply)
        return self._add_bias(result, call.args[0] if len(call.args) == 3 else None, axis=result.ndim - 1)

    def _normalise(self, args: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Batch normalisation; the variance drawn is a hundredth of the true one, so that epsilon shows."""
        image, scale, shift, mean, _, _, _, epsilon = args
        channels, ones = image.shape[1], [1] * (image.ndim - 2)
        draw = self._find(mean, ("statistics", channels), image, lambda _: (float(image.mean()), _std(image)))
        centre, std = draw.measured
        means, variances = draw.uniform((2, channels))
        x = image - (centre + 0.3 * std * means).reshape(-1, *ones)
        x = x * ((1 + 0.5 * variances) * (0.1 * std or 1.0) ** 2 + epsilon).rsqrt().reshape(-1, *ones)
        x = self._scale(x, scale, (channels, *ones)) if scale is not None else x
        return self._add_bias(x, shift), image.new_empty(0), image.new_empty(0)

    def _scale(self, seen: Tensor, scale: Tensor, shape: tuple[int, ...]) -> Tensor:
        draw = self._find(scale, ("scale", scale.numel()), seen, lambda _: (LEVEL / (_rms(seen) or 1.0),))
        return seen * (_factors(draw, scale.numel()) * draw.measured[0]).reshape(shape)

    def _times(self, call: _Call) -> Tensor:
        seen, scale = call.args if self.sees(call.args[0]) else call.args[::-1]
        result = self._scale(seen, scale, tuple(scale.shape))
        return _into(call.args[0], result) if call.operator.overloadpacket is aten.mul_ else result

    def _plus(self, call: _Call) -> Tensor:
        seen, bias = call.args if self.sees(call.args[0]) else call.args[::-1]
        draw = self._find(bias, ("bias", bias.numel()), seen, lambda _: (0.3 * _rms(seen),))
        call.settings["kind"] = "bias"
        result = seen + draw.uniform((bias.numel(),)).reshape(bias.shape) * draw.measured[0]
        return _into(call.args[0], result) if call.operator.overloadpacket is aten.add_ else result

    def _draw_any(self, call: _Call) -> Any:
        """Another operator: its parameters become values in [0.1, 0.4), as suit slopes and shares."""
        seen = next(leaf for leaf in tree_leaves(call.args) if isinstance(leaf, Tensor) and self.sees(leaf))

        def drawn(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor) or self.owners.get(leaf) is None:
                return leaf
            draw = self._find(leaf, (str(call.operator), leaf.numel()), seen, lambda _: ())
            return (0.25 + 0.15 * draw.uniform((leaf.numel(),))).reshape(leaf.shape)

        return call.operator(*tree_map(drawn, call.args), **tree_map(drawn, call.kwargs))


_VIEWS = frozenset(
    {aten.slice, aten.split, aten.permute, aten.transpose, aten.t, aten.expand, aten.select, aten.unfold}
)
_FIRST_ONLY = frozenset({aten.native_batch_norm, aten.max_pool2d_with_indices})

_RULES: Mapping[Any, Callable[..., Any]] = {
    aten.convolution: _Recorder._convolve,
    aten.addmm: _Recorder._linear,
    aten.mm: _Recorder._linear,
    aten.bmm: _Recorder._multiply,
    aten.baddbmm: _Recorder._multiply,
    aten.mul: _Recorder._times,
    aten.mul_: _Recorder._times,
    aten.add: _Recorder._plus,
    aten.add_: _Recorder._plus,
}


def _matrix_role(outputs: int, inputs: int) -> tuple[Hashable, ...]:
    """A linear layer and a convolution over the whole map are one thing."""
    return "matrix", outputs, inputs


def _factors(draw: Draw, count: int) -> Tensor:
    """Factors of 0.5 to 1.5, a quarter of them negative, since what comes before or after a maximum then matters."""
    values = draw.uniform((2, count))
    return (1 + 0.5 * values[0]) * torch.where(values[1] < -0.5, -1.0, 1.0)


def _into(target: Tensor, values: Tensor) -> Tensor:
    target.copy_(values)
    return target


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt()) if values.numel() else 0.0


def _std(values: Tensor) -> float:
    return float(values.std(correction=0))
