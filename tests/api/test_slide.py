"""Sliding a trained classifier by Python and by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import visus
from visus.api.slide import Slider
from visus.data.images import ArrayImage
from visus.errors import TaskMismatchError, UsageError
from visus.structures import Sample

WINDOW = 12


class Bright(nn.Module):
    """Says class 1 where the mean of a window is bright, class 2 where it is dark, else class 0."""

    channels = {4: 1}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)
        with torch.no_grad():
            self.fc.weight.copy_(torch.tensor([[0.0], [40.0], [-40.0]]).expand(3, 3) / 3)
            self.fc.bias.copy_(torch.tensor([0.0, -36.0, -36.0]))

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(nn.functional.avg_pool2d(images, 4).mean((2, 3)))


def scene() -> np.ndarray:
    """Grey, a white square of 24 pixels at (40, 8) and a black one of 12 pixels at (8, 44)."""
    image = np.full((64, 80, 3), 127, np.uint8)
    image[8:32, 40:64] = 255
    image[44:56, 8:20] = 0
    return image


@pytest.fixture
def model(trained) -> visus.Model:
    """A trained run's model whose network and preprocessing are those of the example above."""
    from dataclasses import replace

    from visus.structures import Preprocessing
    from visus.tasks.classification import Classification

    loaded = visus.load(trained("classification").path, device="cpu")
    preprocessing = Preprocessing(size=(WINDOW, WINDOW), fit="stretch", mean=(0.5,) * 3, std=(0.5,) * 3)
    classes = ("background", "bright", "dark")
    info = replace(loaded.info, classes=classes, preprocessing=preprocessing, in_channels=3)
    return replace(loaded, network=Bright().eval(), info=info, task=Classification(classes))


@pytest.mark.parametrize("shared", [False, None])
def test_what_is_bright_and_what_is_dark_is_found_in_its_size(model: visus.Model, shared: bool | None) -> None:
    result = visus.slide(model, scene(), shared=shared, score=0.9, overlap=0.2)
    found = result.detections
    assert result.shared is (shared is None)
    best = {found.classes[k]: found.boxes[found.labels == k][0] for k in set(found.labels.tolist())}
    assert set(best) == {"bright", "dark"}
    for name, place in (("bright", (40, 8, 64, 32)), ("dark", (8, 44, 20, 56))):
        inside = np.maximum(best[name][:2], place[:2]), np.minimum(best[name][2:], place[2:])
        shared_area = np.clip(inside[1] - inside[0], 0, None).prod()
        assert shared_area / (best[name][2:] - best[name][:2]).prod() > 0.9  # the window lies in the square
    assert found.size == (64, 80)
    assert found.image.shape == (3, 64, 80)
    heat = result.heatmap("bright")
    assert heat.values[20, 52] > 0.9
    assert heat.values[50, 14] < 0.1
    assert result.heatmap().label in ("bright", "dark")
    with pytest.raises(UsageError, match="no class"):
        result.heatmap("cat")


def test_the_pyramid_ends_at_the_files_own_pixels(model: visus.Model) -> None:
    slider = Slider(model, shared=False)
    assert slider._scales((64, 80))[0] == pytest.approx(12 / 64)
    assert max(slider._scales((64, 80))) <= 1
    assert slider._scales((8, 80)) == [12 / 8]  # smaller than a window: enlarged until it fits, and no further
    fine = Slider(model, shared=False, smallest=6)._scales((64, 80))
    assert fine[-1] == 2  # the window covers 6 pixels of the file
    assert fine[1] / fine[0] == pytest.approx(2**0.5)
    given = Slider(model, shared=False, scales=(0.01, 0.5))
    assert given._scales((64, 80)) == [12 / 64, 0.5]
    (level, *_) = slider(Sample("a", ArrayImage(scene()))).levels
    assert level.scores.shape == (3, 1, 1)
    np.testing.assert_allclose(level.boxes[0, 0], [0, 0, 64, 64], atol=1e-4)


def test_bad_choices(model: visus.Model, trained) -> None:
    with pytest.raises(UsageError, match="only a classifier"):
        visus.slide(trained("detection").path, scene(), device="cpu")
    with pytest.raises(UsageError, match="cannot be chosen"):
        visus.slide(model, scene(), score=1.5)
    with pytest.raises(UsageError, match="cannot be chosen"):
        visus.slide(model, scene(), scales=(0.0,))
    with pytest.raises(UsageError, match="cannot be chosen"):
        visus.slide(model, scene(), smallest=0)


def test_what_is_not_computed_at_once_is_an_error_only_if_asked_for(model: visus.Model) -> None:
    from dataclasses import replace

    class Odd(Bright):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images * torch.softmax(images, -1) * images.shape[-1])

    odd = replace(model, network=Odd().eval())
    assert not visus.slide(odd, scene()).shared
    with pytest.raises(TaskMismatchError, match="all windows at once"):
        visus.slide(odd, scene(), shared=True)


def test_by_the_command_line(cli, trained, tmp_path: Path) -> None:
    run = trained("classification").path
    Image.fromarray(scene()).save(tmp_path / "scene.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    told = cli(
        *("predict", run, tmp_path / "scene.png", tmp_path / "broken.png"),
        *("--slide", "--score", 0, "--device", "cpu", "--json", "--save", tmp_path / "out"),
    )
    assert told.code == 4
    first, second = json.loads(told.out)["predictions"]
    assert first["size"] == [64, 80]
    assert first["objects"]
    assert all(0 <= x <= 80 for entry in first["objects"] for x in entry["box"][::2])
    assert "error" in second
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("scene.png", "scene.scores.png", "predictions.csv", "predictions.json")
    }
    told = cli("predict", trained("detection").path, tmp_path / "scene.png", "--slide", "--device", "cpu")
    assert told.code == 2
    assert "only a classifier" in told.err
