"""``visus data convert``: what is lost comes first, the answer as JSON, exit codes, and no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CONVERT = ("data", "convert")


def test_what_is_lost_comes_before_what_is_written(cli: Callable[..., Any], boxes: Path, tmp_path: Path) -> None:
    told = cli(*CONVERT, boxes, "--to", "voc", "--save", tmp_path / "out")
    assert told.code == 0
    first, *changed, last = told.out.splitlines()
    assert first == f"{boxes.name}: detection labels, yolo -> voc, 8 train / 3 val / 3 test"
    assert changed
    assert all(line.startswith("[changed] ") for line in changed)
    assert last == f"written: {tmp_path / 'out'}"
    again = cli(*CONVERT, boxes, "--to", "voc", "--save", tmp_path / "out")
    assert again.code == 2
    assert "is not empty" in again.err


def test_the_answer_as_json(cli: Callable[..., Any], boxes: Path, tmp_path: Path) -> None:
    told = cli(*CONVERT, boxes, "--to", "coco", "--save", tmp_path / "out", "--dry-run", "--json")
    answer = json.loads(told.out)
    assert (answer["from"], answer["to"], answer["task"]) == ("yolo", "coco", "detection")
    assert (answer["splits"], answer["changes"]) == ({"train": 8, "val": 3, "test": 3}, [])
    assert answer["written"] is False
    assert "nothing is lost" in told.err
    assert not (tmp_path / "out").exists()


def test_labels_that_a_format_cannot_hold(cli: Callable[..., Any], boxes: Path, tmp_path: Path) -> None:
    told = cli(*CONVERT, boxes, "--to", "folders", "--save", tmp_path / "out")
    assert told.code == 2
    assert "write them as coco or yolo or voc or csv" in told.err
    assert cli(*CONVERT, tmp_path / "nothing", "--to", "coco", "--save", tmp_path / "out").code == 4


def test_it_loads_no_torch(make_nuclei: Callable[[Path], Path], tmp_path: Path) -> None:
    source = make_nuclei(tmp_path / "in")
    program = (
        "import sys, visus\n"
        f"for to in ('coco', 'yolo', 'voc', 'masks', 'csv'):\n"
        f"    visus.convert_data({str(source)!r}, to, {str(tmp_path)!r} + '/' + to)\n"
        "print('torch' in sys.modules or 'torchvision' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "False\n", done.stderr
