"""The four steps of alternating training share and freeze what section 3.2 of Faster R-CNN says."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

import visus
from visus.data.proposals.reading import read_proposals
from visus.engine.model_card import ModelInfo
from visus.engine.model_file import load_state, save_model
from visus.errors import DataError, InterruptedRunError, RecipeError
from visus.models.catalog import backbone_revision, find
from visus.recipes import phases
from visus.recipes.phases import PhaseOf
from visus.workflow import alternating
from visus.workflow.phases import MANIFEST, Context, finished, silent
from visus.workflow.plan import Plan
from visus.workflow.training_phases import request_of

MODEL = "faster_rcnn+mobilenet_v1_025"
OPTIONS = {"width": 8, "rpn_width": 8, "anchors": [[16, 16], [24, 24]], "smallest": 1.0, "pooling": "align"}
SHORT = {
    "size": [64, 64],
    "fit": "stretch",
    "epochs": 1,
    "batch_size": 3,
    "optimizer.backbone_lr": 1.0,
    "schedule.name": "constant",
    "schedule.warmup_epochs": 0.0,
    "augmentation.mirror": 0.5,
    "freeze": "none",
    **{f"model_options.{name}": value for name, value in OPTIONS.items()},
}
BOXES = {"train": (1, 2, 0), "val": (1,)}
SECOND_STAGE = ("regions.", "class_logits.", "box_offsets.")


def part(state: dict[str, Tensor], *starts: str) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if name.startswith(starts)}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    assert one.keys() == other.keys()
    assert one
    return all(torch.equal(value, other[name]) for name, value in one.items())


def nearly(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Of parameters: the statistics of a BatchNorm move whatever the learning rate is."""
    return all(
        torch.allclose(value, other[name], atol=1e-4)
        for name, value in one.items()
        if name.endswith(("weight", "bias"))
    )


def changed(sequence: tuple[phases.PhaseCard, ...], rates: dict[str, float]) -> tuple[phases.PhaseCard, ...]:
    return tuple(
        replace(card, changes={**card.changes, "optimizer.lr": rates[card.name]}) if card.name in rates else card
        for card in sequence
    )


def trained(data: Path, out: Path, recipe: str, **more: Any) -> visus.Run:
    return visus.train(
        data, model=MODEL, recipe=recipe, changes=SHORT, out=out, name="f", quiet=True, workers=0, **more
    )


@pytest.fixture(scope="module")
def first_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file to begin with, as a released one would be."""
    path = tmp_path_factory.mktemp("first") / "model.safetensors"
    network = visus.create(MODEL, classes=2, **OPTIONS)
    card = find(MODEL)
    info = ModelInfo(
        task="detection",
        model=card.full_name,
        backbone=card.backbone,
        revision=card.revision,
        backbone_revision=backbone_revision(card),
        classes=("sun", "sea"),
        in_channels=3,
        preprocessing=card.preprocessing,
        options=OPTIONS,
    )
    save_model(path, network, info)
    return path


@pytest.fixture(scope="module")
def runs(first_weights: Path, make_boxes: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole training of four steps, of which the second's learning rate is nearly 0."""
    folder = tmp_path_factory.mktemp("alternating")
    data = make_boxes(folder / "data", BOXES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("visus.workflow.reporting.write_run_report", lambda *_, **__: None)
        rates = {"1-rpn": 0.01, "2-detector": 1e-9, "3-rpn": 0.01, "4-detector": 0.01}
        table = {name: changed(sequence, rates) for name, sequence in phases.PHASES.items()}
        patch.setattr(phases, "PHASES", MappingProxyType(table))
        trained(data, folder / "runs", "faster-rcnn-4-step", weights=str(first_weights))
    return folder


@pytest.fixture(scope="module")
def steps(runs: Path) -> dict[str, dict[str, Tensor]]:
    folder = runs / "runs"
    names = {"1": "f-1-rpn", "2": "f-2-detector", "3": "f-3-rpn", "4": "f"}
    return {step: load_state(folder / name)[1] for step, name in names.items()}


def test_each_step_leaves_a_named_artefact(runs: Path) -> None:
    folder = runs / "runs"
    manifests = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("f*/artefact.json")}
    assert {name: manifest["kind"] for name, manifest in manifests.items()} == {
        "f-1-rpn": "run",
        "f-1-proposals": "proposals",
        "f-2-detector": "run",
        "f-3-rpn": "run",
        "f": "run",
    }
    assert all(manifest["finished"] for manifest in manifests.values())
    assert list(manifests["f"]["made_from"]) == ["1-rpn", "1-proposals", "2-detector", "3-rpn"]


