"""What visus wrote is never data, unless it is given itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from visus.data.dataset import Dataset
from visus.data.formats.own_folders import MARK, mark_text
from visus.data.reading.images import open_images
from visus.data.reading.opening import open_data
from visus.errors import DataError
from visus.workflow.folders import output_folder


def paint(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for seed in range(12):
        paint(tmp_path / "pets" / ("cats", "dogs")[seed % 2] / f"{seed}.png", seed)
    return tmp_path / "pets"


def note(dataset: Dataset) -> str:
    return "; ".join(finding.message for finding in dataset.findings if finding.kind == "own-folder")


def count(dataset: Dataset) -> int:
    return sum(map(len, dataset.splits.values()))


def old_run(folder: Path) -> None:
    """As earlier versions left it: without a mark."""
    paint(folder / "samples" / "00-truth.jpg")
    for name in ("config.yaml", "command.txt", "env.json"):
        (folder / name).write_text("{}")


def saved_predictions(folder: Path) -> None:
    paint(folder / "1.png")
    for name in ("predictions.csv", "predictions.json"):
        (folder / name).write_text("{}")


def test_runs_explanations_and_saved_answers_are_left_out_and_told(pets: Path) -> None:
    old_run(pets / "runs" / "one")
    (pets / "runs" / "latest").symlink_to("one")
    saved_predictions(pets / "out")
    with output_folder(pets / "explanations", "explain") as folder:
        paint(folder / "0-why.png")
    dataset = open_data(pets)
    assert dataset.classes["classification"] == ("cats", "dogs")
    assert count(dataset) == 12
    assert note(dataset) == "3 folders that visus wrote are left out: explanations, out, runs"
    assert note(open_data(pets / "cats")) == ""
    assert len(open_images([pets])) == 12


def test_runs_among_splits_and_images_are_left_out(pets: Path) -> None:
    for name in ("train", "val"):
        shutil.copytree(pets, pets.parent / "split" / name)
    old_run(pets.parent / "split" / "train" / "old")
    old_run(pets.parent / "split" / "old")
    dataset = open_data(pets.parent / "split")
    assert dataset.classes["classification"] == ("cats", "dogs")
    assert {name: len(samples) for name, samples in dataset.splits.items()} == {"train": 12, "val": 12}
    assert note(dataset) == "2 folders that visus wrote are left out: old, train/old"
    old_run(pets / "cats" / "tries" / "old")
    assert count(open_data(pets)) == 12


def test_who_gives_such_a_folder_itself_gets_it(tmp_path: Path) -> None:
    old_run(tmp_path / "runs" / "one")
    (tmp_path / "runs" / "latest").symlink_to("one")
    assert len(open_images([tmp_path / "runs" / "one" / "samples"])) == 1
    assert len(open_images([tmp_path / "runs" / "one"])) == 1
    with output_folder(tmp_path / "out", "predict") as folder:
        paint(folder / "a.png")
    assert count(open_data(tmp_path / "out")) == 1
    with pytest.raises(DataError, match="folders that visus wrote are left out: latest, one") as caught:
        open_images([tmp_path / "runs"])
    assert caught.value.remedy == "give one of them itself"


def test_in_a_folder_of_others_files_only_those_that_visus_wrote_are_left_out(pets: Path) -> None:
    with output_folder(pets / "cats", "predict") as folder:
        paint(folder / "answer.png")
    with output_folder(pets / "cats", "explain") as folder:
        paint(folder / "answer-why.png")
    dataset = open_data(pets)
    assert count(dataset) == 12
    assert note(dataset) == "2 files that visus wrote are left out"
    with output_folder(pets, "data show") as folder:
        paint(folder / "grid.png")
    assert count(open_data(pets)) == 12
    assert note(open_data(pets)) == "3 files that visus wrote are left out"


def test_results_in_a_folder_again_keep_it_visus_own_and_marks_of_others_do_not(tmp_path: Path) -> None:
    for number in range(2):
        with output_folder(tmp_path / "out", "predict") as folder:
            paint(folder / f"{number}.png")
    assert (tmp_path / "out" / MARK).read_text() == mark_text("predict")
    with output_folder(tmp_path / "mine", "predict"):
        pass
    for text in ("", "[]", "no JSON", '{"files": 3}'):
        (tmp_path / "mine" / MARK).write_text(text)
        paint(tmp_path / "mine" / "a.png")
        assert len(open_images([tmp_path])) == 1


def test_the_command_line_marks_what_it_writes(
    trained: Callable[[str], Any],
    photos: Path,
    cli: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, data = trained("classification").path, tmp_path / "photos"
    shutil.copytree(photos / "test", data)
    monkeypatch.chdir(data)
    assert (run / MARK).is_file()
    assert cli("predict", run, ".", "--save", "out", "--device", "cpu").code == 0
    assert cli("explain", run, "red", "--device", "cpu").code == 0  # into explanations/
    assert cli("data", "show", ".").code == 0  # grid.png
    shutil.copytree(run, data / "runs" / "mine")
    assert sorted(os.listdir(".")) == [".visus", "blue", "explanations", "green", "grid.png", "out", "red", "runs"]
    told = cli("data", "check", ".")
    assert "3 classes" in told.out
    assert "3 folders that visus wrote are left out: explanations, out, runs" in told.out
    assert "1 file that visus wrote is left out" in told.out
    assert "outside the class folders" not in told.out
    assert cli("predict", run, ".", "--device", "cpu").out.count("\n") == 9
