"""The values that travel through visus: what they refuse, what they promise, and the way home to file pixels."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visus.data.pixels.images import ArrayImage
from visus.errors import ShapeError, TaskMismatchError
from visus.structures import IGNORE, Detections, Label, Placement, Sample, SegmentationMap

NAMES = ("cat", "dog", "bird")
sizes = st.tuples(st.integers(1, 60), st.integers(1, 60))


@st.composite
def placements(draw) -> Placement:
    scale = st.floats(0.2, 5)
    offset = st.floats(-20, 20)
    return Placement(draw(sizes), draw(sizes), (draw(scale), draw(scale)), (draw(offset), draw(offset)))


@st.composite
def boxes_in(draw, size: tuple[int, int], count: int) -> np.ndarray:
    height, width = size
    rows = []
    for _ in range(count):
        x = sorted(draw(st.tuples(st.floats(0, width), st.floats(0, width))))
        y = sorted(draw(st.tuples(st.floats(0, height), st.floats(0, height))))
        rows.append((x[0], y[0], x[1], y[1]))
    return np.asarray(rows, np.float32).reshape(-1, 4)


class TestPlacement:
    @given(st.data(), placements())
    def test_boxes_go_there_and_back(self, data, placement: Placement):
        boxes = data.draw(boxes_in(placement.file_size, 3))
        home = placement.undo_boxes(placement.apply_to_boxes(boxes))
        np.testing.assert_allclose(home, boxes, atol=1e-2)
        assert home.dtype == np.float32

    @given(st.data(), placements())
    def test_boxes_come_home_inside_the_file(self, data, placement: Placement):
        boxes = data.draw(boxes_in(placement.network_size, 3)) * 3 - 20
        home = placement.undo_boxes(boxes)
        height, width = placement.file_size
        assert (home >= 0).all()
        assert (home[:, [0, 2]] <= width).all()
        assert (home[:, [1, 3]] <= height).all()

    def test_a_letterbox_by_hand(self):
        # A file of 100 x 200 in an input of 300 x 300: scaled by 1.5, padded below.
        placement = Placement((100, 200), (300, 300), (1.5, 1.5))
        np.testing.assert_allclose(
            placement.apply_to_boxes(np.asarray([[10, 20, 30, 40]], np.float32)), [[15, 30, 45, 60]]
        )

    def test_a_centre_crop_by_hand(self):
        # A file of 100 x 200, its middle 100 x 100 cut out.
        placement = Placement((100, 200), (100, 100), offset=(0, -50))
        np.testing.assert_allclose(
            placement.undo_boxes(np.asarray([[0, 0, 100, 100]], np.float32)), [[50, 0, 150, 100]]
        )
        home = placement.undo_map(np.ones((100, 100), np.uint8), fill=7)
        assert (home[:, 50:150] == 1).all()
        assert (home[:, :50] == 7).all()
        assert (home[:, 150:] == 7).all()

    @given(sizes, st.integers(0, 2**32 - 1))
    def test_the_identity_changes_no_pixel(self, size: tuple[int, int], seed: int):
        map_ = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
        np.testing.assert_array_equal(Placement.identity(size).undo_map(map_), map_)

    @given(sizes, st.integers(1, 4), st.integers(1, 4), st.integers(0, 9), st.integers(0, 9))
    def test_a_map_enlarged_by_whole_factors_and_padded_comes_home_exactly(self, size, up, across, above, left):
        map_ = np.random.default_rng(0).integers(0, 255, size, dtype=np.uint8)
        network = np.full((size[0] * up + above + 3, size[1] * across + left + 2), 255, np.uint8)
        network[above : above + size[0] * up, left : left + size[1] * across] = np.kron(
            map_, np.ones((up, across), np.uint8)
        )
        placement = Placement(size, network.shape, (up, across), (above, left))
        np.testing.assert_array_equal(placement.undo_map(network), map_)

    @pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int16, np.int64, np.float32, np.float64])
    def test_a_map_keeps_its_type(self, dtype):
        map_ = np.ones((4, 6), dtype)
        home = Placement((2, 3), (4, 6), (2, 2)).undo_map(map_)
        assert home.dtype == dtype
        np.testing.assert_array_equal(home, np.ones((2, 3), dtype))

    def test_smooth_maps_are_interpolated_between_pixel_centres(self):
        # A file of 1 x 4 reduced to 1 x 2: file centres lie at network 0.25, 0.75, 1.25, 1.75.
        placement = Placement((1, 4), (1, 2), (1, 0.5))
        home = placement.undo_map(np.asarray([[0, 1]], np.float32), smooth=True)
        np.testing.assert_allclose(home, [[0, 0.25, 0.75, 1]], atol=1e-6)

    @given(placements())
    def test_unseen_pixels_are_exactly_those_whose_centre_falls_outside(self, placement: Placement):
        home = placement.undo_map(np.ones(placement.network_size, np.uint8), fill=9)
        beyond = []  # an axis: how far each pixel's centre lies outside the network's input; negative inside
        for axis in (0, 1):
            centres = (np.arange(placement.file_size[axis]) + 0.5) * placement.scale[axis] + placement.offset[axis]
            beyond.append(np.maximum(-centres, centres - placement.network_size[axis]))
        furthest = np.maximum(beyond[0][:, None], beyond[1][None, :])
        assert (home[furthest > 1e-6] == 9).all()
        assert (home[furthest < -1e-6] == 1).all()


class TestLabel:
    def test_a_truth_is_sure(self):
        label = Label(NAMES, 1)
        assert (label.name, label.score, label.top()) == ("dog", None, [("dog", 1.0)])
        assert label.to_dict() == {"label": "dog", "index": 1}

    def test_a_prediction_knows_its_probabilities(self):
        label = Label(NAMES, 2, np.asarray([0.25, 0.125, 0.625], np.float32))
        assert label.score == 0.625
        assert label.top(2) == [("bird", 0.625), ("cat", 0.25)]
        said = json.loads(json.dumps(label.to_dict()))
        assert said == {
            "label": "bird",
            "index": 2,
            "score": 0.625,
            "scores": {"cat": 0.25, "dog": 0.125, "bird": 0.625},
        }

    @given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=9), st.integers(1, 12))
    def test_top_is_sorted_and_complete(self, scores: list[float], count: int):
        names = tuple(f"c{i}" for i in range(len(scores)))
        top = Label(names, 0, np.asarray(scores, np.float32)).top(count)
        assert len(top) == min(count, len(scores))
        assert [s for _, s in top] == sorted((float(np.float32(s)) for s in scores), reverse=True)[:count]

    def test_equal_probabilities_keep_the_order_of_the_classes(self):
        assert [n for n, _ in Label(NAMES, 0, np.full(3, 1 / 3, np.float32)).top()] == list(NAMES)

    @pytest.mark.parametrize("index", [-1, 3])
    def test_an_index_must_name_a_class(self, index: int):
        with pytest.raises(ShapeError, match=r"0\.\.2"):
            Label(NAMES, index)

    @pytest.mark.parametrize("shape", [(2,), (4,), (3, 1), ()])
    def test_there_is_one_score_a_class(self, shape: tuple[int, ...]):
        with pytest.raises(ShapeError, match=r"\[3\]"):
            Label(NAMES, 0, np.zeros(shape, np.float32))

    def test_beside_its_target_it_says_what_is_right(self):
        label = Label(NAMES, 1, np.asarray([0.2, 0.7, 0.1], np.float32))
        assert label.compared(Label(NAMES, 1)).verdict == "right"
        wrong = label.compared(Label(NAMES, 2))
        assert wrong.right is False
        assert wrong.verdict == "wrong: it is bird"
        assert [(guess.name, guess.chosen) for guess in wrong.guesses] == [
            ("dog", True),
            ("cat", False),
            ("bird", False),
        ]
        assert label.compared(None).right is None

    def test_home_it_comes_without_its_image(self):
        label = Label(NAMES, 1, None, ArrayImage(np.zeros((4, 4), np.uint8))).undo(Placement.identity((4, 4)))
        assert label.image is None
        assert label.index == 1

    def test_it_cannot_be_changed(self):
        with pytest.raises(FrozenInstanceError):
            Label(NAMES, 1).index = 2


def some(**more) -> Detections:
    boxes = np.asarray([[0, 0, 4, 4], [2, 2, 8, 6], [1, 1, 3, 9]], np.float32)
    return Detections(NAMES, boxes, np.asarray([0, 2, 2]), (10, 12), **more)


class TestDetections:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"boxes": np.zeros((2, 4), np.float32)},
            {"boxes": np.zeros((3, 5), np.float32)},
            {"labels": np.asarray([0, 1, 3])},
            {"labels": np.asarray([-1, 1, 2])},
            {"scores": np.zeros(2, np.float32)},
            {"masks": np.zeros((3, 12, 10), bool)},
            {"masks": np.zeros((2, 10, 12), bool)},
            {"ignored": np.zeros(4, bool)},
        ],
    )
    def test_arrays_must_fit_one_another(self, wrong: dict):
        boxes = np.zeros((3, 4), np.float32)
        with pytest.raises(ShapeError) as caught:
            Detections(**{"classes": NAMES, "boxes": boxes, "labels": np.asarray([0, 1, 2]), "size": (10, 12), **wrong})
        assert caught.value.expected
        assert caught.value.got

    @pytest.mark.parametrize("scored", [True, False])
    def test_no_object_is_normal_everywhere(self, scored: bool):
        none = Detections.empty(NAMES, (10, 12), scored=scored)
        assert len(none) == 0
        assert (none.scores is not None) == scored
        assert none.to_dict() == {"size": [10, 12], "objects": []}
        assert len(none.above(0.5)) == 0
        assert len(none.select(np.zeros(0, bool))) == 0
        assert none.undo(Placement((20, 24), (10, 12), (0.5, 0.5))).size == (20, 24)
        masked = Detections(NAMES, none.boxes, none.labels, (10, 12), masks=np.zeros((0, 10, 12), bool))
        assert masked.undo(Placement((20, 24), (10, 12), (0.5, 0.5))).masks.full().shape == (0, 20, 24)

    @given(st.lists(st.booleans(), min_size=3, max_size=3))
    def test_select_takes_the_same_objects_from_every_array(self, chosen: list[bool]):
        which = np.asarray(chosen)
        masks = np.random.default_rng(0).random((3, 10, 12)) > 0.5
        scores = np.asarray([0.1, 0.5, 0.9], np.float32)
        part = some(scores=scores, masks=masks, ignored=np.asarray([True, False, True])).select(which)
        assert len(part) == which.sum()
        np.testing.assert_array_equal(part.scores, scores[which])
        np.testing.assert_array_equal(part.masks.full(), masks[which])
        np.testing.assert_array_equal(part.ignored, np.asarray([True, False, True])[which])
        np.testing.assert_array_equal(part.boxes, some().boxes[which])

    def test_select_by_indices_orders(self):
        assert some().select(np.asarray([2, 0])).labels.tolist() == [2, 0]

    def test_above_includes_its_bound_and_leaves_a_truth_whole(self):
        assert len(some(scores=np.asarray([0.25, 0.5, 0.75], np.float32)).above(0.5)) == 2
        assert len(some().above(0.5)) == 3

    def test_the_surest_objects_are_explained_one_by_one(self):
        boxes = np.asarray([[3, 2, 8, 9], [12, 4, 26, 18]], np.float32)
        scores = np.asarray([0.4, 0.8], np.float32)
        detections = Detections(NAMES, boxes, np.asarray([2, 1]), (20, 30), scores=scores)
        assert [part.mentions() for part in detections.parts()] == [["dog"], ["bird"]]
        assert detections.above(0.5).mentions() == ["dog"]

    def test_boxes_are_repaired(self):
        boxes = np.asarray([[-9, 2, 8, 9], [5, 5, 5, 9], [12, 18, 26, 4]], np.float32)
        value, faults = Detections(NAMES, boxes, np.asarray([0, 1, 2]), (20, 30)).repaired()
        assert dict(faults) == {"box-swapped": 1, "box-outside": 1, "box-mostly-outside": 1, "box-degenerate": 1}
        np.testing.assert_array_equal(value.boxes, [[0, 2, 8, 9], [12, 4, 26, 18]])
        assert value.labels.tolist() == [0, 2]

    def test_undo_moves_boxes_and_masks_together(self):
        masks = np.zeros((3, 10, 12), bool)
        masks[0, 0:4, 0:4] = True
        home = some(masks=masks, image=ArrayImage(np.zeros((10, 12), np.uint8)))
        home = home.undo(Placement((20, 24), (10, 12), (0.5, 0.5)))
        np.testing.assert_array_equal(home.boxes[0], [0, 0, 8, 8])
        assert home.masks[0].dtype == bool
        assert home.masks[0][:8, :8].all()
        assert home.masks[0].sum() == 64
        assert home.image is None
        assert home.size == (20, 24)

    def test_to_dict_is_json(self):
        said = json.loads(json.dumps(some(scores=np.asarray([0.25, 0.5, 0.75], np.float32)).to_dict()))
        assert said["objects"][1] == {"label": "bird", "index": 2, "box": [2.0, 2.0, 8.0, 6.0], "score": 0.5}
        assert "score" not in some().to_dict()["objects"][0]


class TestSegmentationMap:
    @pytest.mark.parametrize(
        "map_",
        [
            np.zeros((3, 4, 4), np.uint8),
            np.zeros((4, 4), np.int64),
            np.full((4, 4), 3, np.uint8),
            np.zeros(4, np.uint8),
        ],
    )
    def test_it_must_be_one_known_id_a_pixel(self, map_: np.ndarray):
        with pytest.raises(ShapeError) as caught:
            SegmentationMap(NAMES, map_)
        assert caught.value.expected
        assert caught.value.got

    def test_scores_must_fit(self):
        with pytest.raises(ShapeError, match="one score for each pixel"):
            SegmentationMap(NAMES, np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.float32))

    @given(st.integers(0, 2**32 - 1), sizes)
    def test_fractions_are_those_of_counted_pixels(self, seed: int, size: tuple[int, int]):
        map_ = np.random.default_rng(seed).choice(np.asarray([0, 1, 2, IGNORE], np.uint8), size)
        fractions = SegmentationMap(NAMES, map_).fractions()
        counted = map_[map_ != IGNORE]
        assert sum(fractions.values()) == pytest.approx(1 if counted.size else 0)
        for i, name in enumerate(NAMES):
            assert fractions[name] == pytest.approx((counted == i).mean() if counted.size else 0)

    def test_all_ignored_is_nothing_of_anything(self):
        assert set(SegmentationMap(NAMES, np.full((3, 3), IGNORE, np.uint8)).fractions().values()) == {0.0}

    def test_home_unseen_pixels_are_ignored(self):
        seen = SegmentationMap(NAMES, np.ones((4, 4), np.uint8), np.ones((4, 4), np.float32))
        home = seen.undo(Placement((4, 8), (4, 4), offset=(0, -4)))
        assert home.size == (4, 8)
        assert (home.map[:, 4:] == 1).all()
        assert (home.map[:, :4] == IGNORE).all()
        assert home.scores.shape == (4, 8)

    @given(placements())
    def test_home_it_holds_no_class_that_was_not_there(self, placement: Placement):
        ids = np.random.default_rng(0).choice(np.asarray([0, 2], np.uint8), placement.network_size)
        home = SegmentationMap(NAMES, ids).undo(placement)
        assert home.size == placement.file_size
        assert set(np.unique(home.map)) <= {0, 2, IGNORE}

    def test_to_dict_is_json(self):
        said = json.loads(json.dumps(SegmentationMap(("a", "b"), np.zeros((2, 3), np.uint8)).to_dict()))
        assert said == {"size": [2, 3], "fractions": {"a": 1.0, "b": 0.0}, "areas": {"a": 6, "b": 0}}


@dataclass(frozen=True)
class MemoryImage:
    path = None

    def size(self) -> tuple[int, int]:
        return (4, 4)

    def load(self, at_least: tuple[int, int] | None = None) -> np.ndarray:
        raise AssertionError("no image is decoded to ask for a target")


class LateTarget:
    def __init__(self) -> None:
        self.reads = 0

    def load(self) -> SegmentationMap:
        self.reads += 1
        return SegmentationMap(NAMES, np.zeros((4, 4), np.uint8))


class TestSample:
    def test_targets_are_found_by_task(self):
        label = Label(NAMES, 1)
        assert Sample("a", MemoryImage(), {"classification": label}).target("classification") is label

    def test_a_source_is_read_when_asked_for_and_not_before(self):
        late = LateTarget()
        sample = Sample("a", MemoryImage(), {"segmentation": late})
        assert late.reads == 0
        assert sample.target("segmentation").size == (4, 4)
        assert late.reads == 1

    def test_a_missing_target_names_image_and_task(self):
        with pytest.raises(TaskMismatchError, match=r"a/b\.png has no target for detection") as caught:
            Sample("a/b.png", MemoryImage(), {"classification": Label(NAMES, 0)}).target("detection")
        assert caught.value.expected == "classification"

    def test_an_unlabelled_image_says_so(self):
        with pytest.raises(TaskMismatchError, match="unlabelled"):
            Sample("a", MemoryImage()).target("detection")
