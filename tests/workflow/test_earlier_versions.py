"""Run folders and model files that an earlier version wrote are opened, used and gone on with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import visus
from visus.errors import WeightsError
from visus.models.card import Card
from visus.models.catalog import CARDS, find_revision
from visus.models.on_meta import build_on_meta
from visus.models.protocols import Backbone
from visus.workflow.plan import Plan

FILES = Path(__file__).parents[1] / "data_of_earlier_versions"
SUMS = {2: 320.7071, 4: 90.80052, 8: 6.424643, 16: 8.734499, 32: 7.46536}
"""Of the absolute values of each map of `padded/`, as the version that trained it computes them, by stride."""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The files in a folder of their own, which their configurations name."""
    folder = shutil.copytree(FILES, tmp_path / "old")
    for config in folder.glob("*/config.yaml"):
        config.write_text(config.read_text().replace("/elsewhere", str(folder)))
    for empty in ("plots", "samples"):  # which a repository does not hold
        (folder / "stopped" / empty).mkdir()
    return folder


def test_a_model_file_gives_the_answers_that_it_gave(old: Path) -> None:
    model = visus.load(old / "finished", device="cpu")
    for name, rows in json.loads((old / "answers.json").read_text()).items():
        (answer,) = model.predict([old / "nuclei" / "images" / name])
        recorded = np.array([[int(digit) for digit in row] for row in rows])
        assert len(np.unique(recorded)) == 3
        assert (answer.map == recorded).mean() > 0.99  # a rounding of another processor may tip a pixel


def test_a_finished_run_is_judged_as_it_was(old: Path) -> None:
    written = json.loads((old / "finished" / "metrics.json").read_text())["test"]
    judged = visus.evaluate(old / "finished", device="cpu", quiet=True).metrics
    assert judged["mean_iou"] == pytest.approx(written["mean_iou"], abs=0.02)
    assert judged["objects"]["counts"]["objects"] == written["objects"]["counts"]["objects"] > 5


def test_a_stopped_run_goes_on_to_the_end_that_it_would_have_had(old: Path) -> None:
    done = visus.resume(old / "stopped", quiet=True)
    assert done.path == old / "stopped"
    resumed, whole = load_file(done.path / "model.safetensors"), load_file(old / "finished" / "model.safetensors")
    assert set(resumed) == set(whole)
    for name, values in whole.items():
        np.testing.assert_allclose(resumed[name], values, rtol=1e-3, atol=1e-4, err_msg=name)
    assert len((done.path / "results.csv").read_text().splitlines()) == 7
    assert json.loads((done.path / "model.json").read_text())["task_options"] == {"touching": "border"}


def test_a_phase_knows_what_follows() -> None:
    plan = Plan.load(FILES / "phase-config.yaml")
    assert plan.phase is not None
    assert (plan.phase.name, plan.phase.count) == ("fcn32s", 2)
    following = plan.phase.next
    assert following is not None
    assert (following.card.recipe, following.model) == ("fcn16s-voc", "fcn16s+mobilenet_v1_025@paper")
    assert following.next is None
    assert following.changes == {"epochs": 1}


def test_a_network_that_has_changed_since_computes_as_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    path = FILES / "padded" / "model.safetensors"
    images = torch.linspace(-1, 1, 3 * 33 * 32).reshape(1, 3, 33, 32).sin()
    loaded = visus.load(path, device="cpu").network
    created = visus.create("mobilenet_v1_025@paper", weights=path, classes=2, width=0.02).eval()
    said = capsys.readouterr().err
    assert said.count("mobilenet_v1_025@paper as it was: convolutions were padded by 1") == 2
    for network in (loaded, created):
        assert isinstance(network, Backbone)
        with torch.no_grad():
            sums = {stride: values.abs().sum().item() for stride, values in network.features(images).items()}
        assert sums == pytest.approx(SUMS, rel=1e-4)


def test_its_training_goes_on_with_the_network_it_began_with() -> None:
    plan = Plan.load(FILES / "padded" / "config.yaml")
    assert find_revision(plan.model, plan.revision).options == {"width": 0.25, "edition": "padded"}


@pytest.mark.parametrize("card", [card for card in CARDS if card.earlier], ids=lambda card: card.full_name)
def test_every_earlier_network_has_todays_weights(card: Card) -> None:
    was, now = build_on_meta(card.at(1)).state_dict(), build_on_meta(card).state_dict()
    assert {name: value.shape for name, value in was.items()} == {name: value.shape for name, value in now.items()}
    assert card.at(1).revision == 1
    assert card.at(card.revision) is card
    with pytest.raises(WeightsError, match="no revision"):
        card.at(card.revision + 1)


def test_a_composition_is_built_on_the_backbone_it_was_trained_with() -> None:
    was, now = (build_on_meta(find_revision("unet+resnet18@paper", 1, revision)) for revision in (1, 2))
    assert [was.backbone.maxpool.padding, now.backbone.maxpool.padding] == [1, 0]
