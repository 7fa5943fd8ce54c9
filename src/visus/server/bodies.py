"""Reads the bodies of requests, within their deadline and their share of memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request

from visus.server.limits import Limits
from visus.server.refusals import Refusal


class GoneError(Exception):
    """The client has closed the connection: nobody waits for an answer."""


class Room:
    """The memory for bodies. most: bytes of all bodies together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.taken = 0

    def take(self, count: int) -> None:
        """Takes room.

        Raises:
            Refusal: 503, if there is none left.
        """
        if self.taken + count > self._most:
            raise Refusal(
                503,
                "too many images are being sent at once",
                remedy="send this again in a moment",
                reason="bodies",
                headers={"retry-after": "2"},
                unread=True,
            )
        self.taken += count

    @contextmanager
    def share(self) -> Iterator[Share]:
        """A share of the room, given back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self.taken -= share.taken


class Share:
    """What one request has taken of the room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.taken = 0

    def take(self, count: int) -> None:
        """Takes more; raises as :meth:`Room.take`."""
        self._room.take(count)
        self.taken += count


def require_small(request: Request, limits: Limits) -> None:
    """Raises Refusal (413) if the header of a request says that its body is too large."""
    stated = request.headers.get("content-length", "")
    if stated.isdigit() and int(stated) > limits.body:
        raise _too_large(limits, f"{int(stated):,} bytes")


async def read_body(request: Request, limits: Limits, share: Share) -> bytes:
    """All bytes of a request's body.

    Raises:
        Refusal: if it is too large, does not come in time, or there is no room for it.
        GoneError: if the client goes away.
    """
    require_small(request, limits)
    blocks, count = [], 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise GoneError
                block = message.get("body", b"")
                count += len(block)
                if count > limits.body:
                    raise _too_large(limits, "more")
                share.take(len(block))
                blocks.append(block)
                if not message.get("more_body"):
                    return b"".join(blocks)
    except TimeoutError:
        raise Refusal(
            408,
            "the body of the request did not come in time",
            expected=f"all of it within {limits.body_seconds:g} seconds",
            got=f"{count:,} bytes",
            reason="body_time",
            unread=True,
        ) from None


def _too_large(limits: Limits, got: str) -> Refusal:
    return Refusal(
        413,
        "the body of the request is too large",
        expected=f"at most {limits.body:,} bytes",
        got=got,
        remedy="send fewer images at a time, or smaller ones",
        reason="body_size",
        unread=True,
    )
