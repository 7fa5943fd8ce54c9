"""The curve of a pruning: drawn where there is something to draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from visus.report import plots
from visus.report.content import ReportContent, figures
from visus.report.pages import write_plots, write_report
from visus.report.pruning import pruning_curve, pruning_section


def points(*rows: tuple[float, float | None, float | None]) -> list[dict[str, Any]]:
    """Of (sparsity, score, score before the fine-tuning)."""
    return [
        {
            "sparsity": share,
            "left": round(1000 * (1 - share)),
            "weights": 1000,
            "dense_bytes": 4_000_000,
            "sparse_bytes": round(4_000_000 * (1 - share)),
            "scores": {"val": score},
            "before": {} if before is None else {"val": before},
        }
        for share, score, before in rows
    ]


def test_the_score_is_drawn_over_the_size_with_and_without_fine_tuning() -> None:
    curve = pruning_curve(points((0, 0.9, None), (0.5, 0.95, 0.8), (0.9, 0.85, 0.4)), "accuracy")
    assert curve is not None
    axes = curve.axes[0]
    tuned, untuned = axes.get_lines()
    assert tuned.get_xydata().tolist() == [[4, 0.9], [2, 0.95], [0.4, 0.85]]
    assert untuned.get_xydata().tolist() == [[4, 0.9], [2, 0.8], [0.4, 0.4]]  # both begin with the unpruned network
    assert axes.xaxis_inverted()
    assert axes.get_ylabel() == "accuracy"
    assert [text.get_text() for text in axes.texts] == ["0 %", "50 %", "90 %"]
    assert "90 %" in plots.to_svg(curve)


def test_nothing_is_drawn_of_one_point_or_without_scores() -> None:
    assert pruning_curve([], "accuracy") is None
    assert pruning_curve(points((0, 0.9, None)), "accuracy") is None
    unjudged = [{**point, "scores": {}} for point in points((0, 0.9, None), (0.5, 0.8, None))]
    assert pruning_curve(unjudged, "accuracy") is None
    assert "50.0 %" in pruning_section(unjudged, None, "accuracy")
    unknown = points((0, None, None), (0.5, None, None))
    assert pruning_curve(unknown, "accuracy") is None
    assert not pruning_section([], None, "accuracy")


def test_a_report_has_the_curve_and_a_picture(tmp_path: Path) -> None:
    content = ReportContent(
        title="digits-pruned",
        task="classification",
        metrics={"val": {"accuracy": 0.85}},
        primary="accuracy",
        pruning=points((0, 0.9, None), (0.9, 0.85, 0.4)),
    )
    assert list(figures(content)) == ["pruning"]
    write_report(tmp_path / "report.html", content)
    page = (tmp_path / "report.html").read_text()
    assert "How good it is at which size" in page
    assert "accuracy, val before the fine-tuning" in page
    assert page.count("<svg") == 1
    assert [path.name for path in write_plots(tmp_path, content)] == ["pruning.png"]
