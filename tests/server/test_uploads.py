"""What of a request's body is taken as images."""

from __future__ import annotations

import pytest

from visus.server.refusals import Refusal
from visus.server.uploads import Upload, uploads

PNG = b"\x89PNG\r\n\x1a\n--b\r\n\r\nrest"  # with what looks like a boundary


def form(*parts: tuple[str, bytes], boundary: str = "b0undary", end: bool = True) -> tuple[bytes, str]:
    """A multipart body, written by hand after RFC 7578. parts: (header lines, data)."""
    body = b"".join(f"--{boundary}\r\n{head}\r\n\r\n".encode() + data + b"\r\n" for head, data in parts)
    return body + (f"--{boundary}--\r\n".encode() if end else b""), f"multipart/form-data; boundary={boundary}"


def file_part(name: str, field: str = "image") -> str:
    return f'Content-Disposition: form-data; name="{field}"; filename="{name}"\r\nContent-Type: image/png'


def test_several_files_keep_their_order_names_and_bytes() -> None:
    body, kind = form((file_part("a.png"), PNG), (file_part("b.png", "other"), b""), (file_part("ü.png"), b"\r\n\r\n"))
    assert uploads(body, kind, most=3) == [Upload("a.png", PNG), Upload("b.png", b""), Upload("ü.png", b"\r\n\r\n")]


@pytest.mark.parametrize(
    "kind", ["image/jpeg", "IMAGE/PNG", "application/octet-stream", "application/x-www-form-urlencoded", ""]
)
def test_a_body_may_be_the_image_itself(kind: str) -> None:
    assert uploads(PNG, kind, name="x.png", most=1) == [Upload("x.png", PNG)]
    assert uploads(PNG, kind, most=1)[0].name == "image"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\\\photos\\\\me.jpg", "me.jpg"),
        ("a\tb\x7f.png", "ab.png"),
        ("\u202egnp.a", "gnp.a"),
        ("x" * 500, "x" * 200),
        ("", "image 0"),
        ("..", "image 0"),
    ],
)
def test_names_are_made_harmless(given: str, name: str) -> None:
    body, kind = form((file_part(given), b"x"))
    assert uploads(body, kind, most=1)[0].name == name


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (*form((file_part("a"), b"1"), (file_part("b"), b"2")), 413),
        (*form(('Content-Disposition: form-data; name="score"', b"0.5")), 422),
        (*form((file_part("a"), b"1"), end=False), 400),
        (b"", "multipart/form-data; boundary=b0undary", 400),
        (b"no parts", "multipart/form-data; boundary=b0undary", 400),
        (b"--x", "multipart/form-data", 400),
        (form((file_part("a"), b"1"))[0], "multipart/form-data; boundary=" + "b" * 300, 400),
        (form(("X: " + "y" * 9000, b"1"))[0], "multipart/form-data; boundary=b0undary", 400),
        (b'{"url": "http://example.org/a.jpg"}', "application/json", 415),
        (b"http://example.org/a.jpg", "text/plain", 415),
        (b"", "image/png", 422),
    ],
)
def test_everything_else_is_refused_with_its_reason(body: bytes, kind: str, status: int) -> None:
    with pytest.raises(Refusal) as caught:
        uploads(body, kind, most=1)
    assert caught.value.status == status
    assert caught.value.parts["expected"]
    assert caught.value.parts["got"]
