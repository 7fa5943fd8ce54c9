"""The paths and their answers, in this process, without a socket."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from served_fakes import SHORT, Asked, FakeModel, encoded
from visus.server.schema import Explanations, Failure, Models, Predictions

Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def asked() -> Iterator[Asked]:
    kinds = ("classification", "detection", "instance_segmentation", "segmentation")
    asked = Asked({kind: FakeModel(kind) for kind in kinds})
    yield asked
    asked.service.line.end(5)


def picture(text: str) -> Any:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def test_the_answer_is_the_document_of_the_command_line(asked: Asked) -> None:
    from visus.api.predict import FileAnswer
    from visus.data.pixels.images import BytesImage

    data = encoded(250)
    answer = asked.send("/predict", data)
    value = asked.models["classification"]._value(BytesImage(data, "0.png").load())
    assert answer.status_code == 200
    assert answer.json() == {"predictions": [FileAnswer("0.png", value).to_dict()]}
    assert answer.json()["predictions"][0]["label"] == "bright"


def test_each_image_gets_its_own_answer_and_wrong_ones_an_error(asked: Asked) -> None:
    answer = asked.send("/predict", encoded(255), b"no image", encoded(0), encoded(128))
    entries = answer.json()["predictions"]
    assert answer.status_code == 200
    assert [entry["image"] for entry in entries] == ["0.png", "1.png", "2.png", "3.png"]
    assert [entry.get("label") for entry in entries] == ["bright", None, "dark", "middle"]
    assert set(entries[1]) == {"image", "error"}
    Predictions.model_validate(answer.json())


def test_images_of_one_request_are_one_batch(asked: Asked) -> None:
    asked.models["classification"].batches.clear()
    asked.send("/predict", encoded(), encoded(), encoded())
    assert asked.models["classification"].batches == [["0.png", "1.png", "2.png"]]


def test_one_image_may_be_the_body_and_gets_the_name_that_is_asked_for(asked: Asked) -> None:
    answer = asked("POST", "/predict?name=a.png", content=encoded(), headers={"content-type": "image/png"})
    assert answer.json()["predictions"][0]["image"] == "a.png"


@pytest.mark.parametrize(("score", "count"), [("", 2), ("&score=0", 3), ("&score=0.7", 1), ("&score=1", 0)])
def test_objects_below_the_score_are_left_out(asked: Asked, score: str, count: int) -> None:
    answer = asked.send(f"/predict?model=detection{score}", encoded(height=40, width=60))
    found = answer.json()["predictions"][0]
    assert len(found["objects"]) == count
    assert found["size"] == [40, 60]
    Predictions.model_validate(answer.json())


def test_maps_are_the_class_ids_and_outlines_give_back_the_masks(asked: Asked) -> None:
    grey = np.zeros((30, 40, 3), np.uint8)
    grey[:, 20:] = 255
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, "PNG")
    answer = asked.send("/predict?model=segmentation&include=maps", stream.getvalue()).json()
    assert np.array_equal(picture(answer["predictions"][0]["maps"]["classes"]), grey[..., 0] // 255 * 2)
    Predictions.model_validate(answer)

    data = encoded(height=60, width=80)
    answer = asked.send("/predict?model=instance_segmentation&include=outlines,picture&score=0", data).json()
    found = answer["predictions"][0]
    Predictions.model_validate(answer)
    for entry, outline in zip(found["objects"], found["outlines"], strict=True):
        # Even-odd by hand: each vertical edge of a ring toggles the pixels on its right.
        inside = np.zeros((60, 80), bool)
        for ring in outline["rings"]:
            for (x1, y1), (x2, y2) in zip(ring, ring[1:] + ring[:1], strict=True):
                if x1 == x2:
                    inside[min(y1, y2) : max(y1, y2), x1:] ^= True
        assert inside.sum() == entry["area"] > 0
    assert picture(found["picture"]).ndim == 3


def test_a_heat_map_is_sent_as_grey(asked: Asked) -> None:
    answer = asked.send("/explain?label=bright", encoded(51))
    Explanations.model_validate(answer.json())
    found = answer.json()["explanations"][0]
    assert (found["image"], found["label"]) == ("0.png", "bright")
    assert (picture(found["heat"]) == 51).all()


def test_models_are_told_with_their_classes(asked: Asked) -> None:
    answer = asked("GET", "/models")
    Models.model_validate(answer.json())
    assert [model["name"] for model in answer.json()["models"]] == list(asked.models)
    assert answer.json()["models"][3]["classes"][0] == {
        "name": "background",
        "colour": [0, 114, 178],
        "background": True,
    }


def bomb(side: int = 4000) -> bytes:
    """A PNG of many equal pixels: few bytes, many pixels."""
    stream = io.BytesIO()
    Image.new("1", (side, side)).save(stream, "PNG")
    return stream.getvalue()


def test_a_picture_of_too_many_pixels_is_refused_from_its_header(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("it was decoded"))
    data = bomb()
    assert len(data) < SHORT.body
    answer = asked("POST", "/predict", content=data, headers={"content-type": "image/png"})
    assert answer.status_code == 413
    assert "too large to decode" in answer.json()["predictions"][0]["error"]
    answer = asked.send("/explain", data)
    assert answer.status_code == 413
    assert answer.json()["error"]["got"] == "4000 x 4000 = 16 million pixels"


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/predict", {}, 405),
        ("POST", "/nothing", {"content": b"x"}, 404),
        ("GET", "/docs", {}, 404),
        ("POST", "/predict?model=none", {"content": b"x"}, 404),
        ("POST", "/predict?score=2", {"content": b"x"}, 422),
        ("POST", "/predict?score=x", {"content": b"x"}, 422),
        ("POST", "/predict?include=secrets", {"content": b"x"}, 422),
        ("POST", "/explain?label=none", {"content": b"x"}, 422),
        ("POST", "/predict", {"json": {"url": "http://example.org/a.jpg"}}, 415),
        ("POST", "/predict", {"content": bytes(400_000)}, 413),
        ("POST", "/predict", {"content": b""}, 422),
    ],
)
def test_what_cannot_be_answered_is_told_in_four_parts(
    asked: Asked, method: str, path: str, options: Any, status: int
) -> None:
    answer = asked(method, path, **options)
    assert answer.status_code == status
    Failure.model_validate(answer.json())


def test_images_that_are_none_alone_are_422(asked: Asked) -> None:
    answer = asked.send("/predict", b"no image", b"")
    assert answer.status_code == 422
    assert ["error" in entry for entry in answer.json()["predictions"]] == [True, True]


def test_too_many_images_are_413(asked: Asked) -> None:
    assert asked.send("/predict", *[encoded()] * 5).status_code == 413


def test_a_model_without_torch_makes_no_heat_maps() -> None:
    asked = Asked({"grey": FakeModel()}, explains=False)
    answer = asked.send("/explain", encoded())
    assert answer.status_code == 422
    assert "run folder" in answer.json()["error"]["remedy"]
    asked.service.line.end(5)


def test_a_network_that_fails_tells_the_log_and_not_the_client(caplog: pytest.LogCaptureFixture) -> None:
    asked = Asked({"broken": FakeModel(fails=True)})
    with caplog.at_level("ERROR", "visus.server"):
        answer = asked.send("/predict", encoded())
    assert answer.status_code == 500
    assert "broken" not in answer.text
    assert "the network is broken" in caplog.text
    assert asked("GET", "/healthz").status_code == 200
    asked.service.line.end(5)


def test_an_answer_that_takes_too_long_is_given_up() -> None:
    asked = Asked({"slow": FakeModel(seconds=0.3)}, replace(SHORT, request_seconds=0.05))
    answer = asked.send("/predict", encoded())
    assert answer.status_code == 504
    time.sleep(0.1)
    assert asked("GET", "/healthz").json() == {"status": "stuck"}
    asked.service.line.end(5)


def test_a_full_line_is_told_before_the_body_is_taken() -> None:
    asked = Asked({"slow": FakeModel(seconds=0.5)}, replace(SHORT, waiting=1, batch=1))

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=asked.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://visus.test") as client:

            async def one(wait: float) -> httpx.Response:
                await asyncio.sleep(wait)
                return await client.post("/predict", content=encoded())

            return await asyncio.gather(*(one(0.1 * number) for number in range(4)))

    answers = asyncio.run(ask())
    assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503]
    assert int(answers[-1].headers["retry-after"]) >= 1
    asked.service.line.end(5)


def test_no_more_bytes_of_bodies_are_held_than_allowed() -> None:
    asked = Asked({"grey": FakeModel()}, replace(SHORT, bodies=100_000))
    answer = asked("POST", "/predict", content=bytes(200_000))
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert asked.service.room.taken == 0
    asked.service.line.end(5)


def test_the_end_is_told_to_who_comes_late(asked: Asked) -> None:
    late = Asked({"grey": FakeModel()})
    late.service.ending = True
    assert late.send("/predict", encoded()).status_code == 503
    assert late("GET", "/healthz").status_code == 503
    late.service.line.end(5)


def test_the_description_names_every_path_and_loads_nothing(asked: Asked) -> None:
    description = asked("GET", "/openapi.json").json()
    assert set(description["paths"]) == {"/healthz", "/metrics", "/models", "/predict", "/explain"}
    assert "Predictions" in json.dumps(description["paths"]["/predict"])


def test_metrics_count_what_happened() -> None:
    asked = Asked({"grey": FakeModel()})
    asked.send("/predict", encoded(), encoded(), b"no image")
    asked("POST", "/predict", content=b"", headers={"content-type": "image/png"})
    asked("GET", "/../../etc/passwd")
    text = asked("GET", "/metrics").text
    for line in (
        'visus_requests_total{path="/predict",code="200"} 1',
        'visus_requests_total{path="/predict",code="422"} 1',
        'visus_requests_total{path="other",code="404"} 1',
        'visus_images_total{model="grey",outcome="answered"} 2',
        'visus_images_total{model="grey",outcome="failed"} 1',
        'visus_batch_images_bucket{model="grey",le="2"} 1',
        'visus_batch_images_sum{model="grey"} 2',
        'visus_request_seconds_count{path="/predict"} 2',
        "visus_workers 1",
    ):
        assert line in text.splitlines(), text
    assert "passwd" not in text
    asked.service.line.end(5)
