"""The report of a data set, and the grid of its samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from visus.data.dataset import Dataset, Finding
from visus.errors import DataError, TaskMismatchError
from visus.report.data_page import write_data_report
from visus.report.samples import sample_grid, sample_pictures
from visus.structures import Detections, Label, Sample, SegmentationMap

NAMES = ("cat", "<dog>", "bird")


@dataclass(frozen=True)
class MemoryImage:
    height: int = 30
    width: int = 40
    broken: bool = False
    path = None

    def size(self) -> tuple[int, int]:
        if self.broken:
            raise DataError("cannot be read")
        return (self.height, self.width)

    def load(self, at_least: tuple[int, int] | None = None) -> np.ndarray:
        if self.broken:
            raise DataError("cannot be read")
        return np.full((3, self.height, self.width), 200, np.uint8)


@dataclass(frozen=True)
class Late:
    """A target in a file of its own."""

    value: SegmentationMap | None

    def load(self) -> SegmentationMap:
        if self.value is None:
            raise DataError("cannot be read")
        return self.value


def labelled(count: int, **more) -> list[Sample]:
    return [Sample(f"{i}.png", MemoryImage(**more), {"classification": Label(NAMES, i % 2)}) for i in range(count)]


def dataset(task: str, splits: dict, **more) -> Dataset:
    return Dataset("pets & co", "class-folder", None, {task: NAMES}, splits, **more)


def written(tmp_path, data: Dataset, task: str, findings=()) -> str:
    write_data_report(tmp_path / "data.html", data, task, findings)
    return (tmp_path / "data.html").read_text(encoding="utf-8")


class TestDataReport:
    def test_counts_splits_sizes_and_findings_are_said(self, tmp_path):
        data = dataset("classification", {"train": labelled(7), "val": labelled(3)}, made_splits=("val",))
        text = written(tmp_path, data, "classification", [Finding("a", "stop", "copies across splits", 2, ("a.png",))])
        for part in (
            "pets &amp; co",
            "split off here",
            "Classes by images",
            '<td>&lt;dog&gt;</td><td class="number">3</td><td class="number">1</td>',
            '<td>cat</td><td class="number">4</td><td class="number">2</td>',
            '<td>bird</td><td class="number">0</td><td class="number">0</td>',
            "Every image is 40 x 30 pixels",
            "copies across splits",
            "stops a training",
        ):
            assert part in text, part
        assert "<dog>" not in text
        assert text.count("<img ") == 10

    def test_boxes_are_counted_as_objects_and_sizes_are_plotted(self, tmp_path):
        boxes = np.asarray([[1, 1, 9, 9], [2, 2, 8, 8]], np.float32)
        samples = [
            Sample("a", MemoryImage(), {"detection": Detections(NAMES, boxes, np.asarray([0, 0]), (30, 40))}),
            Sample("b", MemoryImage(60, 50), {"detection": Detections.empty(NAMES, (60, 50))}),
        ]
        text = written(tmp_path, dataset("detection", {"train": samples}), "detection")
        assert "Classes by objects" in text
        assert '<td>cat</td><td class="number">2</td>' in text
        assert '<td>width</td><td class="number">40</td><td class="number">45</td><td class="number">50</td>' in text

    def test_masks_are_counted_in_shares_of_the_pixels_and_broken_ones_left_out(self, tmp_path):
        ids = np.zeros((30, 40), np.uint8)
        ids[:15] = 2
        samples = [
            Sample("a", MemoryImage(), {"segmentation": Late(SegmentationMap(NAMES, ids))}),
            Sample("b", MemoryImage(), {"segmentation": Late(None)}),
        ]
        text = written(tmp_path, dataset("segmentation", {"train": samples}), "segmentation")
        assert '<td>bird</td><td class="number">50.0 %</td>' in text

    def test_of_many_mask_files_some_are_read_and_it_says_so(self, tmp_path):
        late = Late(SegmentationMap(NAMES, np.zeros((30, 40), np.uint8)))
        samples = [Sample(str(i), MemoryImage(), {"segmentation": late}) for i in range(400)]
        assert "300 of 400 train images" in written(
            tmp_path, dataset("segmentation", {"train": samples}), "segmentation"
        )

    def test_empty_splits_and_unreadable_images_do_no_harm(self, tmp_path):
        data = dataset("classification", {"train": labelled(2, broken=True), "val": []})
        text = written(tmp_path, data, "classification")
        assert "train images" in text
        assert "val images" not in text

    def test_a_task_that_the_labels_do_not_allow_is_said(self, tmp_path):
        with pytest.raises(TaskMismatchError):
            written(tmp_path, dataset("classification", {"train": labelled(2)}), "detection")


class TestSamples:
    def test_the_seed_chooses(self):
        samples = labelled(100)
        chosen = [name for name, _ in sample_pictures(samples, "classification", 10, seed=1)]
        assert len(set(chosen)) == 10
        assert chosen == [name for name, _ in sample_pictures(samples, "classification", 10, seed=1)]
        assert chosen != [name for name, _ in sample_pictures(samples, "classification", 10, seed=2)]

    def test_fewer_than_asked_are_all_shown(self):
        assert [name for name, _ in sample_pictures(labelled(3), "classification", 16)] == ["0.png", "1.png", "2.png"]

    def test_the_grid_is_one_picture(self):
        one, many = sample_grid(labelled(1), "classification"), sample_grid(labelled(9), "classification", count=9)
        assert many.width > 3 * one.width
        assert many.height > 2 * one.height

    def test_a_target_is_drawn_and_a_missing_one_is_not(self):
        drawn = sample_pictures(labelled(1), "classification", 1)[0][1]
        plain = sample_pictures([Sample("a", MemoryImage())], "classification", 1)[0][1]
        assert drawn.height > plain.height
        assert (np.asarray(plain) == 200).all()

    def test_boxes_fit_an_image_that_was_reduced(self):
        found = Detections(NAMES, np.asarray([[600, 600, 1200, 1200]], np.float32), np.asarray([0]), (1200, 1200))
        ((_, picture),) = sample_pictures([Sample("a", MemoryImage(1200, 1200), {"detection": found})], "detection", 1)
        assert picture.size == (480, 480)
        inked = np.argwhere((np.asarray(picture) != 200).any(-1))
        assert inked[:, 1].min() >= 235

    def test_an_unreadable_image_is_a_grey_square(self):
        ((_, picture),) = sample_pictures(labelled(1, broken=True), "classification", 1)
        assert (np.asarray(picture) == 128).all()

    def test_no_sample_is_said(self):
        with pytest.raises(DataError, match="no image"):
            sample_grid([], "classification")
