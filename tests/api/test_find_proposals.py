"""Proposals are found once for each image, scored where there are boxes, saved, read again and drawn."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import visus
from visus.data.proposals import computing
from visus.errors import DataError, RecipeError, UsageError
from visus.structures import ImageSource, Proposals, ProposalSettings


@pytest.fixture(autouse=True)
def quarters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """In place of selective search: the quarters of each image, and where the first object of ``boxes`` may be."""
    monkeypatch.setenv("VISUS_CACHE", str(tmp_path / "cache"))
    asked: list[str] = []

    def compute(image: ImageSource, settings: ProposalSettings) -> Proposals:
        height, width = image.size()
        image.load()
        asked.append(f"{settings.mode} {image.path and image.path.name}")
        x, y = width / 2, height / 2
        boxes = [[0, 0, x, y], [x, 0, width, y], [0, y, x, height], [x, y, width, height], [4, 6, 28, 30]]
        return Proposals(np.asarray(boxes, np.float32), (height, width), np.linspace(1, 0.5, 5, dtype=np.float32))

    monkeypatch.setattr(computing, "compute", compute)
    return asked


def test_they_are_found_once_and_scored(boxes: Path, quarters: list[str]) -> None:
    found = visus.find_proposals(boxes, workers=1, quiet=True)
    assert len(quarters) == len(found.counts) == 14
    assert set(found.counts.values()) == {5}
    assert found.scores is not None
    assert len(found.scores.labels) == 16
    told = str(found)
    for words in ("selective search, fast", "14 images", "5 on average, 5 to 5", "16 objects", "sun: ", "sea: "):
        assert words in told
    again = visus.find_proposals(boxes, split="test", count=4, workers=1, quiet=True)
    assert len(quarters) == 14
    assert again.split == "test"
    assert set(again.counts.values()) == {4}
    assert [name for name, _ in again.proposals()] == list(again.counts)
    visus.find_proposals(boxes, split="test", mode="single", workers=1, quiet=True)
    assert len(quarters) == 17


def test_the_answer_of_the_command_is_that_of_the_function(
    boxes: Path, cli: Callable[..., Any], tmp_path: Path
) -> None:
    curves, table = tmp_path / "new" / "a.svg", tmp_path / "new" / "a.csv"
    told = cli("data", "propose", boxes, "--workers", 1, "--json", "--save", table, "--curves", curves, "--quiet")
    assert told.code == 0, told.err
    assert json.loads(told.out) == json.loads(json.dumps(visus.find_proposals(boxes, quiet=True).to_dict()))
    assert curves.read_text().startswith("<svg")
    assert "proposals: " in told.err
    assert "curves: " in told.err
    plain = cli("data", "propose", boxes, "--quiet")
    assert plain.out.splitlines() == str(visus.find_proposals(boxes, quiet=True)).splitlines()


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_what_is_saved_is_read_again(boxes: Path, quarters: list[str], tmp_path: Path, suffix: str) -> None:
    found = visus.find_proposals(boxes, workers=1, quiet=True)
    found.save(tmp_path / f"a{suffix}")
    asked = len(quarters)
    again = visus.find_proposals(boxes, proposals=[tmp_path / f"a{suffix}"], quiet=True)
    assert len(quarters) == asked
    assert again.source == str(tmp_path / f"a{suffix}")
    assert again.to_dict()["scores"] == found.to_dict()["scores"]
    for (name, one), (other, two) in zip(found.proposals(), again.proposals(), strict=True):
        assert name == other
        np.testing.assert_array_equal(one.boxes, two.boxes)
        np.testing.assert_array_equal(one.scores, two.scores)


def test_fractions_and_images_without_proposals_are_saved_as_they_are(tmp_path: Path) -> None:
    from visus.data.proposals.reading import read_proposals
    from visus.data.proposals.writing import WRITERS

    boxes = np.asarray([[0.1, 1 / 3, 7.25, 9], [2, 3, 4, 5]], np.float32)
    images = [("a, b.png", Proposals(boxes, (20, 30))), ("c.png", Proposals.empty((5, 5)))]
    for suffix, write in WRITERS.items():
        path = tmp_path / f"a{suffix}"
        path.write_text("".join(write(images)), encoding="utf-8")
        first, second = read_proposals(path)
        assert (first.name, second.name) == ("a, b.png", "c.png")
        np.testing.assert_array_equal(first.boxes, boxes)
        assert len(second.boxes) == 0
    assert "".join(WRITERS[".json"]([])).split() == ['{"images":', "[", "]}"]


def test_images_without_boxes_are_not_scored(tmp_path: Path, photos: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    for number in range(3):
        Image.fromarray(np.full((8, 9, 3), 40 * number, np.uint8)).save(plain / f"{number}.png")
    for data, count in ((plain, 3), (photos, 33)):
        found = visus.find_proposals(data, workers=1, quiet=True)
        assert len(found.counts) == count
        assert found.scores is None
        assert found.to_dict()["scores"] is None
        assert "no boxes to score" in str(found)
        with pytest.raises(DataError, match="no objects"):
            found.save_curves(tmp_path / "a.svg")


def test_an_image_that_cannot_be_read_is_named_and_the_others_are_done(
    boxes: Path, cli: Callable[..., Any], tmp_path: Path
) -> None:
    data = shutil.copytree(boxes, tmp_path / "data")
    damaged = next((data / "images" / "val").glob("*.png"))
    damaged.write_bytes(damaged.read_bytes()[:60])
    told = cli("data", "propose", data, "--workers", 1, "--json", "--quiet")
    assert told.code == 4
    answer = json.loads(told.out)
    assert answer["images"] == 13
    assert [entry["image"].rsplit("/", 1)[-1] for entry in answer["failed"]] == [damaged.name]
    assert "ERROR" in cli("data", "propose", data, "--workers", 1, "--quiet").out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_a_signal_stopped_goes_on(
    boxes: Path, cli: Callable[..., Any], quarters: list[str], monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """At the third image; the two before it are not computed again."""
    whole = computing.compute

    def stopping(image: ImageSource, settings: ProposalSettings) -> Proposals:
        found = whole(image, settings)
        if len(quarters) == 3:
            os.kill(os.getpid(), number)
            time.sleep(5)
        return found

    monkeypatch.setattr(computing, "compute", stopping)
    before = signal.getsignal(number)
    told = cli("data", "propose", boxes, "--workers", 1, "--quiet")
    assert signal.getsignal(number) is before
    assert told.code == 128 + number
    assert told.out == ""
    assert "stopped after 2 of 14 images, whose proposals are kept" in told.err
    assert "start it again: it goes on where it was" in told.err
    assert len(quarters) == 3
    again = cli("data", "propose", boxes, "--workers", 1, "--quiet")
    assert again.code == 0, again.err
    assert len(quarters) == 15  # the third image was begun twice
    assert len(set(quarters)) == 14
    monkeypatch.setattr(computing, "compute", whole)
    assert cli("data", "propose", boxes, "--workers", 1, "--quiet").out == again.out
    assert len(quarters) == 15


@pytest.mark.slow
def test_a_signal_ends_all_processes_that_compute(boxes: Path, tmp_path: Path) -> None:
    """The one that computes the third image ends the first; no other goes on, and what is finished stays."""
    program = tmp_path / "stopped.py"
    program.write_text(
        "import os, signal, sys, time\n"
        "import numpy as np\n"
        "from visus.cli.main import main\n"
        "from visus.data.proposals import computing\n"
        "from visus.structures import Proposals\n"
        "first, pids = os.getpid(), sys.argv[2]\n"
        "def compute(image, settings):\n"
        "    with open(pids, 'a') as file:\n"
        "        file.write(f'{os.getpid()}\\n')\n"
        "    if len(open(pids).read().split()) == 3:\n"
        "        os.kill(first, signal.SIGTERM)\n"
        "        time.sleep(30)\n"
        "    image.load()\n"
        "    return Proposals(np.zeros((1, 4), np.float32), image.size(), np.ones(1, np.float32))\n"
        "computing.compute = compute\n"
        "main(['data', 'propose', sys.argv[1], '--workers', '2', '--quiet'])\n"
    )
    pids = tmp_path / "pids.txt"
    told = subprocess.run([sys.executable, program, boxes, pids], capture_output=True, text=True, timeout=120)
    assert told.returncode == 143, told.stderr
    assert "proposals are kept" in told.stderr
    computed = pids.read_text().split()
    assert not any(Path(f"/proc/{pid}").exists() for pid in computed)
    kept = sum(path.is_file() for path in (tmp_path / "cache" / "proposals").rglob("*"))
    assert 2 <= kept < len(computed) <= 14


def test_what_cannot_be_asked(boxes: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    with pytest.raises(RecipeError, match="unknown mode"):
        visus.find_proposals(boxes, mode="slow")
    for count in (0, 10**9):
        with pytest.raises(RecipeError, match="out of range"):
            visus.find_proposals(boxes, count=count)
    with pytest.raises(DataError, match="no split named other"):
        visus.find_proposals(boxes, split="other")
    found = visus.find_proposals(boxes, workers=1, quiet=True)
    with pytest.raises(UsageError, match="unknown format of proposals"):
        found.save(tmp_path / "a.txt")
    with pytest.raises(UsageError, match="unknown picture format"):
        found.save_curves(tmp_path / "a.gif")
    assert cli("data", "propose", boxes, "--mode", "slow").code == 2
    assert cli("data", "propose", tmp_path / "none").code == 4
    assert cli("data", "propose", boxes, "--proposals", tmp_path / "none.csv").code == 4


def test_the_curves_are_drawn(boxes: Path, tmp_path: Path) -> None:
    found = visus.find_proposals(boxes, workers=1, quiet=True)
    found.save_curves(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").width > 600


def test_the_hierarchy_of_one_image_is_drawn(boxes: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    pytest.importorskip("skimage")
    found = visus.find_proposals(boxes, split="test", mode="single", workers=1, quiet=True)
    name = found.samples[1].id
    picture = found.draw_hierarchy(Path(name).name)
    assert picture.width > picture.height > 100
    assert found.draw_hierarchy().size == found.draw_hierarchy(found.samples[0].id).size
    for wrong in ("none.png", "no/such/folder.png", ".png"):
        with pytest.raises(UsageError, match="no image is called"):
            found.draw_hierarchy(wrong)
    found.save(tmp_path / "a.csv")
    with pytest.raises(UsageError, match="no hierarchy"):
        visus.find_proposals(boxes, split="test", proposals=[tmp_path / "a.csv"], quiet=True).draw_hierarchy()
    options = ("--split", "test", "--mode", "single", "--workers", 1, "--quiet")
    told = cli("data", "propose", boxes, *options, "--hierarchy", tmp_path / "h.png", "--image", Path(name).name)
    assert told.code == 0, told.err
    assert Image.open(tmp_path / "h.png").size == picture.size
    assert cli("data", "propose", boxes, "--image", "a.png").code == 2


def test_every_field_of_the_answer_is_on_the_page(boxes: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "verbs" / "data.md").read_text(encoding="utf-8")
    section = page.partition("\n## visus data propose\n")[2].partition("\n## ")[0].partition("\n### JSON\n")[2]
    rows = {row.split("|")[1].strip(" `"): row for row in section.splitlines() if row.startswith("| `")}
    answer = visus.find_proposals(boxes, workers=1, quiet=True).to_dict()
    assert set(rows) == set(answer)
    scores = answer["scores"]
    parts = [*scores, *scores["by_size"], *scores["by_size"]["small"], *scores["by_number"][0]]
    assert [name for name in parts if f"`{name}`" not in rows["scores"]] == []
    assert [name for name in answer["proposals"] if f"`{name}`" not in rows["proposals"]] == []
