"""Comparisons of detectors: what they name exists, and what is written of trials is what the trials say."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

import visus
from visus.engine.recipe import Recipe
from visus.errors import UsageError, WeightsError
from visus.experiments import detectors
from visus.experiments.detector_figure import draw
from visus.experiments.detector_outcome import PARTS, DetectorOutcome, Trial, pareto_front
from visus.experiments.detectors import COMPARISONS, Contender
from visus.models.catalog import find
from visus.recipes.phases import PHASES
from visus.workflow import detector_comparison


def trial(name: str, total: float, ap: float, seed: int = 0, **more: Any) -> Trial:
    seconds = dict(zip(PARTS, (0.5 * total, 0.25 * total, 0.125 * total, 0.125 * total), strict=True))
    return Trial(name, seed, min(2 * ap, 1.0), ap, 3.0, 2.5, False, seconds, 1000, (20, 5), **more)


def outcome_of(name: str) -> DetectorOutcome:
    """Each contender takes half the time of the one before, and is a little better."""
    names = [contender.name for contender in COMPARISONS[name].contenders]
    published = {one.name: one.published for one in COMPARISONS[name].contenders if one.published}
    trials = [trial(one, 2.0**-k, 0.2 + k / 100, seed) for k, one in enumerate(names) for seed in range(2)]
    return DetectorOutcome(tuple(names), tuple(trials), published)


@pytest.mark.parametrize("name", COMPARISONS)
def test_models_and_recipes_exist(name: str) -> None:
    comparison = COMPARISONS[name]
    names = [contender.name for contender in comparison.contenders]
    assert len(set(names)) == len(names)
    for contender in comparison.contenders:
        card = find(comparison.model_of(contender))
        assert card.task == "detection"
        assert contender.recipe in ("", *PHASES)
        Recipe().with_changes({**comparison.changes, **contender.changes, "seed": 1})
        assert bool(contender.published) == bool(contender.source)
    assert any(word in comparison.paper for word in ("figure", "table"))


@pytest.mark.parametrize("name", COMPARISONS)
def test_tables_and_pictures(name: str, tmp_path: Path) -> None:
    comparison, outcome = COMPARISONS[name], outcome_of(name)
    checks = comparison.judge(outcome)
    page = outcome.to_markdown(checks)
    assert all(
        contender.name in page and check.claim in page for contender in comparison.contenders for check in checks
    )
    rows = list(csv.DictReader(io.StringIO(outcome.to_csv())))
    assert len(rows) == 2 * len(comparison.contenders)
    assert float(rows[0]["seconds_proposals"]) == 0.5
    first = draw(comparison, outcome, tmp_path)
    assert first[0].read_bytes()[:4] == b"\x89PNG"
    text = first[1].read_text()
    assert comparison.title in text
    again = tmp_path / "again"
    again.mkdir()
    assert draw(comparison, outcome, again)[1].read_text() == text


def test_the_lineage_is_told_as_ratios() -> None:
    """By hand: 1, 1/2, 1/4 and 1/8 of a second; published 47, 2.3, 0.32 and 0.198."""
    outcome = outcome_of("detector-lineage")
    assert [check.verdict for check in COMPARISONS["detector-lineage"].judge(outcome)] == ["seen"] * 3
    lines = {line.split(" | ")[0].strip("| "): line for line in outcome.to_markdown([]).splitlines()}
    assert lines["SPP-net"].endswith("| 0.500 | 2.0 | 2.3 | 20 |")
    assert lines["Fast R-CNN"].endswith("| 0.250 | 4.0 | 0.32 | 147 |")
    assert lines["Faster R-CNN, jointly"].endswith("| 0.125 | 8.0 | 0.198 | 237 |")
    assert lines["YOLO v3"].endswith("|  |  |")
    backwards = replace(
        outcome, trials=tuple(replace(t, seconds=dict.fromkeys(PARTS, 1 - t.total)) for t in outcome.trials)
    )
    checks = COMPARISONS["detector-lineage"].judge(backwards)
    assert [check.verdict for check in checks] == ["not seen"] * 3


def test_no_other_is_faster_and_better_than_the_front() -> None:
    points = [(3.0, 0.5), (1.0, 0.2), (2.0, 0.5), (2.5, 0.4), (4.0, 0.6), (1.0, 0.1)]
    assert pareto_front(points) == [1, 2, 4]
    assert pareto_front([]) == []


def test_trials_are_kept() -> None:
    kept = trial("a", 1.0, 0.3)
    assert Trial.from_dict(json.loads(json.dumps(kept.to_dict()))) == kept
    with pytest.raises(KeyError):
        Trial.from_dict({**kept.to_dict(), "seconds": {"all": 1}})


def test_wrong_requests(tmp_path: Path, boxes: Path) -> None:
    for options, words in (
        ({}, "needs images with boxes"),
        ({"data": boxes, "minutes": 3}, "as long as the recipes say"),
        ({"data": boxes, "scale": 0}, "out of range"),
    ):
        with pytest.raises(UsageError, match=words):
            visus.reproduce("detector-lineage", out=tmp_path, **options)
    with pytest.raises(UsageError, match="random weights"):
        visus.reproduce("degradation", weights="none", out=tmp_path)
    folder = tmp_path / "reproduce-detector-lineage"
    (folder / "trials").mkdir(parents=True)
    (folder / "trials" / "r-cnn-0.json").write_text("{}")
    with pytest.raises(WeightsError, match="is damaged"):
        visus.reproduce("detector-lineage", data=boxes, out=tmp_path, quiet=True)
    with pytest.raises(UsageError, match="another scale"):
        visus.reproduce("detector-lineage", data=boxes, scale=2, out=tmp_path, quiet=True)


SMALL = MappingProxyType(
    {
        "size": (64, 64),
        "fit": "stretch",
        "epochs": 2,
        "batch_size": 4,
        "model_options.width": 16,
        "model_options.rpn_width": 16,
        "model_options.anchors": [[16, 16], [24, 24]],
    }
)


@pytest.mark.slow
@pytest.mark.usefixtures("without_reports")
def test_a_comparison_that_is_stopped_goes_on(
    make_boxes: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before the first detector is scored, and before the second is trained."""
    data = make_boxes(tmp_path / "data", {"train": (1, 2, 0, 1), "val": (1,), "test": (1, 0)})
    small = replace(
        COMPARISONS["detector-lineage"],
        name="small",
        backbone="mobilenet_v1_025",
        contenders=(
            Contender("jointly", "faster_rcnn", published=2.0, source="nowhere"),
            Contender("4 steps", "faster_rcnn", recipe="faster-rcnn-4-step", published=1.0, source="nowhere"),
        ),
        changes=SMALL,
        judge=lambda outcome: [outcome.faster("jointly", "4 steps", "they are alike, so that either may be faster")],
    )
    monkeypatch.setattr(detectors, "COMPARISONS", MappingProxyType({"small": small}))
    options = {"data": data, "scale": 0.5, "weights": "none", "device": "cpu", "out": tmp_path, "quiet": True}
    with monkeypatch.context() as patch:
        patch.setattr(detector_comparison, "load_model", _Stops())
        with pytest.raises(KeyboardInterrupt):
            visus.reproduce("small", **options)
    folder = tmp_path / "reproduce-small"
    assert not list((folder / "trials").iterdir())
    result = visus.reproduce("small", **options)
    first, second = (json.loads((folder / "trials" / f"{name}-0.json").read_text()) for name in ("jointly", "4-steps"))
    assert (first["stopped"], second["stopped"]) == (True, False)
    assert second["images"] == [4, 2]
    assert set(second["seconds"]) == set(PARTS)
    assert all(second["seconds"][part] > 0 for part in ("proposals", "features", "heads"))
    names = {path.name for path in (folder / "runs").iterdir()} - {"latest"}
    assert names == {"jointly-0", "4-steps-0", *(f"4-steps-0-{part}" for part in ("1-rpn", "1-proposals"))} | {
        "4-steps-0-2-detector",
        "4-steps-0-3-rpn",
    }
    page = (folder / "table.md").read_text()
    assert page == result.describe()
    assert re.search(r"\| jointly \| .* \| >\d", page)
    before = {path: path.read_bytes() for path in folder.rglob("*.json")}
    assert visus.reproduce("small", **options).outcome == result.outcome
    assert {path: path.read_bytes() for path in before} == before


class _Stops:
    """What is asked for stops the process."""

    def __call__(self, *_: Any, **__: Any) -> None:
        raise KeyboardInterrupt
