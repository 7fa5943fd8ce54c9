"""Exported models answer as the network in PyTorch does, without PyTorch; and say no where they cannot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import visus
from onnx_files import write_pixel_network, write_pooling_network
from visus.answers.classification import SoftmaxReader
from visus.answers.maps import SoftmaxMapReader
from visus.engine.exported_card import ExportedCard, ExportedInput
from visus.engine.model_card import ModelInfo
from visus.errors import DataError, DivergedError, ShapeError, TaskMismatchError, UsageError, VisusError, WeightsError
from visus.structures import Label, Preprocessing
from visus.workflow.exported_model import ExportedModel

CLASSES = ("red", "green", "blue")
WEIGHTS = np.eye(3, dtype=np.float32) * 4
WAY = Preprocessing(size=(8, 10), fit="stretch")


GREY = Preprocessing(size=None, fit="none", channels=1, mean=(0.5,), std=(0.5,))

SCRIPT = """
import sys
for name in ("torch", "torchvision", "cv2", "matplotlib", "sklearn", "skimage", "scipy", "safetensors"):
    sys.modules[name] = None
from visus.cli.main import main
main(sys.argv[1:])
"""


def without_training(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a process that cannot import what training needs."""
    return subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, check=False)


def card(size: tuple[int, int] | None = (8, 10), batch: int | None = None, way: Preprocessing = WAY) -> ExportedCard:
    info = ModelInfo("classification", "resnet18@paper", CLASSES, 3, way)
    reader = SoftmaxReader().to_dict()
    return ExportedCard(info, reader, {"logits": "one value a class"}, ExportedInput(size, batch), 20, "0" * 64)


def write(path: Path, written: ExportedCard | None = None, weights: np.ndarray = WEIGHTS, **changes: object) -> Path:
    written = written or card()
    given: dict = {"size": written.input.size, "batch": written.input.batch, **changes}
    return write_pooling_network(path, weights, np.zeros(3, np.float32), written.to_metadata(), **given)


def paint(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (30, 20)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "model.onnx")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for number, colour in enumerate([(250, 20, 20), (20, 250, 20), (20, 20, 250), (240, 60, 60), (10, 90, 200)]):
        paint(folder / CLASSES[(0, 1, 2, 0, 2)[number]] / f"{number}.png", colour, (30 + number, 20))
    return folder


def test_answers_are_those_of_the_formula(model: Path, photos: Path) -> None:
    loaded = visus.load(model)
    assert isinstance(loaded, ExportedModel)
    answers = loaded.predict(sorted(photos.rglob("*.png")), batch_size=2)
    assert [answer.name for answer in answers] == ["blue", "blue", "green", "red", "red"]
    colour = (np.asarray([250, 20, 20]) / 255 - WAY.mean) / WAY.std * 4
    wanted = np.exp(colour) / np.exp(colour).sum()
    found = loaded.predict(photos / "red" / "0.png")
    assert isinstance(found, Label)
    np.testing.assert_allclose(found.scores, wanted, rtol=1e-4)
    assert loaded.classes == CLASSES
    assert loaded.example_size == (8, 10)
    assert "onnxruntime" in loaded.device


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_a_fixed_batch_gives_the_same_answers(tmp_path: Path, photos: Path, batch: int) -> None:
    files = sorted(photos.rglob("*.png"))
    free = visus.load(write(tmp_path / "free.onnx")).predict(files)
    fixed = visus.load(write(tmp_path / "fixed.onnx", card(batch=batch))).predict(files, batch_size=3)
    for one, other in zip(free, fixed, strict=True):
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-6)


