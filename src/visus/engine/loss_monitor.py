"""Sums the losses of a training for the epoch's row, and checks that each loss is finite."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from visus.engine.recipe import Recipe
from visus.errors import DivergedError
from visus.structures import Batch

_AT_ONCE = 16  # steps on an accelerator between reads, since each read waits for the device


class LossMonitor:
    """Collects the loss terms of each step, and raises DivergedError if a loss is not finite.

    On the CPU a loss is checked before its gradients are taken, so a wrong loss changes no weight. On an accelerator
    the check comes up to 16 steps later, and before anything is saved; it still names the step where it began.

    Args:
        device: the device of the losses.
        recipe: names the likely cause of a divergence.
        raises: whether :meth:`record` raises DivergedError itself; several processes must agree first (see ``error``).

    Attributes:
        sums: the sum of each term times the images of its batch, since :meth:`restart`.
        images: the number of these images.
        error: the first divergence, or None.
        batch_index: the number, in its epoch, of the first batch of the step that diverged; -1: none did.
    """

    def __init__(self, device: torch.device, recipe: Recipe, *, raises: bool = True) -> None:
        self.sums: dict[str, float] = {}
        self.images = 0
        self._latest: dict[str, float] = {}
        self.error: DivergedError | None = None
        self.batch_index = -1
        self._recipe = recipe
        self._raises = raises
        self._every = 1 if device.type == "cpu" else _AT_ONCE
        self._pending: list[tuple[int, int, Sequence[str], dict[str, Tensor]]] = []
        self._first: float | None = None
        self._last: float | None = None

    def restart(self, sums: Mapping[str, float] | None = None, images: int = 0) -> None:
        """Begins an epoch; a resumed one goes on with the sums that it had."""
        self.sums, self.images = dict(sums or {}), images
        self._pending, self.error, self.batch_index = [], None, -1

    def record(self, step: int, batch_index: int, batch: Batch, terms: Mapping[str, Tensor], prefix: str = "") -> None:
        """Records the terms of a batch.

        Raises:
            DivergedError: if a loss that is read now is not finite, and this monitor raises by itself.
        """
        if self._every == 1:
            self._add(step, batch_index, batch.ids, {prefix + name: value.item() for name, value in terms.items()})
            return
        named = {prefix + name: value.detach() for name, value in terms.items()}
        self._pending.append((step, batch_index, batch.ids, named))
        if len(self._pending) >= self._every:
            self.settle()

    def settle(self) -> None:
        """Reads all pending losses from the device in one transfer; raises as :meth:`record` does."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        flat = torch.stack([value.float() for *_, terms in pending for value in terms.values()]).tolist()
        values = iter(flat)
        for step, batch_index, ids, terms in pending:
            self._add(step, batch_index, ids, {name: next(values) for name in terms})

    def _add(self, step: int, batch_index: int, ids: Sequence[str], terms: dict[str, float]) -> None:
        if self.error is not None:
            return
        total = sum(terms.values())
        if not math.isfinite(total):
            self.batch_index = batch_index
            self.error = self._diverged(step, ids, terms)
            if self._raises:
                raise self.error
            return
        images = len(ids)
        self.images += images
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * images
        self._latest = terms
        if self._first is None:
            self._first = total
        self._last = total

    def current(self) -> dict[str, float]:
        """Returns the loss terms of the last step that was read."""
        return self._latest

    def means(self) -> dict[str, float]:
        """Returns each term's mean over the images since :meth:`restart`."""
        return {name: value / self.images for name, value in self.sums.items()} if self.images else {}

    def _diverged(self, step: int, ids: Sequence[str], terms: Mapping[str, float]) -> DivergedError:
        files = ", ".join(list(ids)[:8]) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
        wrong = ", ".join(f"{name} = {value}" for name, value in terms.items() if not math.isfinite(value))
        cause, remedy = self._cause()
        return DivergedError(
            f"the loss is not finite at step {step + 1}: {wrong or 'the sum of its terms overflows'}",
            expected="a finite loss",
            got=f"a batch of {len(ids)}: {files}; likely cause: {cause}",
            remedy=f"{remedy}; the last checkpoint before it is intact",
        )

    def _cause(self) -> tuple[str, str]:
        lower = f"lower the rate: --set optimizer.lr={self._recipe.optimizer.lr / 10:g}"
        if self._first is None or self._last is None:
            return (
                "the first loss is already not finite: the weights, the preprocessing or a label may be wrong",
                "check the data with: visus data check DATA, and check the weights file",
            )
        if self._last > 3 * self._first:
            return (
                f"the learning rate is too high: the loss rose from {self._first:.3g} to {self._last:.3g}",
                lower,
            )
        if self._recipe.precision == "float16":
            return "values beyond 65504, the largest number of float16", "--set precision=bfloat16 (or float32)"
        if self._recipe.clip_norm is None:
            return (
                f"a step with too large a gradient: the loss before it was {self._last:.3g}",
                f"--set clip_norm=1.0, or {lower}",
            )
        return (
            f"the learning rate is too high, or these images are unusual: the loss before was {self._last:.3g}",
            lower,
        )
