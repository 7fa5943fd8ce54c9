"""Counts what a server does, for Prometheus; several workers count into one piece of shared memory.

Text format: https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4).
"""

from __future__ import annotations

import mmap
import os
import resource
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

PATHS = ("/predict", "/explain", "/models", "/healthz", "/metrics", "/openapi.json", "page", "other")
STATUSES = (200, 204, 304, 400, 401, 403, 404, 405, 408, 413, 415, 422, 499, 500, 503, 504)
REASONS = (
    *("waiting", "bodies", "connections", "images", "body_size", "pixels"),
    *("header_time", "body_time", "write_time", "rest_time", "request_time", "token", "origin", "ending"),
)
OUTCOMES = ("answered", "failed", "given_up")
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
IMAGES = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class _Family:
    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()


_FAMILIES = (
    _Family("visus_requests_total", "counter", "Requests by path and status.", ("path", "code")),
    _Family("visus_images_total", "counter", "Images by model and what came of them.", ("model", "outcome")),
    _Family("visus_refused_total", "counter", "What was refused or given up, by the limit.", ("reason",)),
    _Family("visus_request_seconds", "histogram", "From the whole header to the end of the answer.", ("path",)),
    _Family("visus_batch_images", "histogram", "Images that went through a network together.", ("model",)),
    _Family("visus_waiting_images", "gauge", "Images that wait for a network."),
    _Family("visus_body_bytes", "gauge", "Bytes of request bodies in memory."),
    _Family("visus_connections", "gauge", "Open connections."),
    _Family("visus_workers", "gauge", "Worker processes that have begun."),
    _Family("process_cpu_seconds_total", "counter", "Processor seconds of all workers."),
    _Family("process_resident_memory_bytes", "gauge", "Memory of all workers."),
)


class Metrics:
    """The counts of one worker, and the sums over all.

    Args:
        models: the names of the models.
        workers: how many processes count.
        row: which of them this one is.
        file: the descriptor of a file for all of them; None: this process alone counts.
    """

    def __init__(self, models: Sequence[str], *, workers: int = 1, row: int = 0, file: int | None = None) -> None:
        self._names = list(_places(models))
        self._at = {name: index for index, name in enumerate(self._names)}
        shape = (workers, len(self._names))
        if file is None:
            self._table = np.zeros(shape)
        else:
            count = workers * len(self._names) * 8
            if os.fstat(file).st_size < count:
                os.ftruncate(file, count)
            self._table = np.frombuffer(mmap.mmap(file, count), np.float64).reshape(shape)
        self._row = self._table[row]
        self._lock = threading.Lock()
        # What a worker that died has used is not forgotten: counters never fall.
        self._earlier = float(self._row[self._at["process_cpu_seconds_total"]])
        self.set("visus_workers", 1)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Counts a request. path: one of :data:`PATHS`."""
        code = min(STATUSES, key=lambda known: (known != status, known // 100 != status // 100, known))
        self._add(f'visus_requests_total{{path="{path}",code="{code}"}}')
        if path in PATHS[:2]:
            self._observe("visus_request_seconds", f'path="{path}"', SECONDS, seconds)

    def images(self, model: str, outcome: str, count: int) -> None:
        """Counts images. outcome: one of :data:`OUTCOMES`."""
        self._add(f'visus_images_total{{model="{model}",outcome="{outcome}"}}', count)

    def refused(self, reason: str) -> None:
        """Counts a refusal. reason: one of :data:`REASONS`; others are not counted."""
        name = f'visus_refused_total{{reason="{reason}"}}'
        if name in self._at:
            self._add(name)

    def batch(self, model: str, count: int) -> None:
        """Counts a batch of so many images."""
        self._observe("visus_batch_images", f'model="{model}"', IMAGES, count)

    def set(self, name: str, value: float) -> None:
        """Sets a gauge."""
        self._row[self._at[name]] = value

    def look_at_process(self) -> None:
        """Reads the processor time and memory of this process."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        self.set("process_cpu_seconds_total", self._earlier + used.ru_utime + used.ru_stime)
        try:
            with open("/proc/self/statm", encoding="ascii") as file:
                pages = int(file.read().split()[1])
            self.set("process_resident_memory_bytes", pages * resource.getpagesize())
        except (OSError, ValueError, IndexError):  # no Linux: the largest that it has been, in kilobytes or bytes
            self.set("process_resident_memory_bytes", used.ru_maxrss)

    def text(self) -> str:
        """All workers' counts together, in Prometheus's text format."""
        self.look_at_process()
        sums = self._table.sum(axis=0)
        lines: list[str] = []
        for family in _FAMILIES:
            lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]
            for name, value in zip(self._names, sums, strict=True):
                own = name.split("{")[0].removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
                if own == family.name and (value or self._is_said(name, family, sums)):
                    lines.append(f"{name} {value:.10g}")
        return "\n".join(lines) + "\n"

    def _is_said(self, name: str, family: _Family, sums: NDArray[np.float64]) -> bool:
        """Whether a zero is said: of every combination of path and status it would be a hundred lines."""
        if family.kind != "histogram":
            return not family.labels or family.name == "visus_refused_total"
        label = name[name.index("{") + 1 : -1].split(",le=")[0]
        return bool(sums[self._at[f"{family.name}_count{{{label}}}"]])

    def _add(self, name: str, value: float = 1) -> None:
        with self._lock:
            self._row[self._at[name]] += value

    def _observe(self, family: str, label: str, buckets: Sequence[float], value: float) -> None:
        with self._lock:
            for bound in (*buckets, np.inf):
                if value <= bound:
                    self._row[self._at[_bucket(family, label, bound)]] += 1
            self._row[self._at[f"{family}_sum{{{label}}}"]] += value
            self._row[self._at[f"{family}_count{{{label}}}"]] += 1


def _bucket(family: str, label: str, bound: float) -> str:
    return f'{family}_bucket{{{label},le="{"+Inf" if bound == np.inf else f"{bound:g}"}"}}'


def _places(models: Sequence[str]) -> Iterator[str]:
    """The name and labels of every number, in the order of the table."""
    yield from (f'visus_requests_total{{path="{path}",code="{code}"}}' for path in PATHS for code in STATUSES)
    yield from (f'visus_images_total{{model="{name}",outcome="{what}"}}' for name in models for what in OUTCOMES)
    yield from (f'visus_refused_total{{reason="{reason}"}}' for reason in REASONS)
    for family, labels, buckets in (
        ("visus_request_seconds", [f'path="{path}"' for path in PATHS[:2]], SECONDS),
        ("visus_batch_images", [f'model="{name}"' for name in models], IMAGES),
    ):
        for label in labels:
            yield from (_bucket(family, label, bound) for bound in (*buckets, np.inf))
            yield from (f"{family}_sum{{{label}}}", f"{family}_count{{{label}}}")
    yield from (family.name for family in _FAMILIES if not family.labels)
