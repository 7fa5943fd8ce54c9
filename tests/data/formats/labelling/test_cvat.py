"""CVAT's XML: a file that datumaro 1.13.12 wrote, and, by hand, what the documentation of CVAT's server shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tool_exports import draw, kinds, lay_out, objects, samples
from visus.data.reading.opening import choose_format, open_data
from visus.errors import DataError

NAMES = ["images/a.png", "images/b.png", "images/c.png"]


def label(name: str, kind: str = "any", parent: str = "") -> str:
    parent = f"<parent>{parent}</parent>" if parent else ""
    return f"<label><name>{name}</name><type>{kind}</type>{parent}</label>"


def write(path: Path, body: str, *labels: str, meta: str = "") -> Path:
    declared = f"<meta><job><labels>{''.join(labels)}</labels>{meta}</job></meta>" if labels or meta else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'<?xml version="1.0"?>\n<annotations><version>1.1</version>{declared}{body}</annotations>')
    return path.parent


def image(name: str, *shapes: str, more: str = "") -> str:
    return f'<image id="0" name="{name}" width="64" height="48" {more}>{"".join(shapes)}</image>'


def box(name: str = "cat", more: str = "") -> str:
    return f'<box label="{name}" xtl="20" ytl="10" xbr="40" ybr="18" {more}/>'


def test_a_file_of_the_tool(tmp_path: Path) -> None:
    lay_out("cvat", tmp_path, NAMES)
    dataset = open_data(tmp_path)
    assert (dataset.format, dataset.classes["detection"]) == ("cvat", ("dog", "cat"))  # in the order of the labels
    assert objects(tmp_path) == {
        "images/a.png": [["cat", 10, 8, 40, 28], ["dog", 20, 10, 40, 18]],
        "images/b.png": [["cat", 5, 5, 25, 15], ["dog", 10, 20, 19, 26]],
        "images/c.png": [],
    }
    target = samples(dataset)["images/b.png"]
    assert target.target("landmarks").points.tolist() == [[3, 4], [5, 6]]
    assert samples(dataset)["images/a.png"].target("classification").index == 0  # the tag "face"
    assert kinds(dataset)["shape-without-area"] == "repair"


@pytest.mark.parametrize(("turn", "expected"), [(0, [20, 10, 40, 18]), (90, [26, 4, 34, 24]), (180, [20, 10, 40, 18])])
def test_a_turned_box_is_the_box_around_it(tmp_path: Path, turn: int, expected: list[float]) -> None:
    write(draw(tmp_path, ["a.png"]) / "annotations.xml", image("a.png", box(more=f'rotation="{turn}"')))
    assert objects(tmp_path) == {"a.png": [["cat", *expected]]}
    assert ("turned-box" in kinds(open_data(tmp_path))) == (turn != 0)


def test_a_mask_is_a_crop_along_the_rows(tmp_path: Path) -> None:
    # 3 columns and 2 rows from (10, 20): one pixel of background, two of the object, one, one, one.
    mask = '<mask label="cat" rle="1, 2, 1, 1, 1" left="10" top="20" width="3" height="2"/>'
    write(draw(tmp_path, ["a.png"]) / "annotations.xml", image("a.png", mask))
    dataset = open_data(tmp_path)
    assert dataset.tasks == ("detection", "segmentation")
    target = samples(dataset)["a.png"].target("detection")
    assert target.boxes.tolist() == [[11, 20, 13, 22]]
    assert [tuple(map(int, place)) for place in zip(*target.masks[0].nonzero(), strict=True)] == [
        (20, 11), (20, 12), (21, 11),
    ]  # fmt: skip


def test_ellipses_and_cuboids(tmp_path: Path) -> None:
    front = 'xtl1="4" ytl1="4" xbl1="4" ybl1="20" xtr1="12" ytr1="5" xbr1="12" ybr1="21"'
    back = 'xtl2="15" ytl2="3" xbl2="15" ybl2="18" xtr2="22" ytr2="4" xbr2="22" ybr2="19"'
    cuboid = f'<cuboid label="b" {front} {back}/>'
    ellipse = '<ellipse label="a" cx="30" cy="20" rx="10" ry="4" rotation="90"/>'
    write(draw(tmp_path, ["a.png"]) / "annotations.xml", image("a.png", ellipse, cuboid))
    assert objects(tmp_path) == {"a.png": [["a", 26, 10, 34, 30], ["b", 4, 3, 22, 21]]}
    assert kinds(open_data(tmp_path))["cuboid"] == "note"


def test_skeletons_are_landmarks_of_the_largest(tmp_path: Path) -> None:
    def skeleton(x: int, size: int) -> str:
        places = (("nose", x, 5, 0), ("tail", x + size, 5 + size, 0), ("ear", 1, 1, 1))
        points = [f'<points label="{n}" outside="{o}" points="{px},{py}"/>' for n, px, py, o in places]
        return f'<skeleton label="dog">{"".join(points)}</skeleton>'

    labels = (label("dog", "skeleton"), label("nose", "points", "dog"), label("tail", "points", "dog"))
    write(draw(tmp_path, ["a.png"]) / "annotations.xml", image("a.png", skeleton(3, 8), skeleton(20, 30)), *labels)
    dataset = open_data(tmp_path)
    assert dataset.classes == {"landmarks": ("nose", "tail", "ear")}
    target = samples(dataset)["a.png"].target("landmarks")
    assert target.points[:2].tolist() == [[20, 5], [50, 35]]
    assert target.visible.tolist() == [True, True, False]
    assert kinds(dataset)["points-of-other-objects"] == "note"


def test_tracks_end_where_the_object_leaves(tmp_path: Path) -> None:
    draw(tmp_path, [f"images/frame_{number:06}.png" for number in range(4)])
    shapes = "".join(
        f'<box frame="{number}" outside="{int(number == 2)}" keyframe="1" xtl="{number}" ytl="1" xbr="9" ybr="8"/>'
        for number in range(3)
    )
    write(tmp_path / "annotations.xml", f'<track id="0" label="cat">{shapes}</track>', label("cat"), label("dog"))
    assert objects(tmp_path) == {
        "images/frame_000000.png": [["cat", 0, 1, 9, 8]],
        "images/frame_000001.png": [["cat", 1, 1, 9, 8]],
        "images/frame_000002.png": [],
        "images/frame_000003.png": [],
    }
    assert open_data(tmp_path).classes == {"detection": ("cat", "dog")}


def test_frames_without_numbers_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    draw(tmp_path, ["images/10.png", "images/9.png"])
    write(tmp_path / "annotations.xml", '<track label="cat"><box frame="1" xtl="1" ytl="1" xbr="9" ybr="8"/></track>')
    assert objects(tmp_path) == {"images/9.png": [], "images/10.png": [["cat", 1, 1, 9, 8]]}
    assert kinds(open_data(tmp_path))["frames-in-order"] == "note"


def test_a_video_without_its_frames(tmp_path: Path) -> None:
    write(tmp_path / "annotations.xml", '<track label="cat"><box frame="1" xtl="1" ytl="1" xbr="9" ybr="8"/></track>')
    with pytest.raises(DataError, match="there are no images of its frames"):
        open_data(tmp_path)


def test_frames_that_are_not_there_are_lost(tmp_path: Path) -> None:
    draw(tmp_path, ["frame_000000.png"])
    shapes = "".join(f'<box frame="{number}" xtl="1" ytl="1" xbr="9" ybr="8"/>' for number in range(3))
    write(tmp_path / "annotations.xml", f'<track label="cat">{shapes}</track>')
    assert kinds(open_data(tmp_path))["missing-image"] == "stop"


def test_tags_of_images_are_classes(tmp_path: Path) -> None:
    tags = ["day", "night", "day"]
    draw(tmp_path, [f"images/{number}.png" for number in range(3)])
    body = "".join(image(f"{number}.png", f'<tag label="{name}"/>') for number, name in enumerate(tags))
    write(tmp_path / "annotations.xml", body, label("night", "tag"), label("day", "tag"))
    dataset = open_data(tmp_path)
    assert dataset.classes == {"classification": ("night", "day")}
    assert [samples(dataset)[f"images/{k}.png"].target("classification").index for k in range(3)] == [1, 0, 1]


def test_subsets_are_splits(tmp_path: Path) -> None:
    draw(tmp_path, ["images/Train/0.png", "images/Validation/0.png"])
    body = image("0.png", box(), more='subset="Train"') + image("0.png", box(), more='subset="Validation"')
    write(tmp_path / "annotations.xml", body)
    dataset = open_data(tmp_path)
    found = {split: [sample.id for sample in part] for split, part in dataset.splits.items()}
    assert found == {"train": ["images/Train/0.png"], "val": ["images/Validation/0.png"]}


def test_shapes_that_cannot_be_understood_are_counted(tmp_path: Path) -> None:
    bad = ['<box label="cat" xtl="a" ytl="1" xbr="2" ybr="3"/>', '<polygon label="cat" points="1,2;3,4"/>',
           '<mask label="cat" rle="9" left="0" top="0" width="3" height="2"/>', '<blob label="cat"/>']  # fmt: skip
    write(draw(tmp_path, ["a.png"]) / "annotations.xml", image("a.png", box(), *bad))
    dataset = open_data(tmp_path)
    assert dataset.ledger.found["objects"] == 5
    assert dataset.ledger.left["objects"] == {"unreadable-object": 4}


@pytest.mark.parametrize("folder", ["", "annotations/", "task_1/"])
def test_it_is_not_taken_for_voc(tmp_path: Path, folder: str) -> None:
    draw(tmp_path, ["images/a.png", "images/b.png"])
    write(tmp_path / f"{folder}annotations.xml", image("a.png", box()) + image("b.png", box()))
    assert choose_format(tmp_path)[1].name == "cvat"
