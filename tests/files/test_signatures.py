"""Files of another kind than their name says are told by their first bytes."""

from __future__ import annotations

import gzip
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from visus.files.signatures import kind_of


def _image(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (2, 2)).save(out, kind)
    return out.getvalue()


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", "a")
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (_image("JPEG"), "a JPEG image"),
        (_image("PNG"), "a PNG image"),
        (_image("GIF"), "a GIF image"),
        (_zip(), "a zip archive"),
        (gzip.compress(b"a"), "a gzip archive"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a Git LFS pointer, which stands for the file"),
        (b"\n <!DOCTYPE HTML><html>", "a web page"),
        (b"<html lang='en'>", "a web page"),
    ],
    ids=["jpeg", "png", "gif", "zip", "gzip", "lfs", "doctype", "html"],
)
def test_the_first_bytes_tell(content: bytes, name: str) -> None:
    kind = kind_of(content)
    assert kind is not None
    assert kind.name == name


@pytest.mark.parametrize(
    "content", [b"", b"hello", np.int32([0, 2, 0]).tobytes(), np.float32(0.001).tobytes()], ids=range(4)
)
def test_others_are_nothing_known(content: bytes) -> None:
    assert kind_of(content) is None