def test_step_2_begins_with_the_first_weights_and_not_with_those_of_step_1(
    steps: dict[str, dict[str, Tensor]], first_weights: Path
) -> None:
    first = load_state(first_weights)[1]
    assert nearly(part(steps["2"], "backbone."), part(first, "backbone."))
    assert not nearly(part(steps["1"], "backbone."), part(first, "backbone."))


def test_shared_convolutions_are_bit_equal_from_step_2_on(steps: dict[str, dict[str, Tensor]]) -> None:
    """Their BatchNorm statistics, too."""
    assert equal(part(steps["2"], "backbone."), part(steps["3"], "backbone."))
    assert equal(part(steps["3"], "backbone."), part(steps["4"], "backbone."))
    assert not equal(part(steps["1"], "backbone."), part(steps["2"], "backbone."))


def test_what_is_a_stages_own_learns_in_its_steps_alone(
    steps: dict[str, dict[str, Tensor]], first_weights: Path
) -> None:
    first = load_state(first_weights)[1]
    assert not equal(part(steps["1"], "rpn."), part(first, "rpn."))
    assert equal(part(steps["2"], "rpn."), part(first, "rpn."))  # step 3 begins with a new one
    assert not equal(part(steps["3"], "rpn."), part(steps["2"], "rpn."))
    assert equal(part(steps["4"], "rpn."), part(steps["3"], "rpn."))
    assert equal(part(steps["1"], *SECOND_STAGE), part(first, *SECOND_STAGE))
    assert not equal(part(steps["2"], *SECOND_STAGE), part(steps["1"], *SECOND_STAGE))
    assert equal(part(steps["3"], *SECOND_STAGE), part(steps["2"], *SECOND_STAGE))
    assert not equal(part(steps["4"], *SECOND_STAGE), part(steps["3"], *SECOND_STAGE))


def test_step_2_learns_from_the_proposals_of_step_1(runs: Path) -> None:
    folder = runs / "runs"
    file = folder / "f-1-proposals" / "proposals.npz"
    config = yaml.safe_load((folder / "f-2-detector" / "config.yaml").read_text())
    assert config["proposals"] == [str(file)]
    given = {Path(str(one.name)).stem: one for one in read_proposals(file)}
    assert sorted(given) == ["train-0", "train-1", "train-2", "val-0"]
    model = visus.load(folder / "f-1-rpn", device="cpu")
    codec = model.network.codec
    assert (codec.trained.after, codec.tested.after) == (2000, 300)
    for name, rules in (("train-0", codec.trained), ("val-0", codec.tested)):
        assert len(given[name].boxes) <= rules.after
        assert given[name].size == (64, 64)
    recall = json.loads((folder / "f-1-proposals" / "recall.json").read_text())
    assert recall["train"]["objects"] == 3


def test_a_second_stage_alone_needs_proposals_at_prediction(runs: Path) -> None:
    folder, image = runs / "runs", runs / "data" / "images" / "val" / "val-0.png"
    with pytest.raises(DataError, match="needs region proposals") as refusal:
        visus.predict(folder / "f-2-detector", image, device="cpu")
    assert "--proposals" in refusal.value.remedy
    assert visus.predict(folder / "f", image, device="cpu").size == (64, 64)


@pytest.mark.usefixtures("without_reports")
def test_networks_that_share_nothing_are_joined(runs: Path, tmp_path: Path) -> None:
    """The proposals are those of step 1's network, and what is said of them is what step 2's network says."""
    names = {"1-rpn": "f-1-rpn", "1-proposals": "f-1-proposals", "2-detector": "f-2-detector"}
    made = {name: finished(name, runs / "runs" / folder, {}, silent) for name, folder in names.items()}
    plan = Plan.load(runs / "runs" / "f-2-detector" / "config.yaml")
    part = PhaseOf("faster-rcnn-unshared", 3, MODEL)
    joined = alternating.join(Context(tmp_path, made, request_of(plan, part, made), quiet=True))
    assert (joined.name, joined.kind) == ("join", "run")
    first, second = (visus.load(runs / "runs" / names[name], device="cpu") for name in ("1-rpn", "2-detector"))
    whole = visus.load(tmp_path, device="cpu")
    assert whole.info.options["shared"] is False
    assert whole.info.preprocessing.proposals is None
    assert set(whole.info.metrics) == {"val"}
    assert whole.network.channels == {16: 2 * first.network.channels[16]}
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        output = whole.network(images)
        proposed = first.network.propose(first.network.features(images), (64, 64))
        boxes = [output.proposals[n, :count] for n, count in enumerate(output.counts)]
        expected = second.network(images, boxes)
    for own, given in zip(boxes, proposed.boxes, strict=True):
        torch.testing.assert_close(own, given)
    torch.testing.assert_close(output.logits, expected.logits)
    torch.testing.assert_close(output.offsets, expected.offsets)


