"""Proposals of files reach the samples of a training, its plan, and a run that goes on; others are computed first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from visus.api.evaluate import evaluate
from visus.api.predict import predict_files
from visus.data.dataset import Dataset
from visus.data.proposals import computing
from visus.data.reading.data_record import DataRecord, changes
from visus.data.reading.opening import open_data
from visus.engine.model_card import ModelInfo
from visus.engine.model_file import save_model
from visus.engine.progress import PlainLines
from visus.errors import DataError, UsageError
from visus.models.building import build
from visus.models.card import Card
from visus.models.catalog import find, find_revision
from visus.structures import ImageSource, Preprocessing, Proposals, ProposalSettings, Sample
from visus.tasks.codec_task import batch_of
from visus.workflow import plan as planning
from visus.workflow.plan import Plan, prepare, prepare_again
from visus.workflow.region_proposals import compute_missing, require_use
from visus.workflow.request import Request

TAKES = Preprocessing(proposals=ProposalSettings(count=7))


@pytest.fixture
def takes_proposals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any network is given proposals."""

    def find(*arguments: Any) -> Card:
        card = find_revision(*arguments)
        return replace(card, preprocessing=replace(card.preprocessing, proposals=ProposalSettings()))

    monkeypatch.setattr(planning, "find_revision", find)


def samples_of(dataset: Dataset) -> list[Sample]:
    return [sample for split in dataset.splits.values() for sample in split]


def table(path: Path, samples: list[Sample], width: int = 9) -> Path:
    rows = [f"{Path(sample.id).name},0,0,{width},9" for sample in samples]
    path.write_text("\n".join(["image,x1,y1,x2,y2", *rows]))
    return path


def test_a_training_records_the_files_and_finds_them_again(boxes: Path, takes_proposals: None, tmp_path: Path) -> None:
    dataset = open_data(boxes)
    file = table(tmp_path / "a.csv", samples_of(dataset))
    prepared = prepare(Request(data=boxes, model="yolov3_tiny", weights="none", proposals=(str(file),)))
    assert prepared.plan.proposals == (str(file.resolve()),)
    assert any(str(file) in message for message in prepared.messages)
    for sample in samples_of(prepared.dataset):
        assert isinstance(sample.proposals, Proposals)
        np.testing.assert_array_equal(sample.proposals.boxes, [[0, 0, 9, 9]])
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(prepared.plan.to_dict()))
    plan = Plan.load(tmp_path / "config.yaml")
    assert plan == prepared.plan
    again = prepare_again(plan)
    before, after = DataRecord.of(prepared.dataset), DataRecord.of(again.dataset)
    assert DataRecord.from_bytes(before.to_bytes()) == after
    assert changes(before, after) == []
    table(file, samples_of(dataset), width=8)
    assert changes(before, DataRecord.of(prepare_again(plan).dataset)) == ["the region proposals are others"]
    file.unlink()
    with pytest.raises(DataError, match=r"no file .*a\.csv"):
        prepare_again(plan)


def test_a_training_without_files_says_what_is_computed(boxes: Path, takes_proposals: None) -> None:
    prepared = prepare(Request(data=boxes, model="yolov3_tiny", weights="none"))
    assert "region proposals: selective search, fast, the best 2,000 of each image" in prepared.messages
    assert all(sample.proposals is None for sample in samples_of(prepared.dataset))
    assert "proposals" not in prepared.plan.to_dict()


