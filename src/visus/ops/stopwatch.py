"""Measures the time of each part of a prediction, while a stopwatch is active."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

_running: ContextVar[Stopwatch | None] = ContextVar("_running", default=None)


class Stopwatch:
    """A context that adds up the seconds of each :func:`timed` part in this thread, and of a network.

    Args:
        network: its forward passes are the part "network"; None: an exported network, which says so by :func:`timed`.

    Attributes:
        seconds: the seconds of each part; a part inside another counts in both.
        device: where the network was when this was made; None: on the CPU.
    """

    def __init__(self, network: nn.Module | None) -> None:
        self.seconds: dict[str, float] = {}
        self._network = network
        self._hooks: list[Any] = []
        self._start = 0.0
        weight = None if network is None else next(network.parameters(), None)
        self.device = None if weight is None else weight.device
        self._token: Token[Stopwatch | None] | None = None

    def __enter__(self) -> Stopwatch:
        self._token = _running.set(self)
        self._hooks = (
            []
            if self._network is None
            else [
                self._network.register_forward_pre_hook(self._begin),
                self._network.register_forward_hook(self._end, always_call=True),
            ]
        )
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()
        if self._token is not None:
            _running.reset(self._token)

    def add(self, part: str, seconds: float) -> None:
        """Adds seconds to a part."""
        self.seconds[part] = self.seconds.get(part, 0.0) + seconds

    def _begin(self, network: nn.Module, images: Any) -> None:  # noqa: ARG002
        self._start = now(self.device)

    def _end(self, network: nn.Module, images: Any, outputs: Any) -> None:  # noqa: ARG002
        self.add("network", now(self.device) - self._start)


@contextmanager
def timed(part: str) -> Iterator[None]:
    """A context whose time counts as ``part`` if a stopwatch is active."""
    watch = _running.get()
    if watch is None:
        yield
        return
    start = now(watch.device)
    yield
    watch.add(part, now(watch.device) - start)


def now(device: torch.device | None) -> float:
    """Returns the time in seconds, after the device has finished its work."""
    if device is not None and device.type != "cpu":
        import torch

        torch.accelerator.synchronize(device)  # by its name: another one may be the current one
    return time.perf_counter()
