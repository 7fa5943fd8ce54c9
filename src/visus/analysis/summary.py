"""Summary of a network, line by line: shapes, parameters, operations, memory, receptive fields, with formulas."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from visus.analysis import tables
from visus.analysis.line import Line
from visus.analysis.recorder import record
from visus.analysis.writing import write_text
from visus.errors import UsageError
from visus.layers.connections import count_zeros, counts_of

if TYPE_CHECKING:
    from visus.analysis.diagrams.drawing import Diagram


@dataclass(frozen=True, slots=True)
class Summary:
    """All lines of a network, and their totals.

    Args:
        model: "name@edition", or "" for a network of one's own.
        network: its class.
        input: (channels, height, width).
        lines: in the order in which they run; then those that only a training runs.
        outputs: the indices (from 0) of the lines whose outputs are the network's.
        parameters: all weights and biases.
        trainable: those that require a gradient.
        buffers: values that are kept but not trained, such as BatchNorm's statistics.
        macs: multiply-accumulates of convolutions and matrix products for one image.
        activation_bytes: all lines' outputs for one image.
        peak_bytes: the most that must live at one time in a forward pass of one image, if each value is freed after
            its last use; weights, and what single operators need besides, do not count.
        kept_bytes: what autograd keeps of one image for the backward pass in a training, weights and buffers not
            counted; None where the network cannot be trained on such an input, or looks at values.
        weight_bytes: parameters and buffers as they are stored.
        zeros: how many weights of convolutions and dense layers are zero; 0 where their values are not known.
        sparse_bytes: ``weight_bytes`` if a layer with many zeros were stored as a bit for each weight, which says
            whether it is there, and the others.
        sparsity: the share of zeros of each layer by its path; empty if no weight is zero.
    """

    model: str
    network: str
    input: tuple[int, int, int]
    lines: tuple[Line, ...]
    outputs: tuple[int, ...]
    parameters: int
    trainable: int
    buffers: int
    macs: int
    activation_bytes: int
    peak_bytes: int
    kept_bytes: int | None
    weight_bytes: int
    zeros: int
    sparse_bytes: int
    sparsity: Mapping[str, float]

    @property
    def frozen(self) -> int:
        """The number of parameters that do not learn."""
        return self.parameters - self.trainable

    @property
    def name(self) -> str:
        """The model's name; the class of the network if it has no name."""
        return self.model or self.network

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        values = asdict(self)
        values["frozen"] = self.frozen
        return values

    def to_csv(self, *, formulas: bool = False) -> str:
        """The summary as CSV text, one row for each line; ``formulas`` adds a column for each kind of formula."""
        return tables.as_csv(self.lines, formulas=formulas)

    def save(self, file: str | Path, *, explain: bool = False) -> Path:
        """Writes the table or the picture to a file; the file's suffix chooses the format.

        Args:
            file: .txt, .csv, .json or .svg.
            explain: with the formulas; .json has them always, .svg never.

        Raises:
            UsageError: for another suffix.
            DiskError: if the file cannot be written.
        """
        path = Path(file)
        if path.suffix == ".txt":
            text = (self.explain() if explain else str(self)) + "\n"
        elif path.suffix == ".csv":
            text = self.to_csv(formulas=explain)
        elif path.suffix == ".json":
            text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"
        elif path.suffix == ".svg":
            return self.draw().save(path)
        else:
            raise UsageError(f"unknown file format: {file}", expected=".txt, .csv, .json or .svg", got=path.suffix)
        return write_text(path, text)

    def draw(self) -> Diagram:
        """Draws the network: volumes in a row or in a U, or boxes and arrows if the network branches."""
        from visus.analysis.diagrams.drawing import draw

        return draw(self.name, self.input, self.lines, self.outputs)

    def explain(self) -> str:
        """Text with every number of every line, and its formula with the values filled in."""
        return tables.explained(self.lines) + "\n\n" + self._totals()

    def __str__(self) -> str:
        return tables.as_text(self.lines) + "\n\n" + self._totals()

    def _totals(self) -> str:
        frozen = f", {self.frozen:,} of them frozen" if self.frozen else ""
        channels, height, width = self.input
        largest = max((line.activation_bytes for line in self.lines), default=0)
        memory = (
            f"{tables.memory(self.activation_bytes)} in all, {tables.memory(largest)} the largest, "
            f"{tables.memory(self.peak_bytes)} needed at one time"
        )
        kept = "" if self.kept_bytes is None else f"; a training keeps {tables.memory(self.kept_bytes)}"
        return (
            f"{self.name} for {channels}x{height}x{width}: {self.parameters:,} parameters{frozen} "
            f"({tables.memory(self.weight_bytes)} with {self.buffers:,} buffered values), {self.macs:,} MACs\n"
            f"activations of an image: {memory}{kept}"
            f"{self._pruned()}"
        )

    def _pruned(self) -> str:
        if not self.zeros:
            return ""
        layers = ", ".join(f"{name} {share:.1%}" for name, share in self.sparsity.items())
        return (
            f"\npruned: {self.zeros:,} weights are zero; {tables.memory(self.sparse_bytes)} in place of "
            f"{tables.memory(self.weight_bytes)} if they were not stored\nshares of zeros: {layers}"
        )


def summarize(
    network: nn.Module,
    input_size: Sequence[int],
    *,
    model: str = "",
    sparsity: Mapping[str, float] | None = None,
) -> Summary:
    """Summarizes a network, from forward passes that compute no values.

    Args:
        network: any network that takes one tensor [N,C,H,W]; it is left as it was.
        input_size: (C, H, W).
        model: the name to show.
        sparsity: the share of zeros of each layer by its path; None: those of the network's own values are counted.

    Raises:
        ShapeError: if the network cannot take such an input.
    """
    channels, height, width = input_size
    recording = record(network, (channels, height, width))
    parameters = list(network.parameters())
    buffers = list(network.buffers())
    passed = [line for line in recording.lines if not line.only_in_training]
    layers = count_zeros(network) if sparsity is None else counts_of(network, sparsity)
    weight_bytes = sum(t.numel() * t.element_size() for t in (*parameters, *buffers))
    zeros = sum(layer.zeros for layer in layers.values())
    return Summary(
        model=model,
        network=type(network).__name__,
        input=(channels, height, width),
        lines=recording.lines,
        outputs=recording.outputs,
        parameters=sum(p.numel() for p in parameters),
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        buffers=sum(b.numel() for b in buffers),
        macs=sum(line.macs for line in passed),
        activation_bytes=sum(line.activation_bytes for line in passed),
        peak_bytes=recording.peak_bytes,
        kept_bytes=recording.kept_bytes,
        weight_bytes=weight_bytes,
        zeros=zeros,
        sparse_bytes=weight_bytes - sum(layer.dense_bytes - layer.sparse_bytes for layer in layers.values()),
        sparsity={name: layer.sparsity for name, layer in layers.items()} if zeros else {},
    )
