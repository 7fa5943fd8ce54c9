"""``visus.judge`` and ``visus summary --compare``: which networks they take, what they print, what they refuse."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import visus
from visus.analysis.libraries import build_library_network, is_library_network
from visus.errors import UnknownModelError, UsageError


def test_editions_and_runs_are_judged(cli: Callable[..., Any], trained: Callable[[str], Any]) -> None:
    judgement = visus.judge("lenet5", "lenet5@modern")
    assert (judgement.ours, judgement.theirs) == ("lenet5@paper", "lenet5@modern")
    assert not judgement.same
    path = trained("classification").path  # lenet5@modern for three classes
    assert visus.judge(path, "lenet5@modern").same
    told = cli("summary", path, "--compare", path, "--judge")
    assert told.code == 0
    assert told.out.rstrip().endswith(
        "run with equal weights: the same network: largest difference 0e+00 of the output"
    )
    values = json.loads(cli("summary", path, "--compare", path, "--judge", "--json").out)
    assert values["judgement"]["same"]


def test_a_network_of_ones_own_is_judged_beside_a_librarys(cli: Callable[..., Any]) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
    judgement = visus.judge(network, "torchvision:squeezenet1_1", input=(3, 32, 32))
    first = "different from the first layer on; in 0 they have stride 2 and channels 64, we stride 1 and channels 4"
    assert str(judgement) == first
    told = cli("summary", "squeezenet1_0@torchvision", "--compare", "torchvision:squeezenet1_1", "--size", 64, "--json")
    assert told.code == 0
    assert not json.loads(told.out)["same"]


def test_the_example_prints_what_the_page_shows(capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(__file__).parents[2]
    runpy.run_path(str(root / "examples" / "judge.py"), run_name="__main__")
    shown = (root / "docs" / "verbs" / "summary.md").read_text(encoding="utf-8")
    assert f"$ python examples/judge.py\n{capsys.readouterr().out}```" in shown


def test_names_of_libraries() -> None:
    assert is_library_network("keras:ResNet50")
    assert not is_library_network("resnet50")
    assert not is_library_network("C:/runs/photos")
    with pytest.raises(UsageError, match="torchvision has no network resnet51"):
        visus.judge("lenet5", "torchvision:resnet51")
    with pytest.raises(UnknownModelError):
        visus.judge("lenet5", "tensorflow:resnet50")
    with pytest.raises(UsageError, match="input cannot be combined with size"):
        visus.judge("lenet5", "lenet5@modern", size=32, input=(1, 32, 32))


def test_a_library_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match="timm:xception needs the package timm, which is not installed"):
        build_library_network("timm:xception", (3, 299, 299))


def test_options_that_do_not_go_together(cli: Callable[..., Any]) -> None:
    assert cli("summary", "lenet5", "--judge").code == 2
    assert cli("summary", "lenet5", "--compare", "torchvision:resnet18", "--csv").code == 2
