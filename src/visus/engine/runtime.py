"""Where a training runs: the device, this process's rank in its group, threads, and the random generators."""

from __future__ import annotations

import gc
import json
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from visus.engine.launch import GROUP_FILE, watch_parent
from visus.errors import InterruptedRunError, UsageError

_TIMEOUT = timedelta(seconds=120)  # a process that is silent for longer is lost
_LOST_PEER = ("gloo", "Connection closed by peer", "Connection reset by peer", "Broken pipe")
"""What the messages say with which an exchange fails because another process is gone."""
_PATIENCE = timedelta(days=7)  # for work that only the first process does


@dataclass(frozen=True, slots=True)
class Runtime:
    """One process of a training.

    Args:
        device: where the network lives.
        rank: this process's number in the group, from 0.
        world: processes in the group.
        control: the group for small things on the CPU; None in a process that is alone.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    rank: int = 0
    world: int = 1
    control: dist.ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that prints and writes for its group."""
        return self.rank == 0

    def agree(self, *wishes: int) -> tuple[int, ...]:
        """Returns, for each position, the largest number that any process passes, so that all act alike."""
        if self.world == 1:
            return wishes
        values = torch.tensor(wishes, dtype=torch.int64)
        dist.all_reduce(values, op=dist.ReduceOp.MAX, group=self.control)
        return tuple(values.tolist())

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Returns the tensors of all processes (of one shape and type, on the CPU), by rank."""
        if self.world == 1:
            return [tensor]
        parts = [torch.empty_like(tensor) for _ in range(self.world)]
        dist.all_gather(parts, tensor, group=self.control)
        return parts

    def align(self, tensors: Iterable[Tensor]) -> None:
        """Copies the first process's tensors to all processes, in place; each passes them in the same order."""
        if self.world > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def from_first(self, value: Any) -> Any:
        """Returns the first process's value (plain, as in JSON) in all processes; they wait for it without a limit."""
        if self.world == 1:
            return value
        dist.monitored_barrier(self.control, timeout=_PATIENCE)
        text = json.dumps(value).encode() if self.is_first else b""
        size = torch.tensor([len(text)])
        dist.broadcast(size, 0, group=self.control)
        data = (
            torch.frombuffer(bytearray(text), dtype=torch.uint8) if text else torch.empty(int(size), dtype=torch.uint8)
        )
        dist.broadcast(data, 0, group=self.control)
        return json.loads(data.numpy().tobytes())


@contextmanager
def open_runtime(device: str = "auto", *, deterministic: bool = False, threads: int | None = None) -> Iterator[Runtime]:
    """Chooses the device and, in a process that a launcher started (RANK and WORLD_SIZE are set), joins its group.

    Args:
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        deterministic: only operators that give the same bits each time; an operator without such a form is an error.
        threads: of PyTorch on the CPU; its own choice by default, shared among the processes of the group.

    Raises:
        UsageError: if there is no such device.
    """
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    torch_device = choose_device(device, local_rank=int(os.environ.get("LOCAL_RANK", "0")) if world > 1 else None)
    before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    if threads is None and world > 1 and "OMP_NUM_THREADS" not in os.environ:
        threads = max(torch.get_num_threads() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")), 1)
    if threads is not None:
        torch.set_num_threads(threads)
    if torch_device.type == "cuda" and torch_device.index is not None:
        torch.cuda.set_device(torch_device)
    control = _join_group(torch_device, rank, world) if world > 1 else None
    try:
        yield Runtime(torch_device, rank, world, control)
        if control is not None:
            dist.monitored_barrier(control, timeout=_PATIENCE)
    except RuntimeError as error:
        if world > 1 and is_lost_peer(error):
            raise InterruptedRunError.by_signal(
                signal.SIGTERM,
                "another process of this training has ended, and so this one ends too",
                remedy="see what that process, or the system, said of its end",
            ) from None
        raise
    finally:
        if world > 1:
            # What still refers to the group would end its threads while the interpreter is going down, which aborts.
            gc.collect()
            dist.destroy_process_group()
        torch.use_deterministic_algorithms(before[0])
        torch.set_num_threads(before[1])


def choose_device(name: str = "auto", *, local_rank: int | None = None) -> torch.device:
    """Returns the device of a name.

    Args:
        name: "auto" takes CUDA, else Apple's MPS, else the CPU.
        local_rank: this process's number on its machine: "auto" and "cuda" then mean the CUDA device of that number.

    Raises:
        UsageError: if there is no such device; names those that are there.
    """
    there = available_devices()
    if name == "auto":
        name = next((kind for kind in ("cuda", "mps") if kind in there), "cpu")
    if name == "cuda" and local_rank is not None and "cuda" in there:
        name = f"cuda:{local_rank}"
    if name not in there:
        raise UsageError(
            f"there is no device {name}",
            expected="auto or " + " or ".join(there),
            got=name,
            remedy="choose one of these with --device",
        )
    return torch.device(name)


def available_devices() -> list[str]:
    """Returns the names that :func:`choose_device` takes on this machine."""
    names = ["cpu"]
    if torch.cuda.is_available():
        names += ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        names.append("mps")
    return names


def seed_generators(seed: int, rank: int = 0) -> None:
    """Seeds PyTorch's generators, which draw initial weights and dropout, differently in each process."""
    # An odd multiplier spreads the pair over 64 bits without collisions for any rank below 2^32.
    torch.manual_seed((seed * 0x9E3779B97F4A7C15 + rank) % (1 << 63))


def generator_states(device: torch.device) -> Tensor:
    """Returns the states of the random generators that a training on this device uses, as one [n] uint8."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    elif device.type == "mps":
        states.append(torch.mps.get_rng_state())
    return torch.cat(states)


def set_generator_states(states: Tensor, device: torch.device) -> None:
    """Restores the states that :func:`generator_states` returned."""
    length = len(torch.get_rng_state())
    torch.set_rng_state(states[:length].clone())
    rest = states[length:].clone()
    if device.type == "cuda" and len(rest):
        torch.cuda.set_rng_state(rest, device)
    elif device.type == "mps" and len(rest):
        torch.mps.set_rng_state(rest)


def is_lost_peer(error: RuntimeError) -> bool:
    """Whether an exchange failed because another process is gone, which is no fault of this one."""
    return isinstance(error, dist.DistError) or any(mark in str(error) for mark in _LOST_PEER)


def _join_group(device: torch.device, rank: int, world: int) -> dist.ProcessGroup:
    """Joins the group of all processes, and returns a second one, by gloo, for small values on the CPU."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    file = os.environ.get(GROUP_FILE)
    if file:  # started by our own supervisor, on one machine
        watch_parent()
        dist.init_process_group(backend, init_method=f"file://{file}", rank=rank, world_size=world, timeout=_TIMEOUT)
    else:  # started by torchrun
        dist.init_process_group(backend, timeout=_TIMEOUT)
    group = dist.new_group(backend="gloo", timeout=_TIMEOUT)
    if not isinstance(group, dist.ProcessGroup):
        raise UsageError("this process did not join its group of processes", got=f"rank {rank} of {world}")
    return group
