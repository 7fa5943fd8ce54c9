"""Tables and checks against values worked out by hand."""

from __future__ import annotations

import csv
import io
import math

import pytest

from visus.experiments.outcome import Check, Curve, Outcome, percent, steps_in_words


def curve(name: str, seed: int, errors: list[float], diverged: int | None = None) -> Curve:
    rows = tuple(
        {
            "step": 10.0 * (i + 1),
            "images": 640.0 * (i + 1),
            "train_loss": 2 * error,
            "train_error": error,
            "test_error": error + 0.1,
            "seconds": 1.5 * (i + 1),
        }
        for i, error in enumerate(errors)
    )
    return Curve(name, seed, rows, 1234, 4.0, 3.0, diverged)


OUTCOME = Outcome(
    ("a", "b"),
    "train_error",
    (
        curve("b", 1, [0.8, 0.5]),
        curve("a", 1, [0.6, 0.4]),
        curve("a", 0, [0.7, 0.2]),
        curve("b", 0, [0.9, 0.3]),
    ),
)


def test_values_come_by_seed() -> None:
    assert OUTCOME.values("a") == [0.2, 0.4]
    assert OUTCOME.values("b", "test_error") == pytest.approx([0.4, 0.6])


def test_the_summary_is_mean_and_sample_deviation() -> None:
    first, second = OUTCOME.summary()
    assert first["train_error"] == pytest.approx(0.3)
    assert first["train_error_std"] == pytest.approx(math.sqrt(0.02))  # of 0.2 and 0.4
    assert first["test_error"] == pytest.approx(0.4)
    assert (first["parameters"], first["seeds"], first["steps"], first["diverged"]) == (1234, 2, 20, 0)
    assert second["train_error"] == pytest.approx(0.4)


def test_steps_to_a_target() -> None:
    assert OUTCOME.of("a")[0].steps_to("train_error", 0.7) == 10
    assert OUTCOME.of("a")[0].steps_to("train_error", 0.2) == 20
    assert math.isinf(OUTCOME.of("a")[0].steps_to("train_error", 0.1))


def test_a_training_that_diverged_is_wrong_everywhere() -> None:
    ended = curve("a", 0, [0.5], diverged=17)
    assert ended.last("train_error") == 1.0
    assert math.isinf(ended.last("train_loss"))
    assert Outcome(("a",), "train_error", (ended,)).summary()[0]["diverged"] == 1


@pytest.mark.parametrize(("holding", "verdict"), [(3, "seen"), (2, "not clear"), (1, "not clear"), (0, "not seen")])
def test_verdicts(holding: int, verdict: str) -> None:
    assert Check("x", "y", 3, holding).verdict == verdict


def test_networks_are_compared_seed_by_seed() -> None:
    check = OUTCOME.below("a", "b", "a is better")
    assert (check.holding, check.seeds, check.verdict) == (2, 2, "seen")
    assert check.seen == "a: 30.0 ± 14.1 %; b: 40.0 ± 14.1 %"
    assert OUTCOME.below("b", "a", "b is better").verdict == "not seen"
    assert OUTCOME.below("b", "a", "b is no worse than 0.15", slack=0.15).verdict == "seen"


def test_words() -> None:
    assert percent([0.1]) == "10.0 ± 0.0 %"
    assert steps_in_words([10, 30]) == "20 steps"
    assert steps_in_words([10, math.inf]) == "10 steps (1 of 2 seeds never)"
    assert steps_in_words([math.inf] * 2) == "never"


def test_the_csv_has_every_row() -> None:
    rows = list(csv.DictReader(io.StringIO(OUTCOME.to_csv())))
    assert len(rows) == 8
    assert [(row["configuration"], row["seed"], row["step"]) for row in rows[:3]] == [
        ("a", "0", "10"),
        ("a", "0", "20"),
        ("a", "1", "10"),
    ]
    assert float(rows[1]["train_error"]) == 0.2


def test_the_markdown_has_both_tables() -> None:
    text = OUTCOME.to_markdown([OUTCOME.below("a", "b", "a is better")])
    assert "| a | 1,234 | 2 | 20 | 30.0 ± 14.1 | 40.0 ± 14.1 | 3 |" in text
    assert "| a is better | seen | 2 of 2 | a: 30.0" in text


def test_a_curve_comes_back_from_its_file() -> None:
    one = curve("a", 3, [0.5, 0.25])
    assert Curve.from_dict(one.to_dict()) == one
    with pytest.raises(TypeError):
        Curve.from_dict({"rows": (), "colour": 1})
