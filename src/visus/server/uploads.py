"""Takes the images out of a request's body: several as ``multipart/form-data``, or the bytes of one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import Any

from python_multipart.multipart import MultipartParser, parse_options_header

from visus.server.refusals import Refusal

LONGEST_NAME = 200
_HINT = "send image files as multipart/form-data, or the bytes of one image with its type, such as image/jpeg"
_ODD = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")  # control and direction characters


@dataclass(frozen=True, slots=True)
class Upload:
    """An encoded image that a client sent. name: of its file, as the client calls it, made harmless."""

    name: str
    data: bytes


def uploads(body: bytes, content_type: str, *, name: str = "", most: int) -> list[Upload]:
    """The images of a body.

    Args:
        body: of the request.
        content_type: its header of that name; "" if there was none.
        name: of a single image that is the body itself.
        most: images.

    Raises:
        Refusal: 400, 413, 415 or 422, if there is no image, or more than ``most``, or something else among them.
    """
    kind, options = parse_options_header(content_type or "application/octet-stream")
    kind = kind.lower()
    if kind == b"multipart/form-data":
        return _parts(body, options.get(b"boundary", b""), most)
    # curl --data-binary says application/x-www-form-urlencoded of whatever it sends.
    if not kind.startswith(b"image/") and kind not in (
        b"application/octet-stream",
        b"application/dicom",
        b"application/x-www-form-urlencoded",
    ):
        raise Refusal(
            415,
            "this kind of body is not taken",
            expected="multipart/form-data, image/..., or application/octet-stream",
            got=_ODD.sub("", content_type)[:100],
            remedy=f"{_HINT}; addresses of images are not followed",
        )
    if not body:
        raise _nothing()
    return [Upload(_harmless(name) or "image", body)]


def _parts(body: bytes, boundary: bytes, most: int) -> list[Upload]:
    found: list[Upload] = []
    header: dict[bytes, bytes] = {}
    field, value, data = bytearray(), bytearray(), bytearray()
    ended = False

    def begin() -> None:
        header.clear()
        data.clear()
        if len(found) >= most:
            raise Refusal(
                413,
                "the request has too many images",
                expected=f"at most {most}",
                got="more",
                remedy="send the others in another request",
                reason="images",
            )

    def end_of_header() -> None:
        header[bytes(field).lower()] = bytes(value)
        field.clear()
        value.clear()

    def end() -> None:
        _, options = parse_options_header(header.get(b"content-disposition", b""))
        name = options.get(b"filename")
        if name is None:
            label = options.get(b"name", b"").decode("utf-8", "replace")
            raise Refusal(
                422,
                f"the field {_harmless(label) or 'without a name'} is no file",
                expected="image files alone",
                got="text",
                remedy="settings go into the address: /predict?model=NAME&score=0.5",
            )
        text = name.decode("utf-8", "replace")
        found.append(Upload(_harmless(text) or f"image {len(found)}", bytes(data)))

    def whole() -> None:
        nonlocal ended
        ended = True

    callbacks: Any = {
        "on_part_begin": begin,
        "on_header_field": lambda block, start, stop: field.extend(block[start:stop]),
        "on_header_value": lambda block, start, stop: value.extend(block[start:stop]),
        "on_header_end": end_of_header,
        "on_part_data": lambda block, start, stop: data.extend(block[start:stop]),
        "on_part_end": end,
        "on_end": whole,
    }
    try:
        parser = MultipartParser(boundary, callbacks)
        parser.write(body)
        parser.finalize()
    except Refusal:
        raise
    except Exception as error:  # a foreign parser on foreign bytes: whatever it raises, the body is what is wrong
        raise _broken(str(error).split("\n")[0][:200]) from None
    if not ended:
        raise _broken("it ends in the middle of a part" if body else "0 bytes")
    if not found:
        raise _nothing()
    return found


def _broken(got: str) -> Refusal:
    return Refusal(
        400, "the body is no whole multipart/form-data", expected="parts, and the end", got=got, remedy=_HINT
    )


def _nothing() -> Refusal:
    return Refusal(422, "the request has no image", expected="at least one", got="none", remedy=_HINT)


def _harmless(name: str) -> str:
    """A file's name without folders, of characters that can be shown."""
    return _ODD.sub("", PureWindowsPath(name).name).strip(" .")[:LONGEST_NAME]
