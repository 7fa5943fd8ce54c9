"""How far two predictions of one image agree, by examples worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from visus.structures import Detections, Label, LabelSet, Landmarks, MultiLabelMap, SegmentationMap

AB = ("a", "b")


def floats(*values):
    return np.asarray(values, np.float32)


def objects(*boxes, labels=None, scores=None, masks=None):
    return Detections(
        AB,
        floats(*boxes).reshape(-1, 4),
        np.asarray(labels or [0] * len(boxes), np.int64),
        (100, 100),
        scores=floats(*(scores or [1] * len(boxes))),
        masks=masks,
    )


def test_labels_agree_by_class_or_where_scores_are_equal_but_for_rounding():
    assert Label(AB, 0, floats(0.9, 0.1)).agreement(Label(AB, 0, floats(0.6, 0.4))) == 1
    assert Label(AB, 0, floats(0.6, 0.4)).agreement(Label(AB, 1, floats(0.4, 0.6))) == 0
    assert Label(AB, 0, floats(0.50001, 0.49999)).agreement(Label(AB, 1, floats(0.49999, 0.50001))) == 1
    assert Label(AB, 0).agreement(Label(AB, 1)) == 0


def test_sets_agree_by_the_share_of_the_classes():
    half = floats(0.5, 0.5)
    one = LabelSet.of_scores(AB, floats(0.9, 0.9), half)
    assert one.agreement(LabelSet.of_scores(AB, floats(0.9, 0.1), half)) == 0.5
    edge = LabelSet.of_scores(AB, floats(0.9, 0.50001), half)
    assert edge.agreement(LabelSet.of_scores(AB, floats(0.9, 0.49999), half)) == 1


def test_points_agree_within_half_a_pixel():
    def points(*places, visible=(True, True)):
        return Landmarks(AB, floats(*places), np.asarray(visible), (9, 9))

    one = points((1, 1), (5, 5))
    assert one.agreement(points((1.4, 0.6), (5, 5))) == 1
    assert one.agreement(points((1.6, 1), (5, 5))) == 0.5
    assert one.agreement(points((1, 1), (5, 5), visible=(True, False))) == 0.5
    unseen = points((1, 1), (0, 0), visible=(True, False))
    assert unseen.agreement(points((1, 1), (8, 8), visible=(True, False))) == 1


@pytest.mark.parametrize(
    ("ours", "theirs", "share"),
    [
        (objects(), objects(), 1),
        (objects((0, 0, 50, 50)), objects(), 0),
        (objects((0, 0, 50, 50)), objects((0, 0, 50, 50.2)), 1),
        (objects((0, 0, 50, 50)), objects((0, 0, 50, 51)), 0),
        (objects((0, 0, 50, 50)), objects((0, 0, 50, 50), labels=[1]), 0),
        (objects((5, 5, 5, 5)), objects((5, 5, 5, 5)), 1),
        # one of two, in both: 0.8 + 0.8 of 0.8 + 0.2 + 0.8
        (objects((0, 0, 50, 50), (60, 60, 90, 90), scores=[0.8, 0.2]), objects((0, 0, 50, 50), scores=[0.8]), 16 / 18),
        # one object is no partner of two
        (objects((0, 0, 50, 50), (0, 0, 50, 50)), objects((0, 0, 50, 50)), 2 / 3),
    ],
)
def test_objects_agree_by_their_boxes_weighed_by_their_scores(ours, theirs, share):
    assert ours.agreement(theirs) == pytest.approx(share)
    assert theirs.agreement(ours) == pytest.approx(share)


def test_objects_agree_by_their_masks_too():
    planes = np.zeros((2, 100, 100), bool)
    planes[0, :50, :50] = True
    planes[1, :50, :40] = True
    one, other = (objects((0, 0, 50, 50), masks=planes[[i]]) for i in (0, 1))
    assert one.agreement(one) == 1
    assert one.agreement(other) == 0


def test_maps_agree_by_the_share_of_the_pixels():
    ids = np.zeros((4, 5), np.uint8)
    other = ids.copy()
    other[0, 0] = 1
    assert SegmentationMap(AB, ids).agreement(SegmentationMap(AB, other)) == pytest.approx(19 / 20)
    assert SegmentationMap(AB, ids).agreement(SegmentationMap(AB, ids[:2])) == 0
    masks = np.stack([ids, ids]).astype(bool)
    changed = masks.copy()
    changed[1, 2, 2] = True
    assert MultiLabelMap(AB, masks).agreement(MultiLabelMap(AB, changed)) == pytest.approx(39 / 40)
    assert MultiLabelMap(AB, masks).agreement(MultiLabelMap(AB, masks[:, :2])) == 0
