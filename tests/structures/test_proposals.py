"""Region proposals: they are checked, ordered, moved with their image, and come home."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from visus.data.augmentation.cut import Cut
from visus.data.augmentation.frame import Frame
from visus.data.augmentation.geometry import mirror
from visus.engine.model_card import ModelInfo
from visus.errors import ShapeError, WeightsError
from visus.structures import Placement, Preprocessing, Proposals, ProposalSettings

BOXES = np.asarray([[2, 3, 12, 9], [0, 0, 20, 16], [15, 12, 20, 16]], np.float32)
SCORES = np.asarray([0.9, 0.5, 0.1], np.float32)
SIZE = (16, 20)


def proposals() -> Proposals:
    return Proposals(BOXES, SIZE, SCORES)


def test_the_first_are_the_best() -> None:
    assert len(proposals()) == 3
    two = proposals().first(2)
    np.testing.assert_array_equal(two.boxes, BOXES[:2])
    np.testing.assert_array_equal(two.scores, SCORES[:2])
    assert proposals().first(9).boxes is BOXES
    assert len(Proposals(BOXES, SIZE).first(0)) == 0


def test_no_proposal_is_normal() -> None:
    empty = Proposals.empty(SIZE)
    assert len(empty) == 0
    assert mirror(Frame(np.zeros((*SIZE, 3), np.uint8), None, proposals=empty)).proposals is not None
    assert empty.undo(Placement.identity(SIZE)).boxes.shape == (0, 4)
    assert empty.repaired() == (empty, ())


@pytest.mark.parametrize("boxes", [np.zeros(4, np.float32), np.zeros((3, 5), np.float32), np.zeros((0,), np.float32)])
def test_what_is_no_list_of_boxes_is_refused(boxes: np.ndarray) -> None:
    with pytest.raises(ShapeError, match="boxes"):
        Proposals(boxes, SIZE)


def test_scores_are_one_a_box() -> None:
    with pytest.raises(ShapeError, match="one score for each box"):
        Proposals(BOXES, SIZE, SCORES[:2])


def test_they_are_mirrored_with_their_image() -> None:
    moved = mirror(Frame(np.zeros((*SIZE, 3), np.uint8), None, proposals=proposals())).proposals
    assert moved is not None
    np.testing.assert_allclose(moved.boxes, [[8, 3, 18, 9], [0, 0, 20, 16], [0, 12, 5, 16]])
    np.testing.assert_array_equal(moved.scores, SCORES)


def test_a_crop_cuts_them_and_drops_those_that_leave_it() -> None:
    cut = Cut.of(SIZE, (0, 0, 8, 10), (16, 20))  # the upper left quarter, twice as large
    moved = cut.apply(Frame(np.zeros((*SIZE, 3), np.uint8), None, proposals=proposals())).proposals
    assert moved is not None
    np.testing.assert_allclose(moved.boxes, [[4, 6, 20, 16], [0, 0, 20, 16]])
    np.testing.assert_array_equal(moved.scores, SCORES[:2])
    assert moved.size == (16, 20)


def test_they_come_home_through_their_placement() -> None:
    cut = Cut.of(SIZE, (0, 0, 16, 20), (40, 60))
    moved = cut.apply(Frame(np.zeros((*SIZE, 3), np.uint8), None, proposals=proposals())).proposals
    assert moved is not None
    home = moved.undo(cut.placement)
    np.testing.assert_allclose(home.boxes, BOXES, atol=1e-4)
    assert home.size == SIZE


def test_faulty_boxes_are_repaired_or_dropped_with_their_scores() -> None:
    boxes = np.asarray([[-5, 0, 10, 10], [np.nan, 0, 1, 1], [10, 9, 2, 3], [30, 2, 40, 9]], np.float32)
    repaired, faults = Proposals(boxes, SIZE, np.asarray([4, 3, 2, 1], np.float32)).repaired()
    np.testing.assert_array_equal(repaired.boxes, [[0, 0, 10, 10], [2, 3, 10, 9]])
    np.testing.assert_array_equal(repaired.scores, [4, 2])
    assert dict(faults) == {"box-not-a-number": 1, "box-swapped": 1, "box-outside": 1, "box-degenerate": 1}
    same, none = proposals().repaired()
    assert same.boxes is BOXES
    assert none == ()


def test_they_go_through_a_pipe_between_processes() -> None:
    again = pickle.loads(pickle.dumps(proposals()))
    np.testing.assert_array_equal(again.boxes, BOXES)


INFO = ModelInfo("detection", "yolo@paper", ("a",), 3, Preprocessing())


@pytest.mark.parametrize("settings", [None, ProposalSettings(), ProposalSettings(mode="quality", count=300)])
def test_their_settings_travel_in_the_model_file(settings: ProposalSettings | None) -> None:
    way = Preprocessing(proposals=settings)
    assert Preprocessing.from_dict(json.loads(json.dumps(way.to_dict()))) == way
    saved = json.loads(json.dumps({**INFO.to_dict(), "preprocessing": way.to_dict()}))
    assert ModelInfo.from_dict(saved).preprocessing == way


def test_model_files_of_earlier_versions_have_no_such_settings() -> None:
    saved = json.loads(json.dumps(INFO.to_dict()))
    del saved["preprocessing"]["proposals"]
    assert ModelInfo.from_dict(saved).preprocessing.proposals is None
    assert Preprocessing.from_dict(saved["preprocessing"]) == INFO.preprocessing


@pytest.mark.parametrize(
    "wrong", [{"count": 0}, {"mode": "slow"}, {"count": "many"}, {"method": "edge_boxes"}, {"x": 1}]
)
def test_a_model_file_with_settings_that_do_not_exist_is_refused(wrong: dict[str, object]) -> None:
    saved = json.loads(json.dumps(INFO.to_dict()))
    saved["preprocessing"]["proposals"] = {"method": "selective_search", "mode": "fast", "count": 2000} | wrong
    with pytest.raises(WeightsError, match="proposals"):
        ModelInfo.from_dict(saved)
