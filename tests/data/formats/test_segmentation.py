"""Masks and instance maps give the ids that were written, and are never taken for each other or for classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from visus.data.dataset import Dataset
from visus.data.formats.listing import Listing
from visus.data.formats.masks.class_lists import ClassList, find_class_list
from visus.data.formats.masks.mask_maps import MapRule
from visus.data.reading.opening import open_data
from visus.errors import DataError
from visus.structures import Detections, SegmentationMap

SIZE = (24, 32)


def picture(path: Path, size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size[::-1], (90, 90, 90)).save(path)
    return path


def mask(path: Path, array: np.ndarray, mode: str | None = None, palette: list[int] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array) if mode is None else Image.fromarray(array, mode)
    if palette is not None:
        image.putpalette(palette)
    image.save(path)
    return path


def ids(*values: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Columns of equal width, one a value."""
    columns = np.repeat(np.asarray(values, np.uint8), -(-size[1] // len(values)))[: size[1]]
    return np.tile(columns, (size[0], 1))


def kinds(dataset: Dataset) -> dict[str, tuple[str, int]]:
    return {finding.kind: (finding.severity, finding.count) for finding in dataset.findings}


def maps(dataset: Dataset) -> dict[str, SegmentationMap]:
    found = {}
    for samples in dataset.splits.values():
        for sample in samples:
            target = sample.target("segmentation")
            assert isinstance(target, SegmentationMap)
            found[Path(sample.id).stem] = target
    return found


def pairs(
    root: Path, masks: list[np.ndarray], folders: tuple[str, str] = ("images", "masks"), ending: str = ""
) -> None:
    for number, array in enumerate(masks):
        picture(root / folders[0] / f"{number}.jpg")
        mask(root / folders[1] / f"{number}{ending}.png", array)


@pytest.mark.parametrize("folders", [("images", "masks"), ("image", "label"), ("img", "gt"), ("Images", "Annotations")])
@pytest.mark.parametrize("ending", ["", "_mask"])
def test_binary_masks(folders: tuple[str, str], ending: str, tmp_path: Path) -> None:
    pairs(tmp_path, [ids(0, 255), ids(255, 0, 255)], folders, ending)
    dataset = open_data(tmp_path)
    assert (dataset.format, dataset.tasks) == ("masks", ("segmentation",))
    assert dataset.classes["segmentation"] == ("background", "foreground")
    np.testing.assert_array_equal(maps(dataset)["0"].map, ids(0, 1))
    np.testing.assert_array_equal(maps(dataset)["1"].map, ids(1, 0, 1))


def test_one_bit_and_grey_in_rgb_are_binary_too(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "0.jpg")
    picture(tmp_path / "images" / "1.jpg")
    mask(tmp_path / "masks" / "0.png", ids(0, 1).astype(bool))
    mask(tmp_path / "masks" / "1.png", np.repeat(ids(255, 0)[:, :, None], 3, axis=2))
    found = maps(open_data(tmp_path))
    np.testing.assert_array_equal(found["0"].map, ids(0, 1))
    np.testing.assert_array_equal(found["1"].map, ids(1, 0))


def test_ids_with_255_to_ignore(tmp_path: Path) -> None:
    pairs(tmp_path, [ids(0, 1, 255), ids(0, 3, 1, 1)])
    dataset = open_data(tmp_path)
    assert dataset.classes["segmentation"] == ("class_0", "class_1", "class_2", "class_3")
    np.testing.assert_array_equal(maps(dataset)["0"].map, ids(0, 1, 255))


def test_palettes_are_indices_not_brightness(tmp_path: Path) -> None:
    palette = [0, 0, 0, 255, 255, 255, 9, 200, 30, *([7] * 759)]
    for number, array in enumerate((ids(0, 1, 2), ids(2, 0))):
        picture(tmp_path / "images" / f"{number}.jpg")
        mask(tmp_path / "masks" / f"{number}.png", array, "P", palette)
    found = maps(open_data(tmp_path))
    np.testing.assert_array_equal(found["0"].map, ids(0, 1, 2))


def coloured(*colours: tuple[int, int, int]) -> np.ndarray:
    return np.asarray(colours, np.uint8)[ids(*range(len(colours)))]


def test_colours_without_a_list(tmp_path: Path) -> None:
    black, red, blue = (0, 0, 0), (255, 0, 0), (0, 0, 255)
    pairs(tmp_path, [coloured(black, red), coloured(blue, black), np.zeros((*SIZE, 3), np.uint8)])
    dataset = open_data(tmp_path)
    assert dataset.classes["segmentation"] == ("#000000", "#0000ff", "#ff0000")
    np.testing.assert_array_equal(maps(dataset)["0"].map, ids(0, 2))
    np.testing.assert_array_equal(maps(dataset)["2"].map, ids(0))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("class_dict.csv", "name,r,g,b\nroad,128,64,128\nVoid,0,0,0\ncar,64,0,128\n"),
        ("label_colors.txt", "128 64 128\troad\n0 0 0\tVoid\n64 0 128\t\tcar\n"),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nroad:128,64,128::\nVoid:0,0,0::\ncar:64,0,128::\n"),
    ],
)
def test_colours_with_a_list_and_void(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    pairs(tmp_path, [coloured((64, 0, 128), (0, 0, 0), (128, 64, 128))])
    dataset = open_data(tmp_path)
    assert dataset.classes["segmentation"] == ("road", "car")
    np.testing.assert_array_equal(maps(dataset)["0"].map, ids(1, 255, 0))
    mask(tmp_path / "masks" / "0.png", coloured((64, 0, 128), (1, 2, 3)))
    with pytest.raises(DataError, match=r"0\.png holds values that no class has") as caught:
        maps(open_data(tmp_path))
    assert "[1, 2, 3]" in caught.value.got


def test_a_palette_with_a_list_of_colours_goes_by_colour(tmp_path: Path) -> None:
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\na,0,0,0\nb,255,0,0\nc,0,255,0\n")
    picture(tmp_path / "images" / "0.jpg")
    mask(tmp_path / "masks" / "0.png", ids(0, 1), "P", [0, 255, 0, 255, 0, 0])
    np.testing.assert_array_equal(maps(open_data(tmp_path))["0"].map, ids(2, 1))


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("classes.txt", "sky\nroad\nunlabelled\n", ("sky", "road")),
        ("codes.txt", "sky\nroad\nVoid", ("sky", "road")),
        ("labels.txt", "0: sky\n1: road\n3: void\n", ("sky", "road", "class_2")),
        ("classes.csv", "id,name\n0,sky\n1,road\n2,ignore\n", ("sky", "road")),
    ],
)
def test_declared_names(name: str, text: str, names: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    pairs(tmp_path, [ids(0, 1, 255), ids(1, 0)])
    dataset = open_data(tmp_path)
    assert dataset.classes["segmentation"] == names
    np.testing.assert_array_equal(maps(dataset)["0"].map, ids(0, 1, 255))


def test_void_in_the_middle_closes_up(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("a\nvoid\nb\n")
    pairs(tmp_path, [ids(0, 1, 2)])
    np.testing.assert_array_equal(maps(open_data(tmp_path))["0"].map, ids(0, 255, 1))


def test_two_names_for_binary_masks(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("membrane\ncell\n")
    pairs(tmp_path, [ids(0, 255)])
    dataset = open_data(tmp_path)
    assert dataset.classes["segmentation"] == ("membrane", "cell")
    np.testing.assert_array_equal(maps(dataset)["0"].map, ids(0, 1))


def test_names_that_repeat_are_refused(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("a\na\n")
    with pytest.raises(DataError, match="name each class once"):
        find_class_list(Listing(tmp_path))


def test_values_beyond_the_names_are_named(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    pairs(tmp_path, [ids(0, 7)])
    with pytest.raises(DataError, match="no class has") as caught:
        maps(open_data(tmp_path))
    assert caught.value.got == "7"


@pytest.mark.parametrize("layout", ["folders-in-splits", "splits-in-folders", "beside", "beside_masks"])
def test_splits_of_pairs(layout: str, tmp_path: Path) -> None:
    places = {
        "folders-in-splits": ("{}/images", "{}/masks"),
        "splits-in-folders": ("images/{}", "labels/{}"),
        "beside": ("{}", "{}annot"),
        "beside_masks": ("{}", "{}_masks"),
    }[layout]
    for split in ("train", "val"):
        pairs(tmp_path, [ids(0, 1, 2), ids(2, 1)], (places[0].format(split), places[1].format(split)))
    dataset = open_data(tmp_path)
    assert dataset.format == "masks"
    assert {split: len(found) for split, found in dataset.splits.items()} == {"train": 2, "val": 2}


def test_camvid_is_known_by_its_layout_and_only_then(tmp_path: Path) -> None:
    def write(root: Path, stem: str, *values: int) -> None:
        for split in ("train", "val"):
            picture(root / split / f"{stem}.png")
            mask(root / f"{split}annot" / f"{stem}.png", ids(*values))

    write(tmp_path / "yes", "0001TP_006690", 0, 3, 11)
    dataset = open_data(tmp_path / "yes")
    assert len(dataset.classes["segmentation"]) == 11
    assert dataset.classes["segmentation"][3] == "road"
    np.testing.assert_array_equal(dataset.split("train")[0].target("segmentation").map, ids(0, 3, 255))
    write(tmp_path / "other-names", "street_1", 0, 3, 11)
    assert open_data(tmp_path / "other-names").classes["segmentation"][11] == "class_11"
    write(tmp_path / "other-values", "0001TP_006690", 0, 3, 11, 12)
    assert len(open_data(tmp_path / "other-values").classes["segmentation"]) == 13


def test_unpaired_files_are_counted(tmp_path: Path) -> None:
    pairs(tmp_path, [ids(0, 1), ids(1, 0)])
    picture(tmp_path / "images" / "alone.jpg")
    mask(tmp_path / "masks" / "lost.png", ids(0, 1))
    dataset = open_data(tmp_path)
    assert kinds(dataset) == {"unlabelled-image": ("repair", 1), "label-without-image": ("note", 1)}


def test_masks_of_another_size_or_kind_are_named(tmp_path: Path) -> None:
    pairs(tmp_path, [ids(0, 1), ids(1, 0)])
    mask(tmp_path / "masks" / "1.png", ids(1, 0, size=(32, 24)))
    with pytest.raises(DataError, match=r"1\.png does not have the size of its image"):
        maps(open_data(tmp_path))
    mask(tmp_path / "masks" / "1.png", np.random.default_rng(0).integers(0, 256, SIZE, np.uint8))
    with pytest.raises(DataError, match="do not look like class ids"):
        open_data(tmp_path)
    Image.fromarray(ids(0, 1)).save(tmp_path / "masks" / "1.png", "JPEG")
    assert kinds(open_data(tmp_path))["unreadable-target"] == ("repair", 1)
    (tmp_path / "masks" / "1.png").write_bytes(b"")
    assert kinds(open_data(tmp_path))["unreadable-target"] == ("repair", 1)
    for number in range(2):
        Image.fromarray(ids(0, 1)).save(tmp_path / "masks" / f"{number}.png", "JPEG")
    with pytest.raises(DataError, match="is a JPEG, which blurs"):
        open_data(tmp_path)


@given(st.lists(st.sampled_from([0, 1, 2, 5, 255]), min_size=1, max_size=50))
def test_index_rules_keep_what_they_know(values: list[int]) -> None:
    rule = MapRule.of_indices(("a", "b", "void", "c", "d", "e"), void=(2,))
    raw = np.asarray([values], np.uint8)
    expected = [{0: 0, 1: 1, 2: 255, 5: 4, 255: 255}[value] for value in values]
    assert rule.apply(raw, "m").tolist() == [expected]
    assert rule.apply(raw.astype(np.uint16), "m").tolist() == [expected]


def test_colour_rules_ignore_void() -> None:
    declared = ClassList(Path("x"), ("ignore", "a"), ((1, 2, 3), (4, 4, 4)))
    rule = MapRule.of_colours(declared)
    assert rule.apply(np.asarray([[[1, 2, 3], [4, 4, 4]]], np.uint8), "m").tolist() == [[255, 0]]
    assert rule.apply(np.asarray([[4, 4]], np.uint8), "m").tolist() == [[0, 0]]


# --- instance maps


def instances(count: int, dtype: type = np.uint8) -> np.ndarray:
    """Squares of 3 pixels on a grid, numbered from 1."""
    array = np.zeros(SIZE, dtype)
    for number in range(count):
        y, x = divmod(number, 7)
        array[4 * y : 4 * y + 3, 4 * x : 4 * x + 3] = number + 1
    return array


@pytest.mark.parametrize("counts", [(3, 9), (1, 4, 7), (0, 2, 5, 12)])
def test_instance_maps_are_told_by_their_numbers(counts: tuple[int, ...], tmp_path: Path) -> None:
    pairs(tmp_path, [instances(count) for count in counts], ("images", "labels"))
    dataset = open_data(tmp_path)
    assert dataset.format == "instance-maps"
    assert dataset.tasks == ("detection", "segmentation")
    assert dataset.classes == {"detection": ("object",), "segmentation": ("background", "object")}
    for samples in dataset.splits.values():
        for sample in samples:
            count = counts[int(Path(sample.id).stem)]
            found = sample.target("detection")
            assert isinstance(found, Detections)
            assert len(found) == count
            assert found.masks is not None
            assert found.masks.full().sum() == 9 * count
            if count:
                assert found.boxes[0].tolist() == [0, 0, 3, 3]
                row, column = divmod(count - 1, 7)
                assert found.boxes[-1].tolist() == [4 * column, 4 * row, 4 * column + 3, 4 * row + 3]
            np.testing.assert_array_equal(sample.target("segmentation").map, instances(count) > 0)


def test_sixteen_bit_instance_maps(tmp_path: Path) -> None:
    pairs(tmp_path, [instances(count, np.uint16) for count in (3, 9, 12)], ("images", "labels"))
    dataset = open_data(tmp_path)
    assert dataset.format == "instance-maps"
    assert sum(len(s.target("detection")) for samples in dataset.splits.values() for s in samples) == 24


def test_class_masks_are_no_instance_maps(tmp_path: Path) -> None:
    scattered = np.arange(SIZE[0] * SIZE[1], dtype=np.uint8).reshape(SIZE) % 4
    pairs(tmp_path / "scattered", [scattered, scattered % 3, scattered % 2])
    pairs(tmp_path / "constant", [ids(0, 1, 2), ids(2, 1, 0), ids(1, 0, 2)])
    pairs(tmp_path / "named", [instances(3), instances(5), instances(9)])
    (tmp_path / "named" / "classes.txt").write_text("\n".join(f"kind {number}" for number in range(10)))
    for name in ("scattered", "constant", "named"):
        assert open_data(tmp_path / name).format == "masks", name
    forced = open_data(tmp_path / "constant", format="instance-maps")
    assert forced.tasks == ("detection", "segmentation")
