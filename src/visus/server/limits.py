"""How much a server takes, and how long it waits: uvicorn has no such limits itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from visus.errors import UsageError
from visus.files.regular import MIB


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one worker process.

    Args:
        body: bytes of a request's body.
        bodies: bytes of all bodies that are in memory at once.
        images: of a request.
        pixels: height x width of an image, by its header, before anything is decoded.
        waiting: images that wait for the network, of all requests.
        batch: images that go through the network together.
        connections: open at once.
        header_seconds: from a connection's beginning, or the last answer, until a request's header is there.
        body_seconds: until its body is there.
        request_seconds: from then until its answer is ready.
        write_seconds: that a client may read nothing of its answer.
        grace_seconds: for requests that are under way when the server is told to end.

    Raises:
        UsageError: if one of them is not above 0.
    """

    body: int = 32 * MIB
    bodies: int = 256 * MIB
    images: int = 16
    pixels: int = 25_000_000
    waiting: int = 64
    batch: int = 8
    connections: int = 512
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    request_seconds: float = 60.0
    write_seconds: float = 30.0
    grace_seconds: float = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise UsageError(
                    f"the limit {field.name} of a server must be above 0",
                    expected="a number above 0",
                    got=str(getattr(self, field.name)),
                )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)
