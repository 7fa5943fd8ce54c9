"""A training goes on with the data that it began with, or says what has changed and stops."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import visus
from visus.engine.model_file import read_info
from visus.errors import DataError
from visus.workflow.changed_data import RECORD

QUICK = ("--model", "lenet5@modern", "--weights", "none", "--device", "cpu", "--epochs", "1", "--batch-size", "6")


def one_more_epoch(run: Path) -> None:
    config = run / "config.yaml"
    text = config.read_text()
    done = int(text.split("\n  epochs: ")[1].split("\n")[0])
    config.write_text(text.replace(f"\n  epochs: {done}\n", f"\n  epochs: {done + 1}\n"))


@pytest.mark.usefixtures("without_reports")
def test_changed_data_stop_a_training_that_goes_on(
    photos: Path, cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, run = tmp_path / "photos", tmp_path / "runs" / "photos-lenet5"
    shutil.copytree(photos, data)
    assert cli("train", data, *QUICK, "--out", tmp_path / "runs", "--quiet").code == 0
    assert (run / RECORD).is_file()
    first = read_info(run).data_fingerprint
    record = (run / RECORD).read_bytes()
    one_more_epoch(run)
    assert cli("train", "--resume", run, "--quiet").code == 0  # nothing has changed
    assert (run / RECORD).read_bytes() == record
    shutil.move(data / "train" / "red", data / "train" / "t")
    shutil.move(data / "train" / "blue", data / "train" / "red")
    shutil.move(data / "train" / "t", data / "train" / "blue")
    one_more_epoch(run)
    told = cli("train", "--resume", run)
    assert told.code == 4
    assert "have changed since its training began" in told.err
    assert "images are labelled otherwise: train/" in told.err
    assert "--allow-changed-data" in told.err
    assert len((run / "results.csv").read_text().splitlines()) == 3
    with pytest.raises(DataError, match="have changed"):
        visus.resume(run, quiet=True)
    allowed = cli("train", "--resume", run, "--allow-changed-data")
    assert allowed.code == 0, allowed.err
    assert "the data have changed: " in allowed.err
    log = (run / "log.txt").read_text()
    assert "goes on with changed data: " in log
    assert read_info(run).data_fingerprint != first
    assert cli("train", "--resume", run, "--quiet").code == 0  # these are the data of the run now
    # An earlier version left no record; a finished run still has its fingerprint.
    (run / RECORD).unlink()
    (data / "train" / "blue" / "blue-0.png").unlink(missing_ok=True)
    shutil.copy(next((data / "train" / "green").iterdir()), data / "train" / "green" / "another.png")
    assert "their fingerprint is another one" in cli("train", "--resume", run).err
    (run / "model.safetensors").unlink()
    assert cli("train", "--resume", run, "--quiet").code == 0
    assert (run / RECORD).is_file()
    (run / RECORD).write_bytes(b"damaged")
    assert "nobody knows which data" in cli("train", "--resume", run).err
    shutil.copytree(data / "train" / "red", data / "train" / "violet")
    (run / RECORD).write_bytes(record)
    more = cli("train", "--resume", run, "--allow-changed-data")
    assert more.code == 4
    assert "another number of classes" in more.err
    assert cli("train", data, "--allow-changed-data").code == 2


@pytest.mark.usefixtures("without_reports")
def test_the_next_phase_begins_with_the_data_of_the_one_before(masks: Path, tmp_path: Path) -> None:
    data = tmp_path / "masks"
    shutil.copytree(masks, data)
    changes = {"size": [64, 64], "fit": "stretch", "epochs": 1, "optimizer.lr": 1e-6, "batch_size": 4}
    model, recipe = "fcn16s+mobilenet_v1_025", "fcn-voc-staged"
    out = tmp_path / "runs"
    visus.train(data, model=model, weights="none", recipe=recipe, changes=changes, out=out, name="fcn", quiet=True)
    shutil.rmtree(out / "fcn")  # as if it had been stopped between the phases
    shutil.copy(data / "masks" / "cell-00.png", data / "masks" / "cell-01.png")
    with pytest.raises(DataError, match=r"1 image is labelled otherwise: images/cell-01\.png"):
        visus.resume(out / "fcn-fcn32s", quiet=True)
    assert not (out / "fcn").exists()
    done = visus.resume(out / "fcn-fcn32s", allow_changed_data=True, quiet=True)
    assert "1 image is labelled otherwise" in (done.path / "log.txt").read_text()
    (data / "images" / "cell-02.png").unlink()
    (data / "masks" / "cell-02.png").unlink()
    one_more_epoch(done.path)
    (done.path / "model.safetensors").unlink()  # a phase that did not finish
    with pytest.raises(DataError, match="1 image is gone"):
        visus.resume(done.path, quiet=True)
