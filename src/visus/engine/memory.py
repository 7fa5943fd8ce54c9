"""Checks that a batch fits into memory: by an estimate on the CPU, and by the device's own error on accelerators."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from visus.data.messages import counted
from visus.engine.recipe import Recipe
from visus.errors import MemoryExhaustedError, UsageError
from visus.ops.memory_reuse import give_back
from visus.structures import Batch

_SHARE = 0.9  # of the free memory that a training may plan with
# The libraries' own; with it, ResNet-18's measured peaks at 8, 24 and 48 images of 112x112 are met within 15 %.
_WORKSPACE = 64 << 20
_OPTIMIZER_TENSORS = {
    "sgd": 1,
    "adam": 2,
    "adamw": 2,
    "rmsprop": 2,
    "rmsprop_tf": 2,
    "adadelta": 2,
}  # of each parameter's size, at most


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """The memory that a training step needs beyond the network itself.

    Args:
        fixed: the bytes of gradients, optimiser state and the libraries' workspaces.
        per_image: the bytes of activations and their gradients for one image.
    """

    fixed: int
    per_image: int

    def total(self, images: int) -> int:
        """The bytes for a batch of ``images`` images."""
        return self.fixed + self.per_image * images

    def fitting(self, free: int) -> int:
        """The largest batch that fits into ``free`` bytes; 0 if not even one image fits."""
        return max(int((free - self.fixed) // max(self.per_image, 1)), 0)


def measure_need(
    losses: Callable[[Batch], Mapping[str, Tensor]],
    batch: Batch,
    network: nn.Module,
    recipe: Recipe,
    *,
    smallest_batch: int = 1,
) -> MemoryNeed:
    """Measures the memory that a step takes, by what a small batch's forward pass keeps for its backward pass.

    The network stays as it was, with its statistics and modes; no random number of the training is used up.

    Args:
        losses: gives the terms of a batch.
        batch: normalised, on the device; its first images are used.
        network: its parameters train.
        recipe: its optimiser and precision are read.
        smallest_batch: the number of images that are used: the smallest that ``losses`` are defined for.
    """
    small = batch.first(smallest_batch)
    modes = [(module, module.training) for module in network.modules()]
    network_pointers = {p.data_ptr() for p in network.parameters()} | {b.data_ptr() for b in network.buffers()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in network_pointers:
            kept[tensor.data_ptr()] = max(kept.get(tensor.data_ptr(), 0), tensor.nbytes)
        return tensor

    half = recipe.precision != "float32"
    cast = (
        torch.autocast(batch.images.device.type, getattr(torch, recipe.precision)) if half else contextlib.nullcontext()
    )
    network.eval()  # so that statistics stay
    try:
        with torch.random.fork_rng([]), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), cast:
            terms = losses(small)
        del terms
    finally:
        for module, mode in modes:
            module.training = mode
    learning = sum(p.nbytes for p in network.parameters() if p.requires_grad)
    # While the largest activation's gradient is made, the one that it comes from is there too.
    activations = sum(kept.values()) + 2 * max(kept.values(), default=0) + small.images.nbytes
    copies = 1 + _OPTIMIZER_TENSORS[recipe.optimizer.name]
    return MemoryNeed(fixed=learning * copies + _WORKSPACE, per_image=-(-activations // len(small)))  # rounded up


def require_memory(need: MemoryNeed, images: int, recipe: Recipe, free: int | None) -> None:
    """Raises MemoryExhaustedError if a batch will not fit.

    Args:
        need: the memory of a step.
        images: the images of a batch of this process.
        recipe: names the remedy.
        free: the free bytes; None: the system does not tell, and nothing is raised.
    """
    if free is None or need.total(images) <= free * _SHARE:
        return
    raise _exhausted(images, need.fitting(int(free * _SHARE)), recipe, need.total(images), free)


def free_memory() -> int | None:
    """The bytes of main memory that are free for this process, an equal share in a group; None: unknown."""
    give_back()  # what the process keeps for its next step is free for it too
    free_bytes = []
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free_bytes.append(int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) * 1024)
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        with contextlib.suppress(OSError, ValueError):  # "max": no limit
            free_bytes.append(int(Path(limit).read_text()) - int(Path(used).read_text()))
    return max(min(free_bytes), 0) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if free_bytes else None


@contextmanager
def exhaustion_explained(recipe: Recipe, world: int = 1) -> Iterator[None]:
    """A context that turns PyTorch's errors of memory and of deterministic operators into errors with a remedy."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        images = max(recipe.batch_size // world, 1)
        raise _exhausted(images, images // 2, recipe) from error
    except RuntimeError as error:
        text = str(error)
        if "can't allocate memory" in text:
            images = max(recipe.batch_size // world, 1)
            raise _exhausted(images, images // 2, recipe) from error
        if "deterministic" in text and "implementation" in text:
            raise UsageError(
                "an operator of this network has no deterministic form on this device",
                got=text.splitlines()[0],
                remedy="train without --deterministic, or on the CPU",
            ) from error
        raise


def _exhausted(
    images: int, fitting: int, recipe: Recipe, need: int | None = None, free: int | None = None
) -> MemoryExhaustedError:
    total = recipe.batch_size
    fits = fitting * total // max(images, 1)
    if fits >= 1:
        # The largest that divides the batch keeps what makes one step the same.
        even = max(size for size in range(1, fits + 1) if total % size == 0)
        same = f"--set batch_size={even} --set accumulate={recipe.accumulate * total // even} keeps the images a step"
        remedy = f"--set batch_size={fits} fits; {same}"
    else:
        remedy = "not even one image fits: choose a smaller input with --set size=[H,W], or a smaller model"
    return MemoryExhaustedError(
        f"a batch of {counted(total, 'images')} does not fit into memory",
        expected=f"at most {free / 1e9:.2f} GB for each process" if free is not None else "a batch that fits",
        got=f"about {need / 1e9:.2f} GB" if need is not None else "no memory left during a step",
        remedy=remedy,
    )
