"""Compares an exported file, in the runtime, with the network in PyTorch.

Never with the reference evaluator of onnx: its response normalisation, among others, is another one.

Letters: N images, C channels, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from visus.answers.reader import Array
from visus.answers.table import reader_from
from visus.engine.exported_card import ExportedCard
from visus.errors import VisusError
from visus.exporters.network import Exportable
from visus.exporters.onnx_file import unpools

LIMIT = 5e-4
"""The largest difference of an output, as a part of its largest value."""

SHARE = 0.1
"""Of networks that unpool: so many of the values may differ by more than :data:`LIMIT`."""

AGREEMENT = 0.99
"""The share of the answers that are the same."""

Run = Callable[[Array], Mapping[str, Array]]


@dataclass(frozen=True, slots=True)
class OutputDifference:
    """How far an output of the file is from that of the network.

    Args:
        name: of the output.
        largest: the largest difference of a value.
        relative: the same, as a part of the output's largest value.
        share: the part of the values that differ by more than :data:`LIMIT` of the largest one.
        judge: "float32", or "float64" where float32 itself is not that exact.
        torch_relative, torch_share: of PyTorch's float32 from the judge; 0 where that is itself the judge.
        passed: whether it is near enough.
    """

    name: str
    largest: float
    relative: float
    share: float
    judge: str = "float32"
    torch_relative: float = 0.0
    torch_share: float = 0.0
    passed: bool = True

    def __str__(self) -> str:
        text = f"{self.name} differs by {self.relative:.1e} of its largest value"
        if self.judge == "float64":
            text += f" from float64 (PyTorch's float32 by {self.torch_relative:.1e}), in {self.share:.1%} of its values"
        return text

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        values = {"name": self.name, "largest": self.largest, "relative": self.relative, "limit": LIMIT}
        judged = {"torch_relative": self.torch_relative, "share": self.share, "torch_share": self.torch_share}
        return {**values, "judge": self.judge, **(judged if self.judge == "float64" else {}), "passed": self.passed}


@dataclass(frozen=True, slots=True)
class Check:
    """What a comparison gave.

    Args:
        outputs: of each output, over all batches.
        agreement: the mean share of an image's answer that is the same.
        images: how many images were compared.
        made: whether they were made up, and no pictures of anything.
        batches: the numbers of images that were computed at a time.
        sizes: the (height, width) of inputs.
        fault: what is wrong beyond differences; "" for nothing.
    """

    outputs: tuple[OutputDifference, ...]
    agreement: float
    images: int
    made: bool
    batches: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]
    fault: str = ""

    @property
    def passed(self) -> bool:
        """Whether the file does what the network does."""
        return not self.faults()

    @property
    def largest(self) -> float:
        """The largest relative difference of any output."""
        return max((one.relative for one in self.outputs), default=0.0)

    def faults(self) -> list[str]:
        """What is above the limits, in words."""
        faults = [self.fault] if self.fault else []
        faults += [str(one) for one in self.outputs if not one.passed]
        if not self.fault and self.agreement < AGREEMENT:
            faults.append(f"{self.agreement:.1%} of the answers are the same, of {AGREEMENT:.0%} that must be")
        return faults

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "passed": self.passed,
            "outputs": [one.to_dict() for one in self.outputs],
            "agreement": self.agreement,
            "least_agreement": AGREEMENT,
            "images": self.images,
            "made_up": self.made,
            "batches": list(self.batches),
            "sizes": [list(size) for size in self.sizes],
            **({"fault": self.fault} if self.fault else {}),
        }


def check(network: Exportable, run: Run, card: ExportedCard, batches: Sequence[Array], *, made: bool = False) -> Check:
    """Compares what a runtime gives with what PyTorch gives.

    Args:
        network: what was exported.
        run: the file in the runtime.
        card: of the file: its outputs are read as the card says, those of PyTorch by the network's own reader.
        batches: normalised images [n,C,H,W]; of several numbers n, and sizes where these are free.
        made: whether the images were made up.
    """
    ours, theirs = _Recorder(network.run), _Recorder(run)
    agreements: list[float] = []
    fault = ""
    try:
        reader = reader_from(card.reader)
        for images in batches:
            expected = network.reader.answers(ours, images, input_size=card.input.size)
            got = reader.answers(theirs, images, input_size=card.input.size)
            agreements += [float(a.agreement(b)) for a, b in zip(expected, got, strict=True)]
    except VisusError as error:
        fault = "; ".join(part for part in (error.problem, f"{error.got} for {error.expected}") if part)
    except Exception as error:  # of the runtime, whose own classes no module here knows
        fault = f"the runtime fails: {str(error).strip().splitlines()[-1][:300]}"
    pairs = list(zip(ours.calls, theirs.calls, strict=False))
    fault = fault or _odd(pairs)
    return Check(
        outputs=() if fault else _differences(network, pairs),
        agreement=float(np.mean(agreements)) if agreements else 0.0,
        images=sum(map(len, batches)),
        made=made,
        batches=tuple(sorted({len(images) for images in batches})),
        sizes=tuple(sorted({(call[0].shape[2], call[0].shape[3]) for call in ours.calls})),
        fault=fault,
    )


Call = tuple[Array, Mapping[str, Array]]
"""The images of a call, and the outputs."""


class _Recorder:
    """Runs a network and keeps what went in and came out."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.calls: list[Call] = []

    def __call__(self, images: Array) -> Mapping[str, Array]:
        outputs = self._run(images)
        self.calls.append((images, outputs))
        return outputs