def test_files_are_predicted_and_saved(model: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "red" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    from visus.api.predict import predict_files

    answers = list(predict_files(model, [photos], save=tmp_path / "out"))
    assert len(answers) == 6
    assert [answer.error is not None for answer in answers].count(True) == 1
    assert len(list((tmp_path / "out").glob("*.png"))) == 5
    assert len(json.loads((tmp_path / "out" / "predictions.json").read_text())["predictions"]) == 6


def test_it_is_evaluated(model: Path, photos: Path) -> None:
    result = visus.evaluate(model, data=photos, split="all", quiet=True)
    assert result.metrics["accuracy"] == 1.0
    assert result.images == 5
    assert "onnxruntime" in result.device
    assert result.speed["network"] > 0


def test_without_torch_the_answers_are_the_same(model: Path, photos: Path, tmp_path: Path) -> None:
    """In a process where torch, OpenCV and the other parts of training cannot be imported."""
    done = without_training("predict", str(model), str(photos), "--json", "--save", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["predictions"]
    for value, answer in zip(visus.load(model).predict(sorted(photos.rglob("*.png"))), told, strict=True):
        assert value.to_dict().items() <= answer.items()
    done = without_training("evaluate", str(model), "--data", str(photos), "--split", "all", "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["accuracy"] == 1.0
    for verb in (["predict", "runs/none", str(photos)], ["train", str(photos)], ["explain", str(model), str(photos)]):
        done = without_training(*verb, *(["--save", str(tmp_path / "e")] if verb[0] == "explain" else []))
        assert done.returncode in (2, 5), done.stderr
        assert "Traceback" not in done.stderr
        assert "visus[train]" in done.stderr or "exported" in done.stderr, done.stderr


def write_maps(path: Path) -> Path:
    """A network that calls bright pixels cells."""
    info = ModelInfo("segmentation", "unet@padded", ("background", "foreground"), 1, GREY)
    reader = SoftmaxMapReader(2).to_dict()
    written = ExportedCard(info, reader, {"logits": "a value a class and pixel"}, ExportedInput(None), 20, "0" * 64)
    return write_pixel_network(path, np.asarray([[-9], [9]], np.float32), written.to_metadata())


def test_maps_are_saved_counted_and_judged_without_opencv(tmp_path: Path) -> None:
    model = write_maps(tmp_path / "maps.onnx")
    truth = np.zeros((40, 60), np.uint8)
    truth[5:15, 5:20] = truth[20:35, 30:50] = 255
    truth[24:28, 36:40] = 0  # a hole
    for name in ("images", "masks"):
        (tmp_path / "cells" / name).mkdir(parents=True)
        for number in range(2):
            Image.fromarray(np.roll(truth, number)).save(tmp_path / "cells" / name / f"{number}.png")
    done = without_training(
        "predict", str(model), str(tmp_path / "cells" / "images"), "--save", str(tmp_path / "out"), "--json"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["predictions"][0]["areas"] == {"background": 1966, "foreground": 434}
    written = json.loads((tmp_path / "out" / "coco.json").read_text())
    assert sorted(entry["area"] for entry in written["annotations"]) == [150, 150, 284, 284]
    counted = without_training("predict", str(model), str(tmp_path / "cells" / "images"), "--objects")
    assert counted.returncode == 0, counted.stderr
    assert "2" in counted.stdout
    judged = without_training(
        "evaluate", str(model), "--data", str(tmp_path / "cells"), "--split", "all", "--objects", "--json", "--quiet"
    )
    assert judged.returncode == 0, judged.stderr
    metrics = json.loads(judged.stdout)["metrics"]
    assert metrics["mean_iou"] == 1.0
    assert metrics["objects"]


def test_what_only_the_network_in_pytorch_can_do(model: Path, photos: Path, tmp_path: Path) -> None:
    loaded = visus.load(model)
    picture = photos / "red" / "0.png"
    for refused in (
        lambda: loaded.explain(picture),
        lambda: loaded.explain_targets(picture),
        lambda: loaded.truncated({"fc": 1}),
        loaded.summary,
        lambda: visus.explain(model, picture),
        lambda: visus.slide(model, picture),
        lambda: visus.compress(model, tmp_path / "a.safetensors", {"fc": 1}),
    ):
        with pytest.raises(TaskMismatchError) as error:
            refused()
        assert "run" in error.value.remedy
    with pytest.raises(UsageError, match="copy"):
        loaded.save(tmp_path)
    with pytest.raises(UsageError, match="slide"):
        visus.slide(loaded, picture)


def test_wrong_options_are_refused(model: Path, photos: Path) -> None:
    with pytest.raises(UsageError, match="CPU"):
        visus.load(model, device="cuda")
    with pytest.raises(UsageError, match="says itself"):
        visus.load(model, model="resnet18")
    with pytest.raises(UsageError, match="--data"):
        visus.evaluate(model, quiet=True)
    with pytest.raises(DataError):
        visus.load(model).predict(photos / "none.png")


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = write_pooling_network(tmp_path / "a.onnx", WEIGHTS, np.zeros(3, np.float32), {"author": "else"})
    with pytest.raises(WeightsError, match="not exported by visus"):
        visus.load(path)


@pytest.mark.parametrize(
    "changes", [{"size": (16, 16)}, {"name": "input"}, {"output": "scores"}, {"batch": 3}, {"weights": np.eye(4, 3)}]
)
def test_a_file_that_is_not_as_its_card_says_is_refused(tmp_path: Path, changes: dict) -> None:
    weights = np.asarray(changes.pop("weights", WEIGHTS), np.float32)
    with pytest.raises(WeightsError):
        visus.load(write(tmp_path / "a.onnx", card(), weights, **changes))


def test_a_card_whose_reader_needs_other_outputs_is_refused(tmp_path: Path) -> None:
    whole = card()
    other = ExportedCard(whole.info, SoftmaxReader("penalties", -1).to_dict(), whole.outputs, whole.input, 20, "0" * 64)
    with pytest.raises(WeightsError, match="penalties"):
        visus.load(write(tmp_path / "a.onnx", other))


def test_images_of_a_size_that_the_file_does_not_take(tmp_path: Path) -> None:
    way = Preprocessing(size=None, fit="none")
    loaded = visus.load(write(tmp_path / "a.onnx", card(size=(8, 10), way=way)))
    with pytest.raises(ShapeError, match=r"8 *x *10"):
        loaded.predict(paint(tmp_path / "a.png", (9, 9, 9), (30, 20)))


def test_outputs_that_are_not_finite_are_no_answer(tmp_path: Path) -> None:
    weights = WEIGHTS.copy()
    weights[0, 0] = np.inf
    loaded = visus.load(write(tmp_path / "a.onnx", weights=weights))
    with pytest.raises(DivergedError, match="not finite"):
        loaded.predict(paint(tmp_path / "a.png", (9, 9, 9)))


def test_damage_is_told_by_an_error_of_ours(model: Path) -> None:
    whole = model.read_bytes()
    random = np.random.default_rng(1)
    for length in random.integers(1, len(whole), size=8).tolist():
        model.write_bytes(whole[:length])
        with pytest.raises(VisusError):
            visus.load(model)
