"""A person may accept that more is lost than the shares allow, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from visus.data.dataset import Finding
from visus.data.inspection.acceptance import accepted
from visus.errors import UsageError


def test_only_shares_may_be_accepted() -> None:
    share = Finding("missing-image", "stop", "3 images are missing", 3, acceptable=True)
    nothing = Finding("nothing-to-learn", "stop", "there is nothing to learn", 1)
    assert accepted([share, nothing], ()) == [share, nothing]
    after = accepted([share, nothing], ["missing-image"])
    assert [finding.severity for finding in after] == ["repair", "stop"]
    assert after[0].message.endswith("; accepted")
    for kind in ("nothing-to-learn", "missing-imag"):
        with pytest.raises(UsageError, match="can be accepted") as caught:
            accepted([share, nothing], [kind])
        assert caught.value.expected == "missing-image"


@pytest.fixture
def half_gone(tmp_path: Path) -> Path:
    """A table of 24 images, of which 6 are missing."""
    rows = ["image,label"]
    for number in range(24):
        if number % 4:
            pixels = np.random.default_rng(number).integers(0, 255, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{'ab'[number % 2]}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    return tmp_path


def test_by_the_command_line(half_gone: Path, cli: Callable[..., Any]) -> None:
    first = cli("data", "check", half_gone)
    assert first.code == 4
    assert "18 of 24 image files used (not used: 6 missing-image)" in first.out
    assert "to go on without them: --accept missing-image" in first.out
    assert cli("data", "check", half_gone, "--accept", "missing-image").code == 0
    wrong = cli("data", "check", half_gone, "--accept", "missing")
    assert wrong.code == 2
    options = ("--model", "lenet5", "--weights", "none", "--show-recipe")
    refused = cli("train", half_gone, *options)
    assert refused.code == 4
    assert "--accept missing-image trains without them" in refused.err
    assert cli("train", half_gone, *options, "--accept", "missing-image").code == 0


def test_images_that_the_check_leaves_out_are_in_the_account(tmp_path: Path, cli: Callable[..., Any]) -> None:
    for name in "ab":
        for number in range(8):
            pixels = np.random.default_rng(number + 50 * (name == "b")).integers(0, 255, (32, 32, 3), dtype=np.uint8)
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.jpg")
    broken = tmp_path / "a" / "3.jpg"
    broken.write_bytes(broken.read_bytes()[:700])
    told = cli("data", "check", tmp_path)
    assert told.code == 0
    assert "15 of 16 image files used (not used: 1 damaged-image)" in told.out
