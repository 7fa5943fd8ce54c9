"""Run folders and model files that an earlier version wrote are opened, used and gone on with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import visus
from visus.workflow.plan import Plan

FILES = Path(__file__).parents[1] / "data_of_earlier_versions"


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
    assert (following.recipe, following.model) == ("fcn16s-voc", "fcn16s+mobilenet_v1_025@paper")
    assert following.next is None
    assert following.changes == {"epochs": 1}
