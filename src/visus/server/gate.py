"""The outermost part of the application: who may ask, what is logged and counted, and the headers of every answer."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from visus.server.line import ending
from visus.server.metrics import PATHS, Metrics
from visus.server.refusals import Refusal, refusal_of

_LOG = logging.getLogger("visus.server")
ACCESS_LOG = logging.getLogger("visus.server.access")

_HEADERS = {
    # The page loads nothing from anywhere else; pictures that a person drops are blobs.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cross-origin-resource-policy": "same-origin",
}
_OPEN = ("page", "/healthz")
"""Paths for which no token is needed: they say nothing of models or images."""


class Gate:
    """Lets requests through to the application.

    Args:
        app: behind it.
        metrics: count.
        token: that requests must bear; None: none.
        origins: of pages elsewhere that may ask and read, such as "https://example.org"; none: no page but the own.
        pages: the paths of the own page.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        *,
        token: str | None = None,
        origins: Sequence[str] = (),
        pages: frozenset[str] = frozenset(),
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._token = None if token is None else token.encode()
        self._origins = frozenset(origins)
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        place = self._place(scope["path"])
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")
        status = 499  # nobody was there to be answered
        # Details for the log, which the application fills in: numbers and names of models, nothing of images.
        notes: dict[str, Any] = scope.setdefault("visus.notes", {})

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._complete(MutableHeaders(scope=message), origin, place)
            await send(message)

        try:
            try:
                if scope["method"] == "OPTIONS" and origin in self._origins:
                    await _send_empty(answer)
                    return
                self._require_right(headers, origin, place)
                await self._app(scope, receive, answer)
            except Refusal as refusal:
                self._metrics.refused(refusal.reason)
                await refusal.response()(scope, receive, answer)
        except asyncio.CancelledError:  # the server ends, and the time for what was under way is over
            if status == 499:
                await ending().response()(scope, receive, answer)
        except Exception as error:
            _LOG.exception("a request failed")
            if status == 499:
                await refusal_of(error).response()(scope, receive, answer)
        finally:
            seconds = time.monotonic() - began
            self._metrics.request(place, status, seconds)
            told = "".join(f" {name}={value}" for name, value in notes.items())
            ACCESS_LOG.info("%s %s %d %.0fms%s", _method(scope), place, status, 1000 * seconds, told)

    def _place(self, path: str) -> str:
        """One of :data:`PATHS`: what clients write is neither logged nor counted as they write it."""
        return path if path in PATHS else "page" if path in self._pages else "other"

    def _require_right(self, headers: Headers, origin: str, place: str) -> None:
        if origin and origin not in self._origins and urlsplit(origin).netloc != headers.get("host", ""):
            raise Refusal(
                403,
                "pages of other origins may not use this server",
                expected="a request of its own page, or of a program",
                got=f"Origin: {origin[:200]}",
                remedy="start the server with --origin, if this page is to be let in",
                reason="origin",
                unread=True,
            )
        if self._token is None or place in _OPEN:
            return
        kind, _, given = headers.get("authorization", "").partition(" ")
        # Compared in a time that does not tell how many of its first letters are right.
        if not (hmac.compare_digest(given.strip().encode(), self._token) and kind.lower() == "bearer"):
            raise Refusal(
                401,
                "this server asks for a token",
                expected="Authorization: Bearer TOKEN",
                got="another token" if given else "none",
                reason="token",
                headers={"www-authenticate": "Bearer"},
                unread=True,
            )

    def _complete(self, headers: MutableHeaders, origin: str, place: str) -> None:
        for name, value in _HEADERS.items():
            headers[name] = value
        if place != "page":
            headers["cache-control"] = "no-store"
        if self._origins:
            headers.add_vary_header("Origin")
        if origin in self._origins:
            headers["access-control-allow-origin"] = origin
            headers["access-control-allow-methods"] = "GET, POST"
            headers["access-control-allow-headers"] = "authorization, content-type"
            headers["cross-origin-resource-policy"] = "cross-origin"


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in ("GET", "HEAD", "POST", "OPTIONS") else "?"


async def _send_empty(send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})
