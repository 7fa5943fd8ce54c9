"""A hub that states the hash of its files, played by a server on this machine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from visus.errors import WeightsError
from visus.models.card import WeightsFile
from visus.models.fetching import fetch

CONTENT = b"tensors, let us say" * 1000
HASH = hashlib.sha256(CONTENT).hexdigest()


class Hub(BaseHTTPRequestHandler):
    """Redirects to another address, as the Hugging Face hub does, and states the file's hash before."""

    stated = f'"{HASH}"'

    def do_HEAD(self) -> None:
        self.send_response(302 if self.path.startswith("/resolve") else 404)
        self.send_header("Location", "/content")
        self.send_header("X-Linked-ETag", self.stated)
        self.end_headers()

    def do_GET(self) -> None:
        if self.path.startswith("/resolve"):
            self.do_HEAD()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("VISUS_CACHE", str(tmp_path))
    monkeypatch.setattr(Hub, "stated", f'"{HASH}"')
    server = HTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def hub_file(hub: str, path: str = "/resolve/main/model.safetensors") -> WeightsFile:
    return WeightsFile("net.safetensors", "", hub + path, "timm", "ImageNet-1k", "Apache-2.0")


def test_the_hash_that_the_hub_states_is_checked_and_kept(hub: str) -> None:
    path = fetch(hub_file(hub))
    assert path.read_bytes() == CONTENT
    assert path.with_name("net.safetensors.sha256").read_text().strip() == HASH
    assert fetch(hub_file(hub)) == path
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match="corrupt") as caught:
        fetch(hub_file(hub))
    assert HASH in caught.value.expected


def test_another_content_than_the_hub_stated_is_refused(
    hub: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Hub, "stated", "0" * 64)
    with pytest.raises(WeightsError, match="is not the published one"):
        fetch(hub_file(hub))
    assert list((tmp_path / "weights").iterdir()) == []


def test_a_hub_that_states_nothing_is_refused(hub: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Hub, "stated", '"an-etag-of-another-kind"')
    with pytest.raises(WeightsError, match="states no SHA-256") as caught:
        fetch(hub_file(hub))
    assert str(tmp_path / "weights" / "net.safetensors") in caught.value.remedy
    assert list((tmp_path / "weights").iterdir()) == []


def test_a_file_that_is_not_there_is_said(hub: str) -> None:
    with pytest.raises(WeightsError, match="cannot download") as caught:
        fetch(hub_file(hub, "/gone/model.safetensors"))
    assert "/gone/model.safetensors" in caught.value.expected
    assert "404" in caught.value.got or "Not Found" in caught.value.got


def test_a_file_brought_by_hand_is_taken_if_it_cannot_hold_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUS_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "net.safetensors").write_bytes(CONTENT)
    (tmp_path / "weights" / "net.pth").write_bytes(CONTENT)
    assert fetch(hub_file("http://127.0.0.1:9")).name == "net.safetensors"
    other = WeightsFile("net.pth", "", "http://127.0.0.1:9/net.pth", "timm", "ImageNet-1k", "Apache-2.0")
    with pytest.raises(WeightsError, match=r"the hash of .* is unknown"):
        fetch(other)