def _odd(pairs: Sequence[tuple[Call, Call]]) -> str:
    """What cannot be compared: other names or shapes, or values that are no numbers."""
    for (_, ours), (_, theirs) in pairs:
        if list(ours) != list(theirs):
            return f"the file gives {', '.join(theirs)} for {', '.join(ours)}"
        for name, values in ours.items():
            if values.shape != theirs[name].shape:
                return f"{name} is {list(theirs[name].shape)} in the file, {list(values.shape)} in PyTorch"
            if not np.isfinite(values).all():
                return f"{name} of the network itself is NaN or infinite on these images"
            if not np.isfinite(theirs[name]).all():
                return f"{name} of the file is NaN or infinite"
    return ""


def _differences(network: Exportable, pairs: Sequence[tuple[Call, Call]]) -> tuple[OutputDifference, ...]:
    names = list(pairs[0][0][1])
    found = {name: _distance([(a[name], b[name]) for (_, a), (_, b) in pairs]) for name in names}
    if all(relative <= LIMIT for _, relative, _ in found.values()):
        return tuple(OutputDifference(name, *found[name]) for name in names)
    # Either the file is wrong, or float32 cannot tell: float64 can.
    exact_network = network.double()
    exact = [exact_network.run(images) for (images, _), _ in pairs]
    differences = []
    for name in names:
        largest, relative, share = _distance([(e[name], b[name]) for e, (_, (_, b)) in zip(exact, pairs, strict=True)])
        _, own, own_share = _distance([(e[name], a[name]) for e, ((_, a), _) in zip(exact, pairs, strict=True)])
        passed = relative <= max(LIMIT, 2 * own)
        if unpools(network.module):  # a switch that flips moves a value as a whole
            passed = share <= own_share + SHARE
        differences.append(OutputDifference(name, largest, relative, share, "float64", own, own_share, passed))
    return tuple(differences)


def _distance(pairs: Sequence[tuple[Any, Any]]) -> tuple[float, float, float]:
    """The largest difference, the same relative to the largest value of the first, and the share beyond the limit."""
    scale = max((float(np.abs(first).max()) for first, _ in pairs if first.size), default=0.0)
    gaps = [np.abs(first.astype(np.float64) - second).ravel() for first, second in pairs if first.size]
    all_gaps = np.concatenate(gaps) if gaps else np.zeros(1)
    largest = float(all_gaps.max())
    bound = scale or 1.0
    return largest, largest / bound, float((all_gaps > LIMIT * bound).mean())
