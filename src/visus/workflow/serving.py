"""Loads the models of a server and runs it, in this process or in several workers."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visus.data.pixels.images import ArrayImage
from visus.errors import MissingExtraError, UsageError, VisusError
from visus.structures import Sample

if TYPE_CHECKING:
    from visus.server.limits import Limits
    from visus.server.metrics import Metrics
    from visus.server.served import Served

_LOG = logging.getLogger("visus.server")
_UNFIT = re.compile(r"[^A-Za-z0-9@+._-]+")
_PACKAGES = ("fastapi", "uvicorn", "python_multipart")
_WORKER = "from visus.workflow.serving import work; work()"


@dataclass(frozen=True, slots=True)
class ServeRequest:
    """What a server is asked to be.

    Args:
        models: (name, path) of each; the first is the default.
        host: the address to listen at.
        port: to listen at; 0: any that is free.
        workers: processes that answer.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        threads: of each process for the network; None: as many as the library takes.
        token: that requests must bear; None: none.
        origins: of pages elsewhere that may use it.
        page: whether the page is served.
        quiet: no line for each request.
    """

    models: tuple[tuple[str, str], ...]
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    device: str = "auto"
    threads: int | None = None
    token: str | None = None
    origins: tuple[str, ...] = ()
    page: bool = True
    quiet: bool = False


def require_packages() -> None:
    """Raises MissingExtraError if what a server needs is not installed."""
    from importlib.util import find_spec

    missing = [name.replace("_", "-") for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            "visus serve needs packages that are not installed",
            expected=", ".join(_PACKAGES).replace("_", "-"),
            got=f"without {', '.join(missing)}",
            remedy="pip install 'visus[serve]'",
        )


def named(given: Sequence[str | Path]) -> tuple[tuple[str, str], ...]:
    """(name, path) of what was given as PATH or NAME=PATH.

    Without a name it is that of the run folder, or of the file.
    """
    found = []
    for entry in map(str, given):
        name, mark, path = entry.partition("=")
        if mark and not Path(entry).exists():
            found.append((name, path))
            continue
        place = Path(entry).resolve()
        stem = place.parent.name if place.name == "model.safetensors" else place.name if place.is_dir() else place.stem
        found.append((_UNFIT.sub("-", stem).strip("-.") or "model", entry))
    return tuple(found)


def read_token(path: str | Path) -> str:
    """The token that a file holds, without the spaces and line ends around it.

    Raises:
        DataError: if it cannot be read.
        UsageError: if it is empty or no text of one line.
    """
    from visus.files.regular import read_regular

    text = read_regular(Path(path), limit=4096, expected="a file that holds a token").decode("utf-8", "replace").strip()
    if not text or not text.isprintable():
        raise UsageError(
            f"{path} holds no token", expected="a secret text of one line", got="nothing" if not text else "other text"
        )
    return text


def serve(request: ServeRequest, limits: Limits, *, say: Callable[[str], None]) -> int:
    """Serves until SIGINT or SIGTERM; see :func:`visus.serve`.

    Args:
        request: which models, and where.
        limits: of each worker.
        say: is told the address when requests are taken.

    Returns:
        0; 143 if requests had to be cut off at the end; or what a worker that could not begin ended with.
    """
    require_packages()
    from visus.server.running import listen, log_to_stderr

    log_to_stderr(quiet=request.quiet)
    if request.workers < 1:
        raise UsageError("a server needs a worker", expected="--workers 1 or more", got=str(request.workers))
    sockets = listen(request.host, request.port, count=request.workers)
    try:
        return _serve_at(sockets, request, limits, say)
    finally:
        for opened in sockets:
            opened.close()


def _serve_at(
    sockets: Sequence[socket.socket], request: ServeRequest, limits: Limits, say: Callable[[str], None]
) -> int:
    from visus.server.running import address_of
    from visus.server.workers import Workers

    address = address_of(sockets[0])

    def began() -> None:
        say(f"visus serves {', '.join(name for name, _ in request.models)} at {address}")
        if request.token is None and not _is_local(sockets[0].getsockname()[0]):
            _LOG.warning("whoever reaches this machine can use it: set VISUS_TOKEN, or --host 127.0.0.1")

    if request.workers == 1:
        return _run_one(request, limits, sockets[0], load_served(request), None, began)
    threads = request.threads or max(1, (os.cpu_count() or 1) // request.workers)
    orders = {"request": asdict(replace(request, threads=threads)), "limits": limits.to_dict()}
    workers = Workers([sys.executable, "-c", _WORKER], orders, sockets, grace_seconds=limits.grace_seconds)
    return workers.run(began)


def work() -> None:
    """Runs one of several workers: the program of its process."""
    from visus.server.limits import Limits
    from visus.server.metrics import Metrics
    from visus.server.running import log_to_stderr
    from visus.server.workers import say_ready

    orders: dict[str, Any] = json.load(sys.stdin)
    given = orders["request"]
    models = tuple((name, path) for name, path in given["models"])
    request = ServeRequest(**given | {"models": models, "origins": tuple(given["origins"])})
    log_to_stderr(quiet=request.quiet)
    try:
        served = load_served(request)
        metrics = Metrics(list(served), workers=orders["workers"], row=orders["row"], file=orders["metrics"])
        opened = socket.socket(fileno=orders["socket"])
        code = _run_one(request, Limits(**orders["limits"]), opened, served, metrics, say_ready)
    except VisusError as error:
        _LOG.error("error: %s", error)
        code = error.exit_code
    sys.exit(code)


def load_served(request: ServeRequest) -> Mapping[str, Served]:
    """Loads the models by name.

    Raises:
        WeightsError: if one is missing, corrupt or foreign.
        UsageError: if there is no such device, or two have one name.
    """
    from visus.server.served import Served, served_by_name
    from visus.workflow.loading import load_answering

    served = []
    for name, path in request.models:
        model: Any = load_answering(path, device=request.device, quiet=request.quiet, threads=request.threads)
        _warm(model)
        served.append(Served(name, model, explains=model.network is not None))
    if request.threads is not None and "torch" in sys.modules:
        import torch

        torch.set_num_threads(request.threads)
    return served_by_name(served)


def _run_one(
    request: ServeRequest,
    limits: Limits,
    opened: socket.socket,
    served: Mapping[str, Served],
    metrics: Metrics | None,
    began: Callable[[], None],
) -> int:
    from visus.server.running import run

    cut_off = run(
        served,
        opened,
        limits,
        token=request.token,
        origins=request.origins,
        page=request.page,
        version=version("visus"),
        metrics=metrics,
        began=began,
    )
    if cut_off:
        _LOG.error("%d request%s cut off at the end", cut_off, " was" if cut_off == 1 else "s were")
    return 143 if cut_off else 0


def _warm(model: Any) -> None:
    """Answers a made image, so that what is loaded at the first answer is there before the first request."""
    height, width = model.example_size
    grey = Sample("made", ArrayImage(np.full((height, width, 3), 128, np.uint8)))
    with suppress(VisusError):  # of other channels, or with proposals from files: requests will tell
        list(model.answers([grey], batch_size=1))


def _is_local(host: str) -> bool:
    return host.startswith("127.") or host == "::1"
