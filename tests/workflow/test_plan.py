"""A plan says every choice of a training, survives its file, and opens the same data again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from visus.data.reading.opening import open_data
from visus.errors import DataError, RecipeError, UsageError
from visus.workflow.decisions import look_at
from visus.workflow.plan import Plan, prepare, prepare_again
from visus.workflow.request import Request


def test_a_plan_survives_its_file(photos: Path, tmp_path: Path) -> None:
    plan = prepare(Request(data=photos, model="resnet18", weights="none", changes={"optimizer.lr": 0.5})).plan
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(plan.to_dict()))
    assert Plan.load(tmp_path / "config.yaml") == plan
    assert prepare_again(plan).plan == plan
    with pytest.raises(RecipeError, match="not the configuration"):
        Plan.from_dict({**plan.to_dict(), "colour": "red"})
    with pytest.raises(RecipeError, match="epochs"):
        Plan.from_dict({**plan.to_dict(), "recipe": {"epochs": 0}})


def test_a_named_data_set_is_opened_again_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = prepare(Request(data="digits", model="lenet5")).plan
    assert (plan.data, plan.reader, plan.channels) == ("digits", None, 1)
    (tmp_path / "digits").mkdir()  # a folder of that name changes nothing
    assert prepare_again(plan).dataset.root is None


def test_channels_follow_images_and_weights(photos: Path, trained: Callable[[str], Any], tmp_path: Path) -> None:
    from PIL import Image

    grey = shutil.copytree(photos, tmp_path / "grey")
    for file in grey.rglob("*.png"):
        Image.open(file).convert("L").save(file)
    own = trained("classification").path / "model.safetensors"  # of three channels
    for data, options, channels in (
        (photos, {"model": "lenet5", "weights": "none"}, 3),
        (grey, {"model": "lenet5", "weights": "none"}, 1),
        (photos, {"model": "lenet5@modern", "weights": str(own)}, 3),
        (grey, {"model": "lenet5@modern", "weights": str(own)}, 3),
        (grey, {"model": "resnet18"}, 3),
        (photos, {"model": "resnet18"}, 3),
    ):
        assert prepare(Request(data=data, **options)).plan.channels == channels, (data.name, options)


def test_facts_of_the_images(photos: Path) -> None:
    dataset = open_data(photos)
    facts = look_at(dataset, "classification")
    assert (facts.images, facts.classes, facts.size, facts.grey) == (18, 3, (32, 32), False)


def test_nothing_that_can_be_read(photos: Path, tmp_path: Path) -> None:
    data = shutil.copytree(photos, tmp_path / "broken")
    for file in data.rglob("*.png"):
        file.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(DataError, match="no image of broken can be read"):
        prepare(Request(data=data, model="lenet5", weights="none"))


def test_processes_and_devices(photos: Path) -> None:
    with pytest.raises(UsageError, match="at least one process"):
        prepare(Request(data=photos, processes=0))
    with pytest.raises(UsageError, match="no device gpu"):
        prepare(Request(data=photos, device="gpu"))


def test_changes_of_images_that_the_task_cannot_have(photos: Path) -> None:
    with pytest.raises(RecipeError, match="mosaic shows the objects"):
        prepare(Request(data=photos, weights="none", changes={"augmentation.mosaic": 0.5}))


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("workers", -1, UsageError),
        ("workers", "two", RecipeError),
        ("workers", True, RecipeError),
        ("processes", 0, UsageError),
        ("channels", 0, RecipeError),
        ("channels", "3", RecipeError),
        ("data", 5, RecipeError),
        ("recipe", [], RecipeError),
        ("recipe", {"epochs": -1}, RecipeError),
        ("values", {"channels": 3, "value_range": [[5, 2]], "mean": [], "std": []}, RecipeError),
        ("phase", {"phases": "none", "number": 0, "leads_to": "x"}, RecipeError),
        ("phase", "x", RecipeError),
        ("task_options", {"touching": 5}, RecipeError),
        ("more", 1, RecipeError),
    ],
)
def test_a_configuration_with_a_wrong_field(
    photos: Path, tmp_path: Path, field: str, value: object, error: type[Exception]
) -> None:
    plan = prepare(Request(data=photos, model="mnist_cnn", weights="none", device="cpu")).plan.to_dict()
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(plan | {field: value}))
    with pytest.raises(error):
        prepare_again(Plan.load(tmp_path / "config.yaml"))
