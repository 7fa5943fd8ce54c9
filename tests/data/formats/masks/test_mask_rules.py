"""What the values of masks mean where no file says it; values that do not belong are no classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from visus.data.dataset import Dataset, Finding
from visus.data.inspection.checks import check
from visus.data.reading.opening import open_data
from visus.errors import DataError

SIZE = (40, 64)


def square(*values: int, at: int = 4, kind: type = np.uint8) -> np.ndarray:
    """0 with a square of 12 x 12 pixels of each value."""
    array = np.zeros(SIZE, kind)
    for place, value in enumerate(values):
        array[at : at + 12, 2 + 15 * place : 14 + 15 * place] = value
    return array


def data_set(root: Path, masks: Sequence[np.ndarray], suffix: str = ".png") -> Path:
    for folder in ("images", "masks"):
        (root / folder).mkdir(exist_ok=True)
    for number, array in enumerate(masks):
        pixels = np.random.default_rng(number).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{number:03}.png")
        path = root / "masks" / f"{number:03}{suffix}"
        if suffix == ".npy":
            np.save(path, array)
        elif suffix == ".tif":
            tifffile.imwrite(path, array)
        else:
            Image.fromarray(array).save(path)
    return root


def finding(dataset: Dataset, kind: str) -> Finding:
    return next(item for item in dataset.findings if item.kind == kind)


def values(dataset: Dataset, name: str) -> list[int]:
    """The class ids that occur in one mask."""
    for samples in dataset.splits.values():
        for sample in samples:
            if Path(sample.id).stem == name:
                return np.unique(sample.target("segmentation").map).tolist()
    raise AssertionError(f"{name} is in no split")


def test_one_smoothed_mask_of_twelve_is_named_and_left_out(tmp_path: Path) -> None:
    masks = [square(255, at=i) for i in range(12)]
    masks[3][14, 2:14], masks[3][15, 2:14] = 127, 30
    dataset = open_data(data_set(tmp_path, masks))
    assert dataset.classes["segmentation"] == ("background", "foreground")
    found = finding(dataset, "unexpected-values")
    assert (found.severity, found.count, found.examples) == ("repair", 1, ("masks/003.png: 30, 127",))
    assert values(dataset, "000") == [0, 1]
    assert sum(map(len, dataset.splits.values())) == 11


@pytest.mark.parametrize("smoothed", [3, 12])
def test_many_smoothed_masks_are_a_stop(smoothed: int, tmp_path: Path) -> None:
    masks = []
    for i in range(12):
        array = square(255, at=i)
        if i < smoothed:
            small = Image.fromarray(array).resize((32, 20), Image.Resampling.BOX)
            array = np.asarray(small.resize((64, 40), Image.Resampling.BILINEAR))
        masks.append(array)
    data_set(tmp_path, masks)
    if smoothed == 12:
        with pytest.raises(DataError, match="do not look like class ids") as caught:
            open_data(tmp_path)
        assert "smoothed edges" in caught.value.got
    else:
        found = finding(open_data(tmp_path), "unexpected-values")
        assert (found.severity, found.count) == ("stop", 3)
        assert "without smoothing" in found.message


def test_two_by_two_smoothing_is_no_set_of_spaced_greys(tmp_path: Path) -> None:
    large = [np.kron(square(255, at=i), np.ones((2, 2), np.uint8)) for i in range(6)]
    rolled = [np.roll(array, 1, axis=(0, 1)).astype(float) for array in large]
    masks = [np.rint(array.reshape(40, 2, 64, 2).mean(axis=(1, 3))).astype(np.uint8) for array in rolled]
    assert set(np.unique(masks[0])) == {0, 64, 128, 255}
    with pytest.raises(DataError, match="do not look like class ids"):
        open_data(data_set(tmp_path, masks))


def test_masks_that_were_jpegs_are_no_ids(tmp_path: Path) -> None:
    masks = [square(255, at=i) for i in range(6)]
    for array in masks:
        array[1:3, 1:60:3] += 1
        array[36:39, 1:60:3] = 253
    with pytest.raises(DataError, match="do not look like class ids"):
        open_data(data_set(tmp_path, masks))


@pytest.mark.parametrize("greys", [(0, 127, 255), (0, 85, 170, 255), (0, 76, 150), (0, 63, 127, 191, 255)])
def test_spaced_greys_are_classes_in_their_order(greys: tuple[int, ...], tmp_path: Path) -> None:
    dataset = open_data(data_set(tmp_path, [square(*greys[1:], at=i) for i in range(8)]))
    assert dataset.classes["segmentation"] == tuple(f"grey_{grey}" for grey in greys)
    assert values(dataset, "005") == list(range(len(greys)))
    assert ", ".join(map(str, greys)) in finding(dataset, "grey-values").message


@pytest.mark.parametrize("white", [1, 9, 128, 255])
def test_black_and_one_other_value_are_two_classes(white: int, tmp_path: Path) -> None:
    dataset = open_data(data_set(tmp_path, [square(white), square(), square(white, at=9)]))
    assert dataset.classes["segmentation"] == ("background", "foreground")
    assert values(dataset, "000") == [0, 1]
    assert values(dataset, "001") == [0]


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [(1, 255, np.uint8), (1, 254, np.uint8), (255, 65535, np.uint16), (1, 65535, np.uint16)],
)
def test_masks_of_two_classes_may_mark_the_foreground_by_several_values(
    first: int, second: int, kind: type, tmp_path: Path
) -> None:
    masks = [square(second if i % 2 else first, at=i, kind=kind) for i in range(6)]
    dataset = open_data(data_set(tmp_path, masks, ".tif"))
    assert dataset.classes["segmentation"] == ("background", "foreground")
    assert [values(dataset, name) for name in ("000", "001")] == [[0, 1], [0, 1]]
    found = finding(dataset, "several-marks")
    assert found.severity == "note"
    assert f"({first} in 3, {second} in 3 masks)" in found.message


def test_the_last_greys_before_white_are_one_class(tmp_path: Path) -> None:
    dataset = open_data(data_set(tmp_path, [square(254, 255), square(253), square(255)]))
    assert dataset.classes["segmentation"] == ("background", "foreground")
    maps = {Path(s.id).stem: s.target("segmentation").map for part in dataset.splits.values() for s in part}
    assert {name: np.count_nonzero(map_) for name, map_ in maps.items()} == {"000": 288, "001": 144, "002": 144}
    assert "(253 in 1, 254 in 1, 255 in 2 masks)" in finding(dataset, "several-marks").message


def test_the_last_greys_beside_others_are_a_stop_until_they_are_named(tmp_path: Path) -> None:
    data_set(tmp_path, [square(128, 254, 255, at=i) for i in range(4)])
    assert finding(open_data(tmp_path), "neighbouring-greys").severity == "stop"
    (tmp_path / "classes.txt").write_text("sky\nroad\ncar\nlamp\n")
    dataset = open_data(tmp_path)
    assert values(dataset, "000") == [0, 1, 2, 3]
    assert [item.kind for item in dataset.findings if item.severity == "stop"] == []


def test_declared_classes_may_be_marked_by_several_values(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("rest\nroad\n")
    dataset = open_data(data_set(tmp_path, [square(255 if i > 3 else 1, at=i) for i in range(6)]))
    assert dataset.classes["segmentation"] == ("rest", "road")
    assert values(dataset, "005") == [0, 1]


def test_white_beside_one_is_ignored_and_a_mask_of_white_alone_is_a_stop(tmp_path: Path) -> None:
    masks = [square(1, 255, at=i) for i in range(4)] + [square(255, at=i) for i in range(4)]
    dataset = open_data(data_set(tmp_path, masks))
    assert values(dataset, "000") == [0, 1, 255]
    found = next(item for item in check(dataset) if item.kind == "ignored-pixels")
    assert (found.severity, found.acceptable) == ("stop", True)


def test_white_that_never_lies_beside_class_numbers_is_a_stop(tmp_path: Path) -> None:
    masks = [square(1, 2, at=i) for i in range(6)] + [square(255, at=i) for i in range(6)]
    found = finding(open_data(data_set(tmp_path, masks)), "unclear-white")
    assert found.severity == "stop"
    assert "255 occurs in 6 masks, and never in one with 1 to 2" in found.message
    (tmp_path / "classes.txt").write_text("sky\nroad\ncar\n")
    assert values(open_data(tmp_path), "011") == [0, 255]


def test_a_slip_among_class_numbers_costs_its_mask_only(tmp_path: Path) -> None:
    masks = [square(1, 2, 3, at=i) for i in range(10)]
    masks[6][30, 30] = 200
    dataset = open_data(data_set(tmp_path, masks))
    assert dataset.classes["segmentation"] == ("class_0", "class_1", "class_2", "class_3")
    assert finding(dataset, "unexpected-values").examples == ("masks/006.png: 200",)


def test_the_share_that_is_ignored_is_told(tmp_path: Path) -> None:
    masks = [square(1, 2, at=i) for i in range(8)]
    masks[0][20:] = 255  # 20 of 40 rows of one of eight masks: 1/16
    found = next(item for item in check(open_data(data_set(tmp_path, masks))) if item.kind == "ignored-pixels")
    assert found.severity == "note"
    assert "(6.2%) are ignored" in found.message


def test_names_for_greys_go_by_their_order(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("sky\nroad\ncar\n")
    dataset = open_data(data_set(tmp_path, [square(128, 255)] * 3))
    assert dataset.classes["segmentation"] == ("sky", "road", "car")
    assert values(dataset, "000") == [0, 1, 2]


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (255, 0, 0)])
def test_values_in_the_alpha_channel(colour: tuple[int, int, int], tmp_path: Path) -> None:
    masks = []
    for i in range(6):
        array = np.full((*SIZE, 4), (*colour, 0), np.uint8)
        array[..., 3] = square(255, at=i) if i else 0
        masks.append(array)
    dataset = open_data(data_set(tmp_path, masks))
    assert dataset.classes["segmentation"] == ("background", "foreground")
    assert values(dataset, "000") == [0]
    assert values(dataset, "001") == [0, 1]


def test_ordinary_transparency_is_let_go(tmp_path: Path) -> None:
    array = np.repeat(square(255)[..., None], 4, axis=2)  # white where opaque, black where transparent
    dataset = open_data(data_set(tmp_path, [array] * 3))
    assert values(dataset, "000") == [0, 1]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.uint32, np.float32, np.float64, np.int64, bool])
@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_numbers_of_every_type(kind: type, suffix: str, tmp_path: Path) -> None:
    if kind is bool:
        dataset = open_data(data_set(tmp_path, [square(1, kind=bool)] * 3, suffix))
        assert dataset.classes["segmentation"] == ("background", "foreground")
    else:
        dataset = open_data(data_set(tmp_path, [square(1, 2, kind=kind)] * 3, suffix))
        assert dataset.classes["segmentation"] == ("class_0", "class_1", "class_2")
        assert values(dataset, "001") == [0, 1, 2]


def test_minus_one_and_what_was_not_measured_are_ignored(tmp_path: Path) -> None:
    array = square(1, 2, kind=np.int16)
    array[39] = -1
    assert values(open_data(data_set(tmp_path, [array] * 3, ".tif")), "000") == [0, 1, 2, 255]
    floats = square(1, 2, kind=np.float32)
    floats[39] = np.nan
    assert values(open_data(data_set(tmp_path, [floats] * 3, ".tif")), "000") == [0, 1, 2, 255]


def test_sixteen_bit_black_and_white(tmp_path: Path) -> None:
    dataset = open_data(data_set(tmp_path, [square(65535, kind=np.uint16)] * 3, ".tif"))
    assert dataset.classes["segmentation"] == ("background", "foreground")
    assert values(dataset, "000") == [0, 1]


def test_probabilities_and_planes_are_refused_by_name(tmp_path: Path) -> None:
    floats = square(kind=np.float32)
    floats[3:9, 3:9] = 0.37
    with pytest.raises(DataError, match="holds fractions"):
        open_data(data_set(tmp_path, [floats] * 3, ".tif"))
    for path in (tmp_path / "masks").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="holds 4 values a pixel"):
        open_data(data_set(tmp_path, [np.zeros((*SIZE, 4), np.uint8)] * 3, ".npy"))


def test_many_numbers_in_few_masks_may_be_objects(tmp_path: Path) -> None:
    masks = []
    for i in range(12):
        array = np.zeros(SIZE, np.uint8)
        for k in range(3):
            array[4 + i : 8 + i, 10 * k : 10 * k + 3] = array[20 + i : 24 + i, 10 * k : 10 * k + 3] = 3 * i + k + 1
        masks.append(array)  # each number in one mask, in two pieces
    found = finding(open_data(data_set(tmp_path, masks)), "numbers-of-objects")
    assert found.severity == "note"
    assert "--format instance-maps" in found.message


def coloured(number: int, ground: int = 0) -> np.ndarray:
    """[H,W,3]: a few squares, each of a colour of its own."""
    array = np.full((*SIZE, 3), ground, np.uint8)
    for k in range(1 + number % 3):
        array[4 : 4 + 6, 2 + 15 * k : 12 + 15 * k] = (20 + 30 * k, 10 + 9 * number, 200)
    return array


def test_colours_that_are_each_in_one_mask_are_objects(tmp_path: Path) -> None:
    dataset = open_data(data_set(tmp_path, [coloured(i) for i in range(6)]))
    assert dataset.format == "instance-maps"
    target = next(s for part in dataset.splits.values() for s in part if "002" in s.id).target("detection")
    assert sorted(target.boxes.tolist()) == [[2, 4, 12, 10], [17, 4, 27, 10], [32, 4, 42, 10]]
    assert target.masks.windows.tolist() == target.boxes.tolist()


def test_colours_of_single_masks_on_a_ground_of_colour_are_a_stop(tmp_path: Path) -> None:
    dataset = open_data(data_set(tmp_path, [coloured(i, ground=255) for i in range(6)]))
    assert dataset.format == "masks"
    assert finding(dataset, "colours-of-objects").severity == "stop"


def test_the_same_colours_in_all_masks_are_classes(tmp_path: Path) -> None:
    array = np.zeros((*SIZE, 3), np.uint8)
    for k in range(4):
        array[4:20, 15 * k : 15 * k + 9], array[20:30, 15 * k : 15 * k + 9] = (60 * k, 0, 9), (0, 60 * k, 99)
    dataset = open_data(data_set(tmp_path, [np.roll(array, i, axis=0) for i in range(4)]))
    assert dataset.format == "masks"
    assert len(dataset.classes["segmentation"]) == 9
    assert {item.kind for item in dataset.findings if item.severity == "stop"} == set()
