"""Who may ask: the token, pages of other origins, and what stands in the log."""

from __future__ import annotations

import hmac
import logging
from typing import Any

import pytest

from served_fakes import Asked, FakeModel, encoded

TOKEN = "correct horse battery"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def guarded() -> Asked:
    return Asked({"grey": FakeModel()}, token=TOKEN, origins=("https://friend.example",))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (bearer("correct horse batterz"), 401),
        (bearer(""), 401),
        ({"authorization": TOKEN}, 401),
        ({"authorization": f"Basic {TOKEN}"}, 401),
        ({"authorization": "Bearer ünlikely".encode()}, 401),
        (bearer(TOKEN), 200),
        ({"authorization": f"bearer  {TOKEN} "}, 200),
    ],
)
def test_the_token_is_asked_for(guarded: Asked, headers: Any, status: int) -> None:
    answer = guarded.send("/predict", encoded(), headers=headers)
    assert answer.status_code == status
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert TOKEN not in answer.text


def test_only_the_page_and_the_health_are_there_without_a_token(guarded: Asked) -> None:
    for path in ("/", "/page.js", "/healthz"):
        assert guarded("GET", path).status_code == 200, path
    for path in ("/models", "/metrics", "/openapi.json", "/nothing"):
        assert guarded("GET", path).status_code == 401, path


def test_the_token_is_compared_in_constant_time(guarded: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    compare = hmac.compare_digest
    monkeypatch.setattr("hmac.compare_digest", lambda a, b: seen.append((a, b)) or compare(a, b))
    guarded("GET", "/models", headers=bearer("guess"))
    assert seen == [(b"guess", TOKEN.encode())]


@pytest.mark.parametrize(
    "origin", ["https://foe.example", "null", "http://visus.test:81", "https://friend.example.foe"]
)
def test_pages_of_other_origins_may_not_ask(guarded: Asked, origin: str) -> None:
    answer = guarded.send("/predict", encoded(), headers=bearer(TOKEN) | {"origin": origin})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    assert guarded("OPTIONS", "/predict", headers={"origin": origin}).status_code == 403


def test_the_own_page_and_those_that_are_named_may(guarded: Asked) -> None:
    own = guarded.send("/predict", encoded(), headers=bearer(TOKEN) | {"origin": "http://visus.test"})
    assert own.status_code == 200
    assert "access-control-allow-origin" not in own.headers
    friend = {"origin": "https://friend.example"}
    assert guarded("OPTIONS", "/predict", headers=friend).status_code == 204
    answer = guarded.send("/predict", encoded(), headers=bearer(TOKEN) | friend)
    assert answer.headers["access-control-allow-origin"] == "https://friend.example"
    assert "Origin" in answer.headers["vary"]


def test_the_page_loads_nothing_from_elsewhere(guarded: Asked) -> None:
    for path in ("/", "/page.js", "/style.css", "/drawing.js", "/asking.js"):
        answer = guarded("GET", path)
        assert "http://" not in answer.text
        assert "https://" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        again = guarded("GET", path, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_the_log_tells_of_a_request_and_nothing_of_its_images(caplog: pytest.LogCaptureFixture) -> None:
    asked = Asked({"grey": FakeModel()})
    with caplog.at_level(logging.INFO, "visus.server"):
        asked("POST", "/predict?name=passport-of-jane.png", content=encoded())
        asked("GET", "/secret%0Afake-line")
        asked("POST", "/predict?name=passport-of-jane.png", content=b"jane")
    lines: list[Any] = [record.getMessage() for record in caplog.records]
    assert lines[0].startswith("POST /predict 200 ")
    assert "model=grey images=1 bytes=" in lines[0]
    assert lines[1].startswith("GET other 404 ")
    assert "jane" not in "".join(lines)
    asked.service.line.end(5)
