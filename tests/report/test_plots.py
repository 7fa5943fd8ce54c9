"""Plots: that they hold the values they were given, and stay readable and safe with any."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from visus.errors import DiskError, ShapeError
from visus.report import plots

ROWS = [
    {"epoch": "1", "lr": "0.1", "train_loss": "2.0", "val_loss": "2.5", "val_accuracy": "0.5", "seconds": "0.9"},
    {"epoch": "2", "lr": "0.05", "train_loss": "1.0", "val_loss": "nan", "val_accuracy": "0.9", "seconds": "0.8"},
    {"epoch": "3", "lr": "0.01", "train_loss": "0.5", "val_loss": "1.5", "val_accuracy": "", "seconds": "0.8"},
]


def lines(figure) -> dict[str, tuple[list[float], list[float]]]:
    drawn = figure.axes[0].get_lines()
    return {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata()))
        for line in drawn
        if not line.get_label().startswith("_")
    }


def words(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


class TestCurves:
    def test_losses_are_those_of_the_rows_without_what_is_missing(self):
        assert lines(plots.loss_curves(ROWS)) == {
            "train loss": ([1, 2, 3], [2, 1, 0.5]),
            "val loss": ([1, 3], [2.5, 1.5]),
        }

    def test_scores_are_neither_losses_nor_rates_nor_times(self):
        figure = plots.metric_curves(ROWS)
        assert lines(figure) == {"val accuracy": ([1, 2], [0.5, 0.9])}
        assert "90.0 %" in words(figure)

    def test_the_learning_rate_stands_alone(self):
        assert plots.learning_rate_curve(ROWS).axes[0].get_lines()[0].get_ydata().tolist() == [0.1, 0.05, 0.01]

    @pytest.mark.parametrize("rows", [[], [{"epoch": 1}], [{"epoch": 1, "train_loss": "nan", "val_accuracy": ""}]])
    def test_nothing_to_show_is_no_figure(self, rows: list):
        assert plots.loss_curves(rows) is None
        assert plots.metric_curves(rows) is None
        assert plots.learning_rate_curve(rows) is None

    def test_one_epoch_and_no_epoch_column_are_drawn(self):
        assert lines(plots.loss_curves([{"train_loss": 1.0, "val_loss": 2.0}]))["train loss"] == ([1], [1])

    def test_infinite_values_leave_a_gap(self):
        assert lines(plots.loss_curves([{"a_loss": 1}, {"a_loss": "inf"}, {"a_loss": 2}, {"b_loss": 1}]))["a loss"][
            1
        ] == [
            1,
            2,
        ]


class TestConfusion:
    def test_counts_and_shares_of_the_row_are_written(self):
        assert words(plots.confusion_matrix([[3, 1], [0, 0]], ["a", "b"])) == ["3\n75 %", "1\n25 %"]

    def test_colour_is_the_share_of_the_row(self):
        (cells,) = plots.confusion_matrix([[1, 3], [0, 8]], ["a", "b"]).axes[0].collections
        first, second, whole = cells.get_facecolor()[:, 3]
        assert first < second < whole == 1

    @pytest.mark.parametrize("number", [1, 2, 12, 30, 50, 80, 300])
    def test_any_number_of_classes_can_be_drawn(self, number: int):
        counts = np.eye(number, dtype=int) * 7
        figure = plots.confusion_matrix(counts.tolist(), [f"class {i}" for i in range(number)])
        assert len(words(figure)) == (number if number <= 60 else 0)
        assert len(figure.axes[0].get_xticklabels()) <= 60
        assert max(figure.get_size_inches()) < 40

    def test_a_matrix_that_is_none_is_refused(self):
        with pytest.raises(ShapeError, match=r"\[2, 2\]"):
            plots.confusion_matrix([[1, 2, 3], [4, 5, 6]], ["a", "b"])


class TestBars:
    def test_classes_stand_lowest_first_and_unknown_ones_not_at_all(self):
        figure = plots.class_bars({"a": 0.9, "b": 0.1, "c": None, "d": float("nan")}, "recall")
        assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["b", "a"]
        assert [bar.get_width() for bar in figure.axes[0].patches] == [0.1, 0.9]

    def test_of_many_classes_the_lowest_are_shown_and_it_says_so(self):
        figure = plots.class_bars({f"c{i}": i / 100 for i in range(100)}, "recall", most=10)
        assert len(figure.axes[0].patches) == 10
        assert "lowest 10 of 100" in figure.axes[0].get_title(loc="left")

    def test_splits_are_stacked(self):
        figure = plots.count_bars({"train": {"a": 1, "b": 5}, "val": {"a": 2}}, "images")
        assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["b", "a"]
        assert words(figure) == ["5", "3"]
        assert [(bar.get_x(), bar.get_width()) for bar in figure.axes[0].patches] == [(0, 5), (0, 1), (5, 0), (1, 2)]

    def test_nothing_is_no_figure(self):
        assert plots.class_bars({"a": None}, "x") is None
        assert plots.count_bars({"train": {}}, "images") is None
        assert plots.precision_recall({}) is None
        assert plots.size_dots([]) is None


class TestOutput:
    def test_the_svg_takes_the_pages_colour_and_is_well_formed(self):
        svg = plots.to_svg(plots.loss_curves(ROWS))
        ElementTree.fromstring(svg)
        assert "currentColor" in svg
        assert plots.INK not in svg

    def test_equal_figures_are_equal_text(self):
        assert plots.to_svg(plots.loss_curves(ROWS)) == plots.to_svg(plots.loss_curves(ROWS))

    @pytest.mark.parametrize("name", ["$x_1$", "$broken", "<b>&\"'", "_hidden", "猫", "a\nb", "", "x" * 500, r"\frac"])
    def test_any_class_name_can_be_shown(self, name: str):
        curve = {name: ([0, 0.5, 1], [1, 0.5, 0]), "other": ([0, 1], [1, 0])}
        for figure in (
            plots.confusion_matrix([[1, 2], [0, 4]], [name, "other"]),
            plots.class_bars({name: 0.5}, name),
            plots.count_bars({name: {name: 3.0}}, name),
            plots.precision_recall(curve),
        ):
            text = "".join(ElementTree.fromstring(plots.to_svg(figure)).itertext())
            assert name.split("\n")[0][:5] in text

    def test_a_png_is_written_on_white(self, tmp_path):
        plots.save_png(plots.loss_curves(ROWS), tmp_path / "loss.png")
        with Image.open(tmp_path / "loss.png") as image:
            assert image.convert("RGB").getpixel((1, 1)) == (255, 255, 255)

    def test_a_folder_that_is_not_there_is_said(self, tmp_path):
        with pytest.raises(DiskError):
            plots.save_png(plots.loss_curves(ROWS), tmp_path / "none" / "loss.png")

    def test_pyplot_is_never_loaded(self):
        import subprocess
        import sys

        code = (
            "import sys; from visus.report import plots; assert 'matplotlib' not in sys.modules;"
            "plots.to_svg(plots.loss_curves([{'loss': 1}, {'loss': 2}]));"
            "assert 'matplotlib.pyplot' not in sys.modules; assert 'torch' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
