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
from visus.data.pixels.images import ArrayImage
from visus.errors import TaskMismatchError, UsageError
from visus.models.localization.localizer import LocalizerCodec, LocalizerOutput
from visus.structures import Sample
from visus.workflow.sliding import Slider

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
    assert found.image.load().shape == (3, 64, 80)
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
    with pytest.raises(UsageError, match="only a classifier or a localizer"):
        visus.slide(trained("detection").path, scene(), device="cpu")
    with pytest.raises(UsageError, match="score is out of range"):
        visus.slide(model, scene(), score=1.5)
    with pytest.raises(UsageError, match="scales is out of range"):
        visus.slide(model, scene(), scales=(0.0,))
    with pytest.raises(UsageError, match="smallest is out of range"):
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
        *("scene.png", "scene.scores.png", "predictions.csv", "predictions.json", ".visus")
    }
    told = cli("predict", trained("detection").path, tmp_path / "scene.png", "--slide", "--device", "cpu")
    assert told.code == 2
    assert "only a classifier or a localizer" in told.err


class Finder(nn.Module):
    """Says that there is an object where white or black pixels touch no edge of the window, and boxes them exactly."""

    channels = {8: 1}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.codec = LocalizerCodec(2, loss="squared", boxes="per_class")
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> LocalizerOutput:
        rows = []
        for image in images.mean(1) * self.scale:
            height, width = image.shape
            vector = [0.0] * 11
            for label, mask in enumerate((image > 0.9, image < -0.9)):
                y, x = torch.nonzero(mask).T
                if len(x) and min(x.min(), y.min()) > 0 and x.max() < width - 1 and y.max() < height - 1:
                    low, high = (x.min(), y.min()), (x.max() + 1, y.max() + 1)
                    vector[0] = 1.0
                    vector[1 + 4 * label : 5 + 4 * label] = [
                        float(low[0] + high[0]) / 2 / width,
                        float(low[1] + high[1]) / 2 / height,
                        float(high[1] - low[1]) / height,
                        float(high[0] - low[0]) / width,
                    ]
                    vector[9 + label] = 0.8 if label == 0 else 0.5
            rows.append(vector)
        return LocalizerOutput(torch.tensor(rows), (images.shape[2], images.shape[3]))


@pytest.fixture
def finder(model: visus.Model) -> visus.Model:
    from dataclasses import replace

    from visus.structures import Preprocessing
    from visus.tasks.localization import Localization

    preprocessing = Preprocessing(size=(64, 64), fit="stretch", mean=(0.5,) * 3, std=(0.5,) * 3)
    classes = ("bright", "dark")
    info = replace(model.info, task="localization", classes=classes, preprocessing=preprocessing)
    return replace(model, network=Finder().eval(), info=info, task=Localization(classes))


def test_the_boxes_of_a_localizers_windows_are_merged(finder: visus.Model) -> None:
    """Every window that has a square whole boxes it exactly; so one box of each is left, and its score is its windows'
    share of the confidence, times the surest."""
    result = visus.slide(finder, scene(), shared=False, score=0)
    assert len(result.levels) == 3  # 1, the square root of 2, and 2 times the size at which a window fits
    assert result.levels[2].scale[0] / result.levels[0].scale[0] == pytest.approx(2)
    found = result.detections
    best = {found.classes[k]: found.boxes[found.labels == k][0] for k in (0, 1)}
    np.testing.assert_allclose(best["bright"], [40, 8, 64, 32], atol=1)
    np.testing.assert_allclose(best["dark"], [8, 44, 20, 56], atol=1)
    sums = sum(level.scores.sum((1, 2)) for level in result.levels)
    surest = sum(level.scores.max(0).sum() for level in result.levels)
    assert sums.min() > 0
    # a window that has both says the surer one first, and both count
    assert found.scores[found.labels == 0].sum() == pytest.approx(sums[0] / surest * 0.8, rel=1e-5)
    assert found.scores[found.labels == 1].sum() == pytest.approx(sums[1] / surest * 0.8, rel=1e-5)
    assert (np.diff(found.scores) <= 0).all()
    apart = visus.slide(finder, scene(), shared=False, score=0, misfit=0).detections
    assert len(apart) >= len(found)
    # however much is merged: windows without a box of a class do not move that class's boxes
    all_merged = visus.slide(finder, scene(), shared=False, score=0, misfit=9).detections
    assert all_merged.labels.tolist() == [0, 1]
    np.testing.assert_allclose(all_merged.boxes, [[40, 8, 64, 32], [8, 44, 20, 56]], atol=1)
    high = visus.slide(finder, scene(), shared=False, score=float(found.scores[0]) - 1e-3).detections
    assert len(high) == 1
    nothing = visus.slide(finder, np.full((64, 80, 3), 127, np.uint8), shared=False, score=0).detections
    assert len(nothing) == 0
    assert len(Slider(finder, shared=False)._scales((64, 80))) == 3
    assert Slider(finder, shared=False, smallest=16)._scales((64, 80))[-1] == 4
    with pytest.raises(UsageError, match="misfit is out of range"):
        visus.slide(finder, scene(), misfit=-1)


def test_a_localizer_is_judged_by_its_merged_boxes(finder: visus.Model) -> None:
    from visus.structures import Detections
    from visus.workflow.judging import judge

    target = Detections(finder.classes, np.array([[40, 8, 64, 32]], np.float32), np.array([0]), (64, 80))
    sample = Sample("a", ArrayImage(scene()), {"localization": target})
    judged = judge(finder, [sample], batch_size=1, slider=Slider(finder, shared=False, score=0))
    assert judged.metrics["localization_accuracy"] == 1
    assert judged.metrics["mean_iou"] > 0.9
