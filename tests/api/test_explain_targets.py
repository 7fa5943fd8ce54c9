"""What a detector learns, asked by name, run, network and command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import visus
from visus.errors import DataError, TaskMismatchError, UnknownModelError, UsageError, VisusError
from visus.structures import Detections, Preprocessing

NAMES = ("sun", "sea")
TO_128 = Preprocessing(size=(128, 128), fit="stretch")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "a.png"
    Image.fromarray(np.full((64, 96, 3), 200, np.uint8)).save(path)
    return path


def truth(classes: tuple[str, ...] = NAMES, size: tuple[int, int] = (64, 96)) -> Detections:
    boxes = np.asarray([[10, 10, 50, 50], [48, 20, 90, 60]], np.float32)
    return Detections(classes, boxes, np.asarray([0, 1]), size)


def test_by_name_with_the_files_boxes_in_network_pixels(photo: Path) -> None:
    found = visus.explain_targets(
        "ssd", photo, truth(), backbone="mobilenet_v2", preprocessing=TO_128, options={"size": 128}, device="cpu"
    )
    assert found.model.startswith("ssd+mobilenet_v2")
    assert found.size == (128, 128)
    assert found.objects is not None
    assert found.objects[0].box.tolist() == pytest.approx([10 * 128 / 96, 20, 50 * 128 / 96, 100], abs=1e-3)
    assert all(len(own.predictors) for own in found.objects)
    assert found.kept is None  # untrained
    again = visus.explain_targets(
        "ssd+mobilenet_v2", photo, truth(), preprocessing=TO_128, options={"size": 128}, device="cpu"
    )
    assert again.to_dict() == found.to_dict()


def test_by_network(photo: Path) -> None:
    network = visus.create("yolov3_tiny", classes=2).train()
    network.backbone.eval()
    before = [module.training for module in network.modules()]
    found = visus.explain_targets(network, photo, truth(), preprocessing=TO_128)
    assert [module.training for module in network.modules()] == before
    assert found.kept is not None
    assert len(found.predictors.boxes) == 3 * (4 * 4 + 8 * 8)
    assert visus.explain_targets(network, photo, preprocessing=TO_128).objects is None
    with pytest.raises(UsageError, match="a network needs its preprocessing"):
        visus.explain_targets(network, photo)


def test_the_picture_does_not_touch_torchs_generator(photo: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    visus.explain_targets("yolov3_tiny", photo, preprocessing=TO_128, device="cpu")
    assert torch.rand(1) == expected


def test_bad_arguments(photo: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError):
        visus.explain_targets("sdd", photo)
    with pytest.raises(VisusError, match="there is no file runs/bccd-sdd"):
        visus.explain_targets("runs/bccd-sdd", photo)
    with pytest.raises(TaskMismatchError, match=r"resnet18@\w+ is not a detector with anchors"):
        visus.explain_targets("resnet18", photo)
    with pytest.raises(TaskMismatchError, match="LeNet5 is not a detector with anchors"):
        visus.explain_targets(visus.create("lenet5@modern"), photo, preprocessing=TO_128)
    with pytest.raises(UsageError, match="the score is out of range"):
        visus.explain_targets("yolov3_tiny", photo, score=2)
    with pytest.raises(DataError, match="the truth is not of"):
        visus.explain_targets("yolov3_tiny", photo, truth(size=(96, 64)), preprocessing=TO_128)
    folder = tmp_path / "two"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8)).save(folder / name)
    with pytest.raises(UsageError, match="one image at a time"):
        visus.explain_targets("yolov3_tiny", folder, preprocessing=TO_128, device="cpu")


def test_a_run(trained: Callable[[str], Any]) -> None:
    run = trained("detection")
    dataset = visus.open_data(run.data)
    sample = next(s for s in dataset.split("train") if len(s.target("detection")))
    model = visus.load(run.path, device="cpu")
    found = model.explain_targets(sample.image, sample.target("detection"))
    assert found.objects is not None
    assert found.kept is not None
    assert [own.name for own in found.objects] == [NAMES[k] for k in sample.target("detection").labels]
    batch_answer = model.predict(sample.image).above(0.3)
    assert len(batch_answer) == len(found.kept)
    with pytest.raises(DataError, match="different classes"):
        model.explain_targets(sample.image, truth(("moon", "sea"), sample.image.size()))
    with pytest.raises(UsageError, match="has its own preprocessing"):
        visus.explain_targets(model, sample.image, preprocessing=TO_128)
    with pytest.raises(TaskMismatchError, match="a model for classification"):
        visus.load(trained("classification").path, device="cpu").explain_targets(sample.image)


# --- the command line


def test_the_run_knows_the_objects_of_its_own_images(
    trained: Callable[[str], Any], cli: Callable[..., Any], tmp_path: Path, photo: Path
) -> None:
    run = trained("detection")
    image = run.data / "images" / "train" / "train-1.png"  # two objects
    told = cli("explain", run.path, image, photo, "--targets", "--save", tmp_path / "out", "--json", "--device", "cpu")
    assert told.code == 0, told.err
    own, foreign = json.loads(told.out)["targets"]
    assert [found["label"] for found in own["objects"]] == ["sun", "sea"]
    assert foreign["objects"] is None
    with Image.open(tmp_path / "out" / "train-1-targets.png") as picture:
        assert picture.width == 22 + 2 * (560 + 22)
    assert own["file"] == str(tmp_path / "out" / "train-1-targets.png")
    words = cli("explain", run.path, image, "--targets", "--save", tmp_path / "out", "--score", 1, "--device", "cpu")
    assert "2 objects: " in words.out
    assert "of a score of 1 or more, 0 are kept" in words.out


def test_a_name_and_data(boxes: Path, cli: Callable[..., Any], tmp_path: Path, photo: Path) -> None:
    image = boxes / "images" / "val" / "val-0.png"
    told = cli("explain", "yolov3_tiny", image, "--targets", "--data", boxes, "--save", tmp_path, "--device", "cpu")
    assert told.code == 0, told.err
    assert "2,535 anchors on 2 maps" in told.out  # at 416: 3 * (13 * 13 + 26 * 26)
    assert "1 object: " in told.out
    foreign = cli("explain", "yolov3_tiny", photo, "--targets", "--data", boxes, "--save", tmp_path / "none")
    assert foreign.code == 4
    assert "is not in" in foreign.err
    assert not (tmp_path / "none").exists()


def test_the_form_of_a_network_that_is_named(boxes: Path, cli: Callable[..., Any], tmp_path: Path) -> None:
    image = boxes / "images" / "val" / "val-0.png"

    def explained(*form: object) -> Any:
        ask = ("explain", "yolov3_tiny", image, "--targets", "--data", boxes, "--save", tmp_path, "--device", "cpu")
        told = cli(*ask, "--json", *form)
        assert told.code == 0, told.err
        return json.loads(told.out)["targets"][0]

    wide = explained("--set", "size=[320, 416]")
    assert wide["predictors"] == 3 * (10 * 13 + 20 * 26)
    x1, y1, x2, y2 = wide["objects"][0]["box"]
    assert wide["objects"][0]["overlap"] < 0.95
    shapes = [[10, 10], [20, 20], [30, 30], [x2 - x1, y2 - y1], [400, 10], [10, 400]]
    own = explained(
        "--set", "size=[320, 416]", "--set", f"model_options.anchors={shapes}", "--backbone", "mobilenet_v2"
    )
    assert own["model"] == "yolov3_tiny+mobilenet_v2@paper"
    assert own["objects"][0]["overlap"] == pytest.approx(1, abs=1e-4)


def test_wrong_commands(trained: Callable[[str], Any], cli: Callable[..., Any], tmp_path: Path, photo: Path) -> None:
    for arguments, words in (
        (("--data", tmp_path), "--data needs --targets"),
        (("--score", 0.5), "--score needs --targets"),
        (("--backbone", "resnet18"), "--backbone needs --targets"),
        (("--targets", "--backbone", "resnet18"), "has its own form"),
        (("--targets", "--set", "size=[64, 64]"), "has its own form"),
        (("--targets", "--label", "sun"), "leave out --label or --targets"),
        (("--targets", "--score", 2), "less than or equal to 1"),
    ):
        told = cli("explain", trained("detection").path, photo, *arguments, "--save", tmp_path / "none")
        assert told.code == 2
        assert words in told.err
        assert "Traceback" not in told.err
    other = cli("explain", trained("classification").path, photo, "--targets", "--save", tmp_path / "none")
    assert other.code == 2
    assert "a model for classification" in other.err
    for change, words in (
        ("optimizer.lr=1", "optimizer.lr has no effect on the assignment"),
        ("model_options.scale=coco", "scale"),
        ("size=64", "recipe field size"),
        ("size=[0, 416]", "recipe field size.0"),
        ("size", "field=value"),
    ):
        told = cli("explain", "ssd", photo, "--targets", "--set", change, "--save", tmp_path / "none")
        assert told.code == 2
        assert words in told.err
        assert "Traceback" not in told.err
    missing = cli("explain", "sdd", photo, "--targets", "--save", tmp_path / "none")
    assert missing.code == 2
    assert not (tmp_path / "none").exists()


# --- real data


def test_platelets_are_covered_by_smaller_default_boxes(unpacked: Callable[[str], Path]) -> None:
    """What docs/detectors.md says of BCCD: a platelet here has 18 x 22 pixels, the smallest default box 30 x 30."""
    dataset = visus.open_data(unpacked("bccd/bccd_voc.tar"), task="detection")
    sample = next(s for split in dataset.splits.values() for s in split if "BloodImage_00005" in s.id)
    found = {
        scales: visus.explain_targets(
            "ssd", sample.image, sample.target("detection", masks=False), options={"scales": scales}, device="cpu"
        )
        for scales in ("voc", "coco")
    }
    learned: dict[str, list[tuple[str, int, float]]] = {}
    for scales, value in found.items():
        learned[scales] = [(own.name, len(own.predictors), own.overlap) for own in value.objects or ()]
    platelets = [(count, overlap) for name, count, overlap in learned["voc"] if name == "Platelets"]
    assert [count for count, _ in platelets] == [1, 1, 1]
    assert all(overlap == pytest.approx(0.445, abs=5e-4) for _, overlap in platelets)
    red = [count for name, count, _ in learned["voc"] if name == "RBC"]
    assert (min(red), max(red)) == (9, 17)
    smaller = [(count, overlap) for name, count, overlap in learned["coco"] if name == "Platelets"]
    assert sorted(count for count, _ in smaller) == [2, 3, 4]
    assert min(overlap for _, overlap in smaller) == pytest.approx(0.633, abs=5e-4)
    assert max(overlap for _, overlap in smaller) == pytest.approx(0.766, abs=5e-4)
