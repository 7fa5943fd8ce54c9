"""Runs one worker: uvicorn with this package's connections, limits, log and end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import uvicorn

from visus.errors import UsageError
from visus.server.app import Service, make_app
from visus.server.limits import Limits
from visus.server.metrics import Metrics
from visus.server.protocol import LARGEST_HEADER, timed_protocol
from visus.server.served import Served

_BACKLOG = 128
_TICK = 0.5  # seconds between two looks at the gauges


def listen(host: str, port: int, *, count: int = 1) -> list[socket.socket]:
    """Sockets that listen at an address, one for each worker; who connects before a worker is there waits for it.

    They listen from the beginning: two programs can bind one port as long as neither listens.
    Workers have a socket each, among which the system spreads connections: of one socket that they share, the one that
    wakes up first takes all that are there.

    Raises:
        UsageError: if the address is taken, not of this machine, or not to be had.
    """
    try:
        if not 0 <= port <= 65535:  # the system would take its last 16 bits
            raise OverflowError("ports go from 0 to 65535")
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        first = _bound(family, address, shared=False)
        if count == 1:
            return [first]
        # Whoever binds a port to be shared can also bind one that another server shares: only the one that is not
        # shared shows that nobody has it.
        address = first.getsockname()
        first.close()
        return [_bound(family, address, shared=True) for _ in range(count)]
    except (OSError, OverflowError, UnicodeError) as error:
        taken = getattr(error, "errno", None) == errno.EADDRINUSE
        raise UsageError(
            f"port {port} of {host} is taken" if taken else f"port {port} of {host} cannot be listened at",
            expected="a free port of an address of this machine",
            got="another program listens there" if taken else str(getattr(error, "strerror", None) or error),
            remedy="choose another with --port (0: any that is free), or end that program"
            if taken
            else "choose another with --host and --port; ports below 1024 need rights",
        ) from None


def _bound(family: int, address: object, *, shared: bool) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind(address)  # type: ignore[arg-type]
        opened.listen(_BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened


def address_of(opened: socket.socket) -> str:
    """The address of a socket for a browser on this machine."""
    host, port = opened.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{port}/"


class _Server(uvicorn.Server):
    """Ends with a return: uvicorn's own sends the signal to the process again, which then never comes to its end."""

    def __init__(self, config: uvicorn.Config, service: Service, began: Callable[[], None]) -> None:
        super().__init__(config)
        self._service = service
        self._began = began
        self.cut_off = 0

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        earlier = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._service.line.start()
        self._watch = asyncio.ensure_future(self._look())
        if self.started:
            self._began()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.ending = True
        end = self.config.timeout_graceful_shutdown
        self.config.timeout_graceful_shutdown = None  # what is left then would be logged as failed
        tasks = self.server_state.tasks
        closing = asyncio.ensure_future(super().shutdown(sockets))
        await asyncio.wait({closing}, timeout=end)
        if not closing.done():
            self.cut_off = len(tasks)
            self.force_exit = True
            for task in list(tasks):
                task.cancel()  # each answers that the server ends
            if tasks:
                await asyncio.wait(set(tasks), timeout=1)
            for connection in list(self.server_state.connections):
                if connection.transport is not None:
                    connection.transport.abort()
            await closing
        self._watch.cancel()
        await asyncio.to_thread(self._service.line.end, 1.0)

    async def _look(self) -> None:
        while True:
            self._service.look(len(self.server_state.connections))
            await asyncio.sleep(_TICK)


def run(
    models: Mapping[str, Served],
    opened: socket.socket,
    limits: Limits,
    *,
    token: str | None = None,
    origins: Sequence[str] = (),
    page: bool = True,
    version: str = "0",
    metrics: Metrics | None = None,
    began: Callable[[], None] = lambda: None,
) -> int:
    """Answers requests until a signal (SIGINT or SIGTERM) ends it; what is under way then is still answered.

    Args:
        models: by name; the first is the default.
        opened: a socket that listens.
        limits: of this process.
        token: that requests must bear; None: none.
        origins: of pages elsewhere that may use it.
        page: whether the page is served.
        version: of visus.
        metrics: shared with other workers; None: own ones.
        began: is called when requests are taken.

    Returns:
        How many requests were cut off at the end.
    """
    metrics = metrics or Metrics(list(models))
    service = Service(models, limits, metrics)
    config = uvicorn.Config(
        make_app(service, token=token, origins=origins, page=page, version=version),
        http=timed_protocol(limits, metrics.refused),
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=max(int(limits.header_seconds / 2), 1),
        timeout_graceful_shutdown=max(int(limits.grace_seconds), 1),
        h11_max_incomplete_event_size=LARGEST_HEADER,
    )
    server = _Server(config, service, began)
    server.run([opened])
    return server.cut_off


def log_to_stderr(*, quiet: bool) -> None:
    """Sends the log to standard error. quiet: without a line for each request."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    for name, level in (("visus.server", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
    logging.getLogger("visus.server.access").disabled = quiet
