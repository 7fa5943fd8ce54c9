"""Servers as processes of their own: the port, the end on a signal, and several workers."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from served_fakes import encoded
from visus.errors import UsageError
from visus.server.running import address_of, listen

FAKES = Path(__file__).parents[1] / "shared" / "served_fakes.py"


@contextmanager
def process(**orders: Any) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server of fakes as a process, and its port."""
    with subprocess.Popen(
        [sys.executable, str(FAKES), json.dumps(orders)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        try:
            address = started.stdout.readline().strip()
            assert address, started.communicate()[1]
            yield started, urlsplit(address).port or 0
        finally:
            started.kill()


class Asking(threading.Thread):
    """Sends one image from a thread of its own."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.status = 0
        self.text = ""
        self.start()

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", "/predict", encoded(), {"content-type": "image/png"})
            answer = connection.getresponse()
            self.status, self.text = answer.status, answer.read().decode()
        except OSError as error:
            self.text = str(error)


def test_a_signal_ends_it_after_what_is_under_way() -> None:
    with process(seconds=2, limits={"grace_seconds": 20}) as (started, port):
        idle = socket.create_connection(("127.0.0.1", port))
        asking = Asking(port)
        time.sleep(0.3)
        began = time.monotonic()
        started.send_signal(signal.SIGTERM)
        while True:  # until nobody listens any more
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except OSError:
                break
            assert time.monotonic() - began < 10
        assert asking.is_alive()
        asking.join(30)
        assert started.wait(20) == 0
        assert time.monotonic() - began < 15
        assert (asking.status, json.loads(asking.text)["predictions"][0]["label"]) == (200, "bright"), asking.text
        idle.close()


def test_what_does_not_end_in_time_is_told_so_and_the_exit_says_it() -> None:
    with process(seconds=6, limits={"grace_seconds": 1}) as (started, port):
        asking = Asking(port)
        time.sleep(0.5)
        started.send_signal(signal.SIGTERM)
        asking.join(30)
        assert (asking.status, json.loads(asking.text)["error"]["problem"]) == (503, "the server is ending")
        assert started.wait(20) == 1  # request
        assert "Traceback" not in (started.stderr.read() if started.stderr else "")


def test_a_port_that_is_taken_is_an_error_of_usage() -> None:
    taken = listen("127.0.0.1", 0)[0]
    for count in (1, 3):
        with pytest.raises(UsageError, match="is taken") as caught:
            listen("127.0.0.1", taken.getsockname()[1], count=count)
        assert "--port" in caught.value.remedy
    taken.close()


@pytest.mark.parametrize(("host", "port"), [("no-such-host.invalid", 80), ("203.0.113.1", 8000), ("127.0.0.1", 70000)])
def test_an_address_that_is_not_there_is_an_error_of_usage(host: str, port: int) -> None:
    with pytest.raises(UsageError):
        listen(host, port)


def test_workers_have_sockets_of_one_port_that_nobody_else_gets() -> None:
    opened = listen("127.0.0.1", 0, count=3)
    port = opened[0].getsockname()[1]
    assert {one.getsockname()[1] for one in opened} == {port}
    assert address_of(opened[0]) == f"http://127.0.0.1:{port}/"
    with pytest.raises(UsageError):
        listen("127.0.0.1", port, count=2)
    for one in opened:
        one.close()
