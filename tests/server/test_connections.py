"""Slow, broken and rude clients: each gets a clear end, and others are answered meanwhile."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from served_fakes import SHORT, FakeModel, Running, encoded
from visus.server.limits import Limits


@contextmanager
def connection(running: Running, seconds: float = 8) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", running.port), timeout=seconds) as opened:
        yield opened


def rest(opened: socket.socket) -> bytes:
    """All that still comes; empty if the connection was reset."""
    blocks = []
    try:
        while block := opened.recv(65536):
            blocks.append(block)
    except ConnectionResetError:
        pass
    return b"".join(blocks)


def header(length: int, **more: str) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in more.items())
    return f"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n{lines}\r\n".encode()


def healthy(running: Running) -> bool:
    with urllib.request.urlopen(running.address + "healthz", timeout=8) as answer:
        return json.load(answer) == {"status": "ok"}


def waits_until(what: Callable[[], bool], seconds: float = 8) -> bool:
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_a_client_that_sends_nothing_is_closed(running: Running) -> None:
    with connection(running) as opened:
        began = time.monotonic()
        assert rest(opened) == b""
        assert SHORT.header_seconds * 0.8 < time.monotonic() - began < 6


def test_a_header_that_drips_is_ended_though_bytes_keep_coming(running: Running) -> None:
    with connection(running) as opened:
        began = time.monotonic()
        opened.sendall(b"POST /predict HTTP/1.1\r\nx: ")
        answer = b""
        opened.settimeout(0.05)
        while not answer and time.monotonic() - began < 8:
            try:
                opened.sendall(b"a")
                answer = opened.recv(1000)
            except TimeoutError:
                continue
            except OSError:
                break
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert healthy(running)


def test_a_body_that_does_not_come_is_answered_with_408(running: Running) -> None:
    with connection(running) as opened:
        opened.sendall(header(1000) + b"abc")
        answer = rest(opened)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"1.5 seconds" in answer
    assert b"connection: close" in answer


def test_a_body_that_is_too_large_by_its_header_is_refused_before_it_is_sent(running: Running) -> None:
    with connection(running) as opened:
        opened.sendall(header(10_000_000_000))
        assert opened.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_sends_blindly_can_still_read_why_it_is_refused(running: Running) -> None:
    with connection(running) as opened:
        opened.sendall(header(5_000_000))
        opened.sendall(bytes(5_000_000))
        answer = rest(opened)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"at most 300,000 bytes" in answer


def test_a_chunked_body_without_a_stated_length_is_counted(running: Running) -> None:
    with connection(running) as opened:
        opened.sendall(b"POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(5):
            opened.sendall(b"186a0\r\n" + bytes(100_000) + b"\r\n")
        answer = rest(opened)
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "head",
    [
        b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: -5\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcde",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 40_000,
    ],
    ids=["negative", "two-lengths", "tls", "long-header"],
)
def test_what_is_no_request_gets_400(running: Running, head: bytes) -> None:
    with connection(running) as opened:
        opened.sendall(head)
        assert rest(opened)[:13] in (b"HTTP/1.1 400 ", b"")
    assert healthy(running)


def test_a_body_shorter_than_stated_is_no_request(running: Running) -> None:
    before = len(running.models["grey"].batches)
    with connection(running) as opened:
        opened.sendall(header(1000) + b"abc")
        opened.shutdown(socket.SHUT_WR)
        rest(opened)
    assert len(running.models["grey"].batches) == before
    assert healthy(running)


def test_a_client_that_reads_nothing_is_cut_off() -> None:
    class Talkative(FakeModel):
        classes = tuple(f"{'x' * 4000}{i}" for i in range(3000))  # type: ignore[assignment]

        def _value(self, pixels: Any) -> Any:
            from visus.structures import Label

            return Label(self.classes, 0, scores=np.full(3000, 1 / 3000, np.float32))

    running = Running({"long": Talkative()}, SHORT)
    data = encoded()
    with connection(running) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        opened.sendall(header(len(data)) + data)
        assert waits_until(lambda: 'visus_refused_total{reason="write_time"} 1' in running.metrics.text(), 15)
        assert waits_until(lambda: running.connections() == 0)


def test_too_many_connections_are_turned_away_and_those_that_are_there_go_on(running: Running) -> None:
    with connection(running) as first:
        first.sendall(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        answer = b""
        while b'{"status": "ok"}' not in answer:
            answer += first.recv(65536)
        others = [socket.create_connection(("127.0.0.1", running.port), timeout=8) for _ in range(14)]
        ends = [opened.recv(1000) for opened in others[-2:]]
        assert ends[-1].startswith(b"HTTP/1.1 503 ")
        assert b"retry-after" in ends[-1]
        for opened in others:
            opened.close()
    assert waits_until(lambda: healthy(running))


def test_work_that_nobody_waits_for_leaves_the_line() -> None:
    slow = FakeModel(seconds=0.3)
    running = Running({"slow": slow}, Limits(batch=1))
    data = encoded()
    with connection(running) as first, connection(running) as second, connection(running) as third:
        for opened in (first, second, third):
            opened.sendall(header(len(data)) + data)
            assert waits_until(lambda: len(slow.batches) == 1)
        second.close()
        assert rest_of_one(third).startswith(b"HTTP/1.1 200 ")
        assert rest_of_one(first).startswith(b"HTTP/1.1 200 ")
    assert len(slow.batches) == 2
    assert 'outcome="given_up"} 1' in running.metrics.text()


def rest_of_one(opened: socket.socket) -> bytes:
    """The answer of a prediction."""
    answer = b""
    while b"}]}" not in answer:
        answer += opened.recv(65536)
    return answer
