"""A loaded model answers for files, arrays, folders and lists, and for pictures of every kind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL import Image

import visus
from visus.api.predict import predict_files
from visus.errors import DataError, UnknownModelError, UsageError


@pytest.fixture
def model(trained: Callable[[str], Any]) -> visus.Model:
    return visus.load(trained("classification").path, device="cpu")


def test_one_or_several(model: visus.Model, photos: Path) -> None:
    file = photos / "test" / "red" / "red-0.png"
    folder = photos / "test" / "red"
    assert model.predict(file).name == model.predict(str(file)).name
    assert len(model.predict(folder)) == 3
    assert len(model.predict([file])) == 1
    assert len(model.predict([file, np.zeros((9, 7), np.uint8), folder], batch_size=2)) == 5
    assert model.classes == ("blue", "green", "red")
    assert model.predict(file).image.load().shape == (3, 32, 32)
    with pytest.raises(DataError):
        model.predict(photos / "nowhere.png")


def test_an_image_is_decoded_once_and_again_only_to_be_drawn(
    model: visus.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        Image.new("RGB", (800, 600), (200, 30, 10 * number)).save(tmp_path / f"{number}.jpg")
    decode, shapes = simplejpeg.decode_jpeg, []

    def counted(*arguments: Any, **named: Any) -> Any:
        pixels = decode(*arguments, **named)
        shapes.append(pixels.shape[:2])
        return pixels

    monkeypatch.setattr(simplejpeg, "decode_jpeg", counted)
    answers = model.predict(tmp_path)
    assert len(shapes) == 3
    assert max(max(shape) for shape in shapes) < 800  # scaled down to what the network needs
    heatmap = model.explain(tmp_path / "0.jpg")
    assert len(shapes) == 4
    assert answers[0].image.path == tmp_path / "0.jpg"
    answers[0].draw()
    heatmap.draw()
    assert shapes[4:] == [(600, 800), (600, 800)]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "I;16", "1"])
def test_pictures_of_every_kind(mode: str, model: visus.Model, tmp_path: Path) -> None:
    file = tmp_path / ("picture.tif" if mode in ("CMYK", "I;16") else "picture.png")
    if mode == "I;16":
        Image.fromarray(np.full((40, 30), 60_000, np.uint16)).save(file)
    else:
        Image.new("RGB", (30, 40), (200, 30, 30)).convert(mode).save(file)
    found = model.predict(file)
    assert sum(found.scores) == pytest.approx(1, abs=1e-4)
    found.draw().save(tmp_path / "drawn.png")


@pytest.mark.parametrize("image", [None, 5, {"a": 1}, [[]], [["nested"]]], ids=lambda image: type(image).__name__)
def test_what_is_no_image_is_refused(image: Any, model: visus.Model) -> None:
    for verb in (model.predict, model.explain, partial(visus.slide, model)):
        with pytest.raises(UsageError, match="image 0 is"):
            verb(image)


class Backwards:
    """A source of someone else's, whose pixels are a view that runs backwards."""

    path = None

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels = pixels

    def size(self) -> tuple[int, int]:
        return (self.pixels.shape[0], self.pixels.shape[1])

    def load(self, at_least: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        return self.pixels[..., ::-1].transpose(2, 0, 1)


@pytest.mark.filterwarnings("error")  # torch warns of arrays that cannot be written to
def test_views_and_pictures_in_memory_are_answered_as_their_pixels(model: visus.Model) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    want = model.predict(pixels).scores
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    still = pixels.copy()
    still.flags.writeable = False
    given = [bgr[..., ::-1], still, Image.fromarray(pixels), torch.from_numpy(pixels).permute(2, 0, 1), Backwards(bgr)]
    for answer in model.predict(iter(given), batch_size=1):  # a batch may give other last bits
        np.testing.assert_array_equal(answer.scores, want)
        assert answer.draw().size[0] >= 50
    heatmap = model.explain(pixels).values
    for image, explained in zip(given, model.explain(one for one in given), strict=True):
        np.testing.assert_array_equal(explained.values, heatmap)
        np.testing.assert_array_equal(model.explain(image).values, heatmap)


def test_predicting_changes_nothing(model: visus.Model, photos: Path) -> None:
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    model.predict(photos / "test")
    model.explain(photos / "test" / "red" / "red-0.png")
    assert not model.network.training
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())
    assert all(parameter.grad is None for parameter in model.network.parameters())


def test_files_of_one_name(model: visus.Model, photos: Path, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        shutil.copy(photos / "test" / "red" / "red-0.png", tmp_path / folder / "a.png")
    images = [tmp_path / "one", tmp_path / "two"]
    answers = list(predict_files(model, images, save=tmp_path / "out"))
    assert [Path(str(answer.saved)).name for answer in answers] == ["a.png", "a-2.png"]
    from visus.api.explain import explain_files

    written = explain_files(model, images, save=tmp_path / "out")
    assert [Path(file).name for _, _, file in written] == ["a-why.png", "a-2-why.png"]
    assert all(Path(file).exists() for _, _, file in written)


def test_a_file_that_is_gone_when_its_answer_is_drawn(model: visus.Model, photos: Path, tmp_path: Path) -> None:
    """The others are still answered and saved."""
    for name in ("a", "b", "c"):
        (tmp_path / "in").mkdir(exist_ok=True)
        shutil.copy(photos / "test" / "red" / "red-0.png", tmp_path / "in" / f"{name}.png")
    answers = []
    for answer in predict_files(model, [tmp_path / "in"], save=tmp_path / "out"):
        (tmp_path / "in" / "b.png").unlink(missing_ok=True)
        answers.append(answer)
    assert [answer.error is None for answer in answers] == [True, False, True]
    rows = (tmp_path / "out" / "predictions.csv").read_text().splitlines()
    assert len(rows) == 4
    assert "there is no file" in rows[2]


def test_a_loaded_model_judges_and_sums_itself_up(model: visus.Model, photos: Path) -> None:
    assert visus.evaluate(model, split="val", quiet=True).images == 6
    own = visus.evaluate(model, split="test", quiet=True)
    assert visus.evaluate(model, data=photos, split="test", quiet=True) == own
    assert "parameters" in str(model.summary())
    with pytest.raises(UsageError, match="no class mauve"):
        model.explain(photos / "test" / "red" / "red-0.png", label="mauve")


def test_networks_by_name() -> None:
    network = visus.create("lenet5@modern", classes=3, in_channels=3)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 3)
    with pytest.raises(UnknownModelError):
        visus.create("lenet6")
