"""The files of the page, which lie in the package and are sent as they are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file. content_type: as browsers are told; tag: changes with the content."""

    content: bytes
    content_type: str
    tag: str

    async def answer(self, request: Request) -> Response:
        """The file, or the word that it has not changed."""
        headers = {"etag": self.tag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == self.tag:
            return Response(status_code=304, headers=headers)
        return Response(self.content, headers={**headers, "content-type": self.content_type})


def page_files() -> Mapping[str, PageFile]:
    """The files by their paths: "/" is the page itself."""
    found = {}
    for entry in sorted(files("visus.server").joinpath("page").iterdir(), key=lambda entry: entry.name):
        content = entry.read_bytes()
        kind = f"{_TYPES[entry.name.rpartition('.')[2]]}; charset=utf-8"
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        found["/" if entry.name == "index.html" else f"/{entry.name}"] = PageFile(content, kind, tag)
    return found