def test_files_for_a_network_that_takes_none_are_refused(boxes: Path, cli: Callable[..., Any], tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", [])
    with pytest.raises(UsageError, match=r"yolov3_tiny@.* takes no region proposals"):
        prepare(Request(data=boxes, model="yolov3_tiny", weights="none", proposals=(str(file),)))
    card = find("lenet5@modern")
    model = tmp_path / "model.safetensors"
    info = ModelInfo("classification", card.full_name, ("a", "b"), 1, card.preprocessing)
    save_model(model, build(card, classes=2), info)
    with pytest.raises(UsageError, match="takes no region proposals"):
        evaluate(model, data=boxes, proposals=[file])
    with pytest.raises(UsageError, match="takes no region proposals"):
        list(predict_files(model, [boxes], proposals=[file]))
    told = cli("train", boxes, "--model", "yolov3_tiny", "--weights", "none", "--proposals", file)
    assert told.code == 2
    assert "takes no region proposals" in told.err
    require_use(Preprocessing(), "any", [])
    require_use(TAKES, "any", [file])


def test_what_no_file_gives_is_computed_before_the_first_step(
    boxes: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VISUS_CACHE", str(tmp_path))

    def compute(image: ImageSource, settings: ProposalSettings) -> Proposals:
        return Proposals(np.zeros((1, 4), np.float32), image.size())

    monkeypatch.setattr(computing, "compute", compute)
    dataset = open_data(boxes)
    compute_missing(dataset, Preprocessing(), PlainLines())
    assert not list(tmp_path.iterdir())
    own = replace(dataset.split("train")[0], proposals=Proposals.empty((64, 64)))
    count = len(samples_of(dataset))
    with_one = dataset.with_splits({**dataset.splits, "train": [own, *dataset.split("train")[1:]]})
    compute_missing(with_one, TAKES, PlainLines())
    assert f"region proposals: {count - 1}/{count - 1} images" in capsys.readouterr().err
    compute_missing(dataset, TAKES, PlainLines())
    assert "region proposals: 1/1 images" in capsys.readouterr().err
    compute_missing(dataset, TAKES, PlainLines())
    assert capsys.readouterr().err == ""
    Path(str(own.image.path)).touch()
    lost = replace(own, proposals=None, image=replace(own.image, path=tmp_path / "none.png"))
    with pytest.raises(DataError, match="no file"):
        compute_missing(dataset.with_splits({"train": [lost]}), TAKES, PlainLines())


def test_predictions_and_evaluations_are_given_those_of_files(
    photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    card = find("lenet5@modern")
    model = tmp_path / "model.safetensors"
    way = replace(card.preprocessing, proposals=ProposalSettings(count=2))
    classes = ("blue", "green", "red")
    save_model(model, build(card, classes=3), ModelInfo("classification", card.full_name, classes, 1, way))
    samples = open_data(photos).split("test")
    file = table(tmp_path / "a.csv", list(samples), width=16)  # half of a side, which the network sees at its own size
    seen: list[Any] = []

    def record(prepared: Any, targets: Any) -> Any:
        batch = batch_of(prepared, targets)
        seen.extend(batch.proposals or [])
        return batch

    monkeypatch.setattr("visus.tasks.classification.batch_of", record)
    list(predict_files(model, [photos / "test"], proposals=[file]))
    assert len(seen) == len(samples)
    assert way.size is not None
    for proposals in seen:
        np.testing.assert_allclose(proposals.boxes[:, 2], [way.size[1] / 2])
    seen.clear()
    evaluate(model, data=photos, split="test", proposals=[file], quiet=True)
    assert len(seen) == len(samples)
    with pytest.raises(DataError, match="are not in"):
        evaluate(model, data=photos, split="train", proposals=[file], quiet=True)


@pytest.mark.slow
def test_a_training_with_a_file_is_judged_resumed_and_used_with_it(
    boxes: Path, cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compute(*_: Any) -> Proposals:
        raise AssertionError("the file has the proposals of all images")

    monkeypatch.setattr(computing, "compute", compute)
    samples = samples_of(open_data(boxes))
    file = tmp_path / "a.csv"
    rows = [f"{Path(s.id).name},{x},{y},{x + 24},{y + 24}" for s in samples for x in (4, 34) for y in (4, 12, 20)]
    file.write_text("\n".join(["image,x1,y1,x2,y2", *rows]))
    options = ("--model", "fast_rcnn", "--backbone", "mobilenet_v1_025", "--weights", "none", "--epochs", 1)
    sizes = ("--batch-size", 2, "--set", "size=[64,64]", "--device", "cpu", "--out", tmp_path / "runs")
    told = cli("train", boxes, *options, *sizes, "--proposals", file, "--quiet")
    assert told.code == 0, told.err
    run = tmp_path / "runs" / "latest"
    assert Plan.load(run / "config.yaml").proposals == (str(file.resolve()),)
    assert cli("evaluate", run, "--device", "cpu", "--quiet").code == 0
    assert cli("predict", run, boxes / "images" / "test", "--proposals", file, "--device", "cpu").code == 0
    assert cli("train", "--resume", run, "--quiet").code == 0
    file.write_text("\n".join(["image,x1,y1,x2,y2", *(row.replace(",4,", ",5,") for row in rows)]))
    told = cli("train", "--resume", run, "--quiet")
    assert told.code == 4
    assert "the region proposals are others" in told.err
