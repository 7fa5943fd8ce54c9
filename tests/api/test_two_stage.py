"""Detectors of two stages in Python, as somebody uses them who only knows the names that ``visus`` offers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import visus
from visus.errors import ShapeError, UsageError
from visus.explanation.regions import ExplainedRegions
from visus.structures import Detections

SMALL: dict[str, Any] = {"size": [64, 64], "fit": "stretch", "model_options.width": 8, "freeze": "none"}
OPTIONS = {"width": 8}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Proposals that are computed are kept here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISUS_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr("visus.workflow.reporting.write_run_report", lambda *_, **__: None)
        yield


@pytest.fixture(scope="module")
def data(make_boxes: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_boxes(tmp_path_factory.mktemp("data") / "boxes", {"train": (2, 1, 0), "val": (1,), "test": (2,)})


@pytest.fixture(scope="module")
def given(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The objects themselves and a corner of each image, as a table."""
    rows = ["image,x1,y1,x2,y2,score"]
    for samples in visus.open_data(data).splits.values():
        for sample in samples:
            name = Path(sample.id).name
            rows += [f"{name},{','.join(map(str, box))},0.9" for box in sample.target("detection").boxes.tolist()]
            rows.append(f"{name},0,0,12,10,0.5")
    path = tmp_path_factory.mktemp("given") / "regions.csv"
    path.write_text("\n".join(rows))
    return path


@pytest.fixture(scope="module")
def run(data: Path, given: Path, tmp_path_factory: pytest.TempPathFactory) -> visus.Run:
    """Fast R-CNN, which is given proposals."""
    return visus.train(
        data,
        model="fast_rcnn",
        backbone="mobilenet_v1_025",
        weights="none",
        proposals=[given],
        changes=SMALL,
        epochs=1,
        batch_size=2,
        out=tmp_path_factory.mktemp("runs"),
        quiet=True,
    )


def picture(data: Path) -> Path:
    return next((data / "images" / "test").iterdir())


def test_a_network_is_created_and_looks_at_given_regions() -> None:
    network = visus.create("fast_rcnn+mobilenet_v1_025", classes=2, **OPTIONS).eval()
    regions = [torch.tensor([[4.0, 4.0, 40.0, 40.0], [0.0, 0.0, 64.0, 64.0], [8.0, 8.0, 30.0, 60.0]])]
    with torch.inference_mode():
        output = network(torch.zeros(1, 3, 64, 64), regions)
        alone = network(torch.zeros(1, 3, 64, 64))
    assert output.logits.shape == (1, 3, 3)  # two classes and the background
    assert output.proposals[0].tolist() == regions[0].tolist()
    assert alone.proposals[0].tolist() == [[0, 0, 64, 64]]  # without any: the whole image
    own = visus.create("faster_rcnn+mobilenet_v1_025", classes=2, rpn_width=8, **OPTIONS).eval()
    with torch.inference_mode():
        assert own(torch.zeros(1, 3, 64, 64)).counts[0] > 0


def test_a_training_with_proposals_is_scored_loaded_and_predicts(run: visus.Run, data: Path, given: Path) -> None:
    assert set(run.metrics) == {"val", "test"}
    model = visus.load(run.path)
    found = model.predict(picture(data))  # without files: selective search
    assert isinstance(found, Detections)
    assert found.classes == model.classes == ("sun", "sea")
    assert found.size == found.image.load().shape[1:]
    assert len(model.predict(data / "images" / "test")) == 1
    evaluated = visus.evaluate(run.path, data=data, split="test", proposals=[given], quiet=True)
    assert evaluated.metrics["map50"] == pytest.approx(run.metrics["test"]["map50"])
    with pytest.raises(UsageError, match="takes no region proposals"):
        visus.train(data, model="ssd", backbone="mobilenet_v1_025", weights="none", proposals=[given], quiet=True)


def test_what_it_learns_is_explained(run: visus.Run, data: Path) -> None:
    samples = visus.open_data(data).split("test")
    truth = samples[0].target("detection")
    explained = visus.explain_targets(run.path, samples[0].image.path, truth)
    assert isinstance(explained, ExplainedRegions)
    assert explained.first is None
    assert "which came with the image" in str(explained)
    assert [row["label"] for row in explained.to_dict()["objects"]] == [truth.classes[k] for k in truth.labels]
    json.dumps(explained.to_dict())
    assert explained.draw().width > 1000
    named = visus.explain_targets(
        "faster_rcnn", samples[0].image.path, truth, backbone="mobilenet_v1_025", options=OPTIONS | {"rpn_width": 8}
    )
    assert isinstance(named, ExplainedRegions)
    assert named.first is not None
    assert named.kept is None  # it has learned nothing


def test_a_heat_map_of_its_answers(run: visus.Run, data: Path) -> None:
    heatmap = visus.explain(run.path, picture(data), label="sun")
    assert heatmap.label == "sun"
    with pytest.raises(UsageError, match="moon"):
        visus.explain(run.path, picture(data), label="moon")


def test_proposals_are_found_and_scored(data: Path, given: Path) -> None:
    found = visus.find_proposals(data, proposals=[given], quiet=True)
    assert found.scores is not None
    assert found.scores.recall(0.9) == 1  # they are the objects
    by_image = dict(found.proposals())
    assert len(by_image) == 5
    assert all(len(proposals) == 1 + count for proposals, count in zip(by_image.values(), (2, 1, 0, 1, 2), strict=True))
    searched = visus.find_proposals(data, split="test", mode="single", workers=0, quiet=True)
    assert min(searched.counts.values()) > 0


def test_wrong_regions_are_refused() -> None:
    network = visus.create("fast_rcnn+mobilenet_v1_025", classes=2, **OPTIONS).eval()
    for wrong in ([torch.zeros(2, 5)], [torch.zeros(1, 4)] * 2):
        with pytest.raises(ShapeError):
            network(torch.zeros(1, 3, 64, 64), wrong)
    assert np.isfinite(network(torch.zeros(1, 3, 64, 64), [torch.zeros(0, 4)]).logits.detach().numpy()).all()