def test_resuming_any_step_finds_what_came_before(runs: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file()}
    for name in ("f-1-rpn", "f-2-detector", "f-3-rpn", "f"):
        assert visus.resume(runs / "runs" / name, quiet=True).path == runs / "runs" / "f"
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("place", ["first step", "before the second step", "proposals"])
def test_what_a_signal_ends_before_a_checkpoint_can_be_resumed(
    runs: Path, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the folder of the phase itself, where that stays, or from the one before."""

    def stop(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    first = tmp_path / "f-1-rpn"
    shutil.copytree(runs / "runs" / "f-1-rpn", first)
    if place == "first step":  # it was killed, and so its folder stayed
        (first / MANIFEST).write_text((first / MANIFEST).read_text().replace('"finished": true', '"finished": false'))
        for checkpoint in first.glob("*.ckpt"):
            checkpoint.unlink()
    if place == "before the second step":
        shutil.copytree(runs / "runs" / "f-1-proposals", tmp_path / "f-1-proposals")
    where = "visus.workflow.alternating.write_arrays" if place == "proposals" else "visus.models.building.build"
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(where, stop)
    with pytest.raises(InterruptedRunError, match="stopped be") as stopped:
        visus.resume(first, quiet=True)
    assert stopped.value.exit_code == 143
    assert stopped.value.remedy == f"go on with: visus train --resume {first}"
    assert (first / "config.yaml").is_file()
    assert not (tmp_path / "f-2-detector").exists()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.slow
@pytest.mark.usefixtures("without_reports")
def test_a_training_without_sharing(make_boxes: Callable[..., Path], tmp_path: Path) -> None:
    data = make_boxes(tmp_path / "data", BOXES)
    done = trained(data, tmp_path / "runs", "faster-rcnn-unshared", weights="none")
    assert done.path == tmp_path / "runs" / "f"
    assert done.metrics["val"]["map50"] is not None
    for name in ("f-1-rpn", "f-2-detector", "f"):
        assert visus.resume(tmp_path / "runs" / name, quiet=True).path == done.path


@pytest.mark.slow
@pytest.mark.usefixtures("without_reports")
def test_what_was_killed_goes_on_to_the_same_weights(make_boxes: Callable[..., Path], tmp_path: Path) -> None:
    """Killed in each step, and while the proposals are made."""
    data = make_boxes(tmp_path / "data", {"train": (1, 2, 0, 1), "val": (1,)})
    places = ("1", "proposals", "2", "3", "4")
    script = Path(__file__).with_name("alternating_kills.py")
    folders = [f"{tmp_path / 'whole'}=", *(f"{tmp_path / place}={place}" for place in places)]
    told = subprocess.run(
        [sys.executable, str(script), str(data), *folders], capture_output=True, text=True, check=False, timeout=600
    )
    assert told.stdout.split() == ["0", *["-9"] * len(places)], told.stderr
    expected = load_state(tmp_path / "whole" / "f")[1]
    for place, last in zip(places, ("f-1-rpn", "f-1-rpn", "f-2-detector", "f-3-rpn", "f"), strict=True):
        run = (tmp_path / place / "latest").resolve()
        assert run.name == last
        done = visus.resume(run, quiet=True)
        assert done.path == tmp_path / place / "f"
        assert equal(load_state(done.path)[1], expected), place
        names = sorted(path.name for path in (tmp_path / place).iterdir() if not path.is_symlink())
        assert names == ["f", "f-1-proposals", "f-1-rpn", "f-2-detector", "f-3-rpn"]


def test_models_without_a_first_stage(boxes: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="learns"):
        visus.train(
            boxes, model="ssd", backbone="mobilenet_v1_025", weights="none", recipe="faster-rcnn-4-step", out=tmp_path
        )
    assert not any(tmp_path.iterdir())
