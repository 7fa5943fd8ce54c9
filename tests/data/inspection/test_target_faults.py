"""Boxes and maps that are wrong or do not fit their images are found, told and repaired."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from checked_data import CLASSES, Broken, boxes, dataset_of, encoded, good_boxes, good_map, labels, maps, scene, summary
from visus.data.inspection.checks import check, repair
from visus.data.reading.opening import open_data
from visus.structures import IGNORE, Detections, SegmentationMap

# --- boxes: targets made by hand, which no reader has repaired

FAULTY_BOXES = [
    ("box-outside", (10, 10, 80, 40), [(10, 10, 64, 40)]),
    ("box-outside", (-9, -9, 40, 40), [(0, 0, 40, 40)]),
    ("box-degenerate", (10, 10, 10, 40), []),
    ("box-degenerate", (100, 100, 120, 120), []),
    ("box-swapped", (30, 40, 10, 20), [(10, 20, 30, 40)]),
    ("box-not-a-number", (1, float("nan"), 10, 10), []),
    ("box-not-a-number", (1, 1, float("inf"), 10), []),
]


@pytest.mark.parametrize(("kind", "box", "repaired"), FAULTY_BOXES)
def test_faulty_boxes_are_found_and_repaired(
    kind: str, box: tuple[float, ...], repaired: list[tuple[float, ...]]
) -> None:
    sound = (1.0, 2.0, 30.0, 40.0)
    dataset = dataset_of({"train": [*good_boxes(), boxes(sound, box, of=1)]}, "detection")
    found = check(dataset)
    assert summary(found) == {kind: ("repair", 1, ("train/3",))}
    after = repair(dataset, found).split("train")[3].target("detection")
    assert isinstance(after, Detections)
    assert after.boxes.tolist() == [list(sound), *map(list, repaired)]
    assert after.labels.tolist() == [1] * (1 + len(repaired))
    assert check(repair(dataset, found)) == []
    before = dataset.split("train")[3].target("detection")
    assert isinstance(before, Detections)
    assert np.array_equal(before.boxes[1], np.asarray(box, np.float32), equal_nan=True)  # the data set is not changed


def test_boxes_are_counted_and_samples_named() -> None:
    bad = boxes((10, 10, 80, 40), (20, 20, 190, 40), (5, 5, 6, 5))
    dataset = dataset_of({"train": [*good_boxes(), bad, bad]}, "detection")
    found = {finding.kind: (finding.count, finding.samples) for finding in check(dataset)}
    assert found == {"box-outside": (4, ("train/3", "train/4")), "box-degenerate": (2, ("train/3", "train/4")),
                     "box-mostly-outside": (2, ("train/3", "train/4"))}  # fmt: skip


def test_masks_of_dropped_boxes_go_with_them() -> None:
    masks = np.zeros((2, 48, 64), bool)
    masks[1, 5:9] = True
    bad = boxes((5, 5, 5, 9), (0, 5, 64, 9), masks=masks)
    dataset = dataset_of({"train": [*good_boxes(), bad]}, "detection")
    after = repair(dataset, check(dataset)).split("train")[3].target("detection")
    assert isinstance(after, Detections)
    assert after.masks is not None
    assert after.masks.full().shape == (1, 48, 64)
    assert after.masks[0][5:9].all()


def test_images_without_objects_are_a_note() -> None:
    nothing = Detections.empty(CLASSES, (48, 64))
    found = check(dataset_of({"train": [*good_boxes(), nothing], "val": good_boxes()}, "detection"))
    assert summary(found) == {"no-objects": ("note", 1, ("train/3",))}
    assert check(dataset_of({"train": [nothing, nothing]}, "detection"))[0].kind == "nothing-to-learn"
    ids = np.zeros((48, 64), np.uint8)
    classes = ("background", "dog", "owl")
    found = check(dataset_of({"train": maps(good_map(), ids, classes=classes)}, "segmentation", classes))
    assert summary(found) == {"no-objects": ("note", 1, ("train/1",))}


# --- targets that do not fit their images


def test_a_stated_size_that_only_the_boxes_outlive() -> None:
    """A size that is off by rounding is a note; of another size it is unknown whether the boxes lie on the image."""
    fits, reaches = boxes((1, 2, 30, 40), size=(49, 64)), boxes((1, 2, 30, 40), size=(480, 640))
    found = check(dataset_of({"train": [*good_boxes(), fits]}, "detection"))
    assert summary(found) == {"stated-size": ("note", 1, ("train/3",))}
    dataset = dataset_of({"train": [*good_boxes(), reaches]}, "detection")
    found = check(dataset)
    assert summary(found) == {"size-differs": ("repair", 1, ("train/3",))}
    assert "480 x 640" in found[0].message
    assert len(repair(dataset, found).split("train")) == 3


def test_a_map_of_another_size() -> None:
    small = good_map()[:, :60]
    found = check(dataset_of({"train": maps(good_map(), good_map(), small)}, "segmentation"))
    assert summary(found) == {"size-differs": ("repair", 1, ("train/2",))}


def test_mask_files_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES))
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for i in range(9):
        (tmp_path / "images" / f"{i}.png").write_bytes(encoded(scene(i)))
        (tmp_path / "masks" / f"{i}.png").write_bytes(encoded(good_map()))
    assert check(open_data(tmp_path)) == []
    odd = good_map()
    odd[5, 5] = 7
    spoilt = {
        "2": encoded(good_map()[:, :60]),
        "3": encoded(odd),
        "5": encoded(good_map())[:60],
    }
    for name, content in spoilt.items():
        (tmp_path / "masks" / f"{name}.png").write_bytes(content)
    found = [finding for finding in check(open_data(tmp_path)) if finding.severity != "note"]
    assert summary(found) == {
        "size-differs": ("stop", 1, ("images/2.png",)),
        "unexpected-values": ("stop", 1, ("images/3.png",)),
        "unreadable-target": ("repair", 1, ("masks/5.png",)),
    }


def test_a_map_with_an_id_of_another_list_of_classes() -> None:
    odd = good_map()
    odd[5, 5] = 4
    foreign = SegmentationMap((*CLASSES, "fox", "hen"), odd)
    void = good_map()
    void[5, 5] = IGNORE
    dataset = dataset_of({"train": [*maps(good_map(), void), foreign]}, "segmentation")
    assert summary(check(dataset)) == {"unexpected-values": ("repair", 1, ("train/2",))}


def test_a_target_that_cannot_be_read() -> None:
    dataset = dataset_of({"train": [*labels(0, 1, 2), Broken()]}, "classification")
    found = check(dataset)
    assert summary(found) == {"unreadable-target": ("repair", 1, ("train/3",))}
    assert "3 bytes missing" in found[0].message
