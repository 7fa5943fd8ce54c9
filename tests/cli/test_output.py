"""The line that says how far long work is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import visus
from visus.cli import output


def _slow_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "SLOW", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def _photos(root: Path) -> Path:
    for number in range(6):
        folder = root / "abc"[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return root


def test_a_terminal_is_told_how_far_a_long_run_is(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _slow_in_a_terminal(monkeypatch)
    with output.LateProgress("networks") as progress:
        visus.prove("lenet5@modern", "lenet5@paper", progress=progress)
    said = capsys.readouterr().err
    assert "1 of 2 networks" in said
    assert said.endswith("\r\033[K")


def test_the_line_is_gone_before_an_error_is_told(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _slow_in_a_terminal(monkeypatch)

    def fail() -> None:
        with output.LateProgress("images") as progress:
            progress(1_000, 2_000)
            raise MemoryError

    with pytest.raises(MemoryError):
        fail()
    assert capsys.readouterr().err == "\r\033[K1,000 of 2,000 images\r\033[K"


def test_nobody_else_is_told(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with output.LateProgress("images") as progress:  # a file or a pipe
        progress(1, 2)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with output.LateProgress("images") as progress:  # not slow
        progress(1, 2)
    assert capsys.readouterr().err == ""


def test_the_check_tells_of_every_image(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    visus.check_data(_photos(tmp_path), progress=lambda done, count: told.append((done, count)))
    assert told[-1] == (6, 6)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_the_verb_says_nothing_in_a_pipe(cli: Callable[..., Any], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(output, "SLOW", 0.0)
    assert "images" not in cli("data", "check", _photos(tmp_path)).err
