"""What a request is refused with: an HTTP status, and the four parts of every message of visus."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from visus.errors import DataError, MemoryExhaustedError, UsageError, VisusError
from visus.files.json_text import json_text

LINGER_SECONDS = 2.0
"""For so long a client that still sends is listened to after it was refused: who is cut off while sending may never
see the answer."""

LINGER_BYTES = 64 << 20


class Refusal(Exception):
    """A request that is not answered.

    Args:
        status: of HTTP.
        problem, expected, got, remedy: as in :class:`visus.errors.VisusError`.
        reason: the word by which the metrics count it; "" is not counted.
        headers: of the answer.
        unread: whether the client may still be sending, so that the connection must end.
    """

    def __init__(
        self,
        status: int,
        problem: str,
        *,
        expected: str = "",
        got: str = "",
        remedy: str = "",
        reason: str = "",
        headers: Mapping[str, str] | None = None,
        unread: bool = False,
    ) -> None:
        super().__init__(problem)
        self.status = status
        self.parts = {"problem": problem, "expected": expected, "got": got, "remedy": remedy}
        self.reason = reason
        self.headers = dict(headers or {})
        self.unread = unread

    def response(self) -> Response:
        """The answer: ``{"error": {"problem": ..., ...}}``."""
        body = {"error": {name: text for name, text in self.parts.items() if text}}
        kind = LastResponse if self.unread else JsonResponse
        return kind(body, self.status, self.headers)


class JsonResponse(Response):
    """JSON as visus writes it; numbers that are not finite become null."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json_text(content).encode()

    def __init__(self, content: Any, status_code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(content, status_code, headers)


class LastResponse(JsonResponse):
    """The last answer on a connection whose client may still be sending.

    The answer goes out at once and whole. What the client still sends is thrown away for a moment, so that it comes to
    reading the answer: closing a socket with unread bytes resets the connection, and with it the answer.
    """

    def __init__(self, content: Any, status_code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(content, status_code, {**(headers or {}), "connection": "close"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - of ASGI
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        taken = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while taken < LINGER_BYTES:
                    message = await receive()
                    if message["type"] != "http.request" or not message.get("more_body"):
                        break
                    taken += len(message.get("body", b""))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def refusal_of(error: BaseException) -> Refusal:
    """The refusal that says what went wrong in the work; bugs say nothing of themselves to clients."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, MemoryError | MemoryExhaustedError):
        return Refusal(503, "there is not enough memory for these images", headers={"retry-after": "5"})
    if isinstance(error, VisusError):
        status = 422 if isinstance(error, DataError | UsageError) else 500
        return Refusal(status, error.problem, expected=error.expected, got=error.got, remedy=error.remedy)
    return Refusal(500, "the server failed on its own", remedy="its log says where; this is a bug")
