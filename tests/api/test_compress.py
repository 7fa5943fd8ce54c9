"""Models whose dense layers keep their largest singular values: by Python and by command line, saved and loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import visus
from visus.engine.model_card import ModelInfo
from visus.engine.model_file import read_info, save_model
from visus.errors import RecipeError, UsageError
from visus.layers.low_rank import LowRankLinear
from visus.models import catalog
from visus.models.building import build
from visus.models.classification.mobilenet_v1 import MobileNetV1

OPTIONS = {"width": 8, "pooling": "align"}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file of Fast R-CNN on a small backbone, as drawn."""
    torch.manual_seed(0)
    card = catalog.find("fast_rcnn+mobilenet_v1_025")
    network = build(card, classes=2, options=OPTIONS)
    info = ModelInfo(
        task="detection",
        model=card.full_name,
        classes=("cell", "dust"),
        in_channels=3,
        preprocessing=replace(card.preprocessing, size=(64, 96), proposals=None),  # the whole image is its one region
        backbone=card.backbone,
        options=OPTIONS,
        metrics={"val": {"map50": 0.9}},
        revision=card.revision,
        backbone_revision=catalog.backbone_revision(card),
    )
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(path, network, info)
    return path


def test_a_truncated_model_is_saved_and_loaded(file: Path, tmp_path: Path) -> None:
    whole = visus.load(file, device="cpu")
    assert isinstance(whole.network.backbone, MobileNetV1)
    small = whole.truncated({"fc6": 3, "fc7": 2})
    assert isinstance(small.network.regions.fc6, LowRankLinear)
    assert not isinstance(whole.network.regions.fc6, LowRankLinear)
    assert small.network.backbone.state_dict().keys() == whole.network.backbone.state_dict().keys()
    first = next(iter(small.network.backbone.parameters()))
    assert first.data_ptr() == next(iter(whole.network.backbone.parameters())).data_ptr()  # shared, not copied
    assert small.info.options["ranks"] == {"regions.fc6": 3, "regions.fc7": 2}
    assert small.info.metrics == {}
    written = small.save(tmp_path / "small")
    assert written == tmp_path / "small" / "model.safetensors"
    again = visus.load(written, device="cpu")
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(again.network(images).logits, small.network(images).logits)
    with pytest.raises(UsageError, match="another ending"):
        small.save(tmp_path / "small.pth")


def test_all_singular_values_change_no_answer(file: Path) -> None:
    whole = visus.load(file, device="cpu")
    same = whole.truncated({"fc6": 8, "fc7": 8})
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(same.network(images).logits, whole.network(images).logits, atol=1e-4, rtol=1e-4)


def test_what_cannot_be_truncated(file: Path, trained: Callable[[str], Any], tmp_path: Path) -> None:
    model = visus.load(file, device="cpu")
    with pytest.raises(RecipeError, match=r"no dense layer fc9(.|\n)*regions.fc6"):
        model.truncated({"fc9": 1})
    with pytest.raises(RecipeError, match="1 to 8"):
        model.truncated({"fc6": 9})
    with pytest.raises(RecipeError, match="no dense layer fc6"):
        model.truncated({"fc6": 2}).truncated({"fc6": 1})
    with pytest.raises(UsageError, match="no layer is named"):
        visus.compress(model, tmp_path / "a.safetensors", {})
    with pytest.raises(UsageError, match="has no dense layers that can be truncated"):
        visus.load(trained("classification").path, device="cpu").truncated({"fc": 1})
    assert not list(tmp_path.iterdir())


def test_the_verb(file: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    out = tmp_path / "small.safetensors"
    told = cli("compress", file, out, "--rank", "fc6=3", "--rank", "fc7=2")
    assert told.code == 0, told.err
    assert "regions.fc6: 3 of 8 singular values" in told.out
    assert read_info(out).options["ranks"] == {"regions.fc6": 3, "regions.fc7": 2}
    answer = json.loads(cli("compress", file, tmp_path / "b.safetensors", "--rank", "fc6=8", "--json").out)
    assert answer["layers"][0]["lost"] == pytest.approx(0, abs=1e-3)
    assert answer["parameters"] > answer["full_parameters"]  # of full rank two layers are larger than one
    for wrong in ("fc6", "fc6=", "=3", "fc6=a", "fc6=-1"):
        assert cli("compress", file, out, "--rank", wrong).code == 2
    assert cli("compress", tmp_path / "nowhere", out, "--rank", "fc6=1").code == 5


def test_prediction_with_ranks(file: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    told = cli("predict", file, tmp_path / "a.png", "--rank", "fc6=2", "--json")
    assert told.code == 0, told.err
    assert cli("predict", file, tmp_path / "a.png", "--rank", "fc1=2").code == 2
