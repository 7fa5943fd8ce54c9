"""Anchors of a data set, by Python and by the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

import visus
from visus.errors import DataError, RecipeError, TaskMismatchError, UsageError
from visus.models.catalog import find
from visus.recipes.choice import own_anchors
from visus.workflow.plan import prepare
from visus.workflow.request import Request


def test_boxes_are_measured_at_the_networks_size(make_boxes: Callable[..., Path], tmp_path: Path) -> None:
    """Squares of 18 to 23 pixels in images of 64: at 416 they are 6.5 times as large."""
    data = make_boxes(tmp_path / "boxes", {"train": (1, 2, 2), "val": (1,)})
    found = visus.find_anchors(data, count=1)
    small = visus.find_anchors(data, count=1, size=64)
    assert found.boxes == 5
    assert 18 * 6.5 <= found.anchors[0][0] <= 23 * 6.5 + 0.1
    assert found.anchors[0] == pytest.approx([6.5 * side for side in small.anchors[0]], rel=1e-3)
    assert found.mean_iou == found.curve[0] <= found.curve[-1]


def test_letterboxing_keeps_shapes_and_stretching_does_not(tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        (tmp_path / "wide" / folder / "train").mkdir(parents=True)
    Image.new("RGB", (200, 100)).save(tmp_path / "wide" / "images" / "train" / "a.png")
    (tmp_path / "wide" / "labels" / "train" / "a.txt").write_text("0 0.5 0.5 0.2 0.4")  # 40 x 40 pixels
    (tmp_path / "wide" / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/train\nnames: [thing]\n")
    assert visus.find_anchors(tmp_path / "wide", count=1, size=400).anchors[0] == pytest.approx((80, 80), abs=0.1)
    stretched = visus.find_anchors(tmp_path / "wide", count=1, size=400, fit="stretch")
    assert stretched.anchors[0] == pytest.approx((80, 160), abs=0.1)
    shorter = visus.find_anchors(tmp_path / "wide", count=1, size=(300, 500), fit="shorter_side")  # the longer is 500
    assert shorter.anchors[0] == pytest.approx((100, 100), abs=0.1)


def test_the_setting_is_what_a_training_takes(boxes: Path) -> None:
    found = visus.find_anchors(boxes, count=3, size=64)
    recipe = visus.Recipe().with_changes([found.setting])
    network = visus.create("yolov2+resnet18", classes=2, **recipe.model_options)
    assert [list(shape) for shape in network.codec.anchors] == [list(shape) for shape in found.anchors]


def test_by_the_command_line(boxes: Path, cli: Callable[..., Any], tmp_path: Path) -> None:
    told = cli("data", "anchors", boxes, "--count", 2, "--size", 64, "--save", tmp_path / "new" / "a.svg", "--json")
    assert told.code == 0, told.err
    document = json.loads(told.out)
    assert document == visus.find_anchors(boxes, count=2, size=64).to_dict()
    assert ElementTree.parse(tmp_path / "new" / "a.svg").getroot().tag.endswith("svg")
    shown = cli("data", "anchors", boxes, "--count", 2, "--size", 64)
    assert document["setting"] in shown.out


def shapes_of_boxes(folder: Path) -> Path:
    """One image of 200 x 100 pixels with six different boxes."""
    for part in ("images", "labels"):
        (folder / part / "train").mkdir(parents=True)
    Image.new("RGB", (200, 100)).save(folder / "images" / "train" / "a.png")
    lines = [f"0 0.5 0.5 {0.1 * k:.1f} {0.05 * k + 0.2:.2f}" for k in range(1, 7)]
    (folder / "labels" / "train" / "a.txt").write_text("\n".join(lines))
    (folder / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/train\nnames: [thing]\n")
    return folder


def test_a_training_finds_anchors_of_its_own(tmp_path: Path) -> None:
    data = shapes_of_boxes(tmp_path / "wide")
    prepared = prepare(
        Request(data=data, model="yolov3_tiny", backbone="resnet18", weights="none", changes={"size": [64, 128]})
    )
    found = visus.find_anchors(data, count=6, size=(64, 128))
    assert prepared.plan.recipe.model_options["anchors"] == [list(shape) for shape in found.anchors]
    assert any("6 found among 6 boxes" in line for line in prepared.messages)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("yolov2", {"changes": ["model_options.anchors=voc"]}),  # given
        ("yolov2", {"recipe": "yolov2-voc"}),  # a recipe is taken as it is
        ("ssd+resnet18", {}),
    ],
)
def test_a_training_without_anchors_of_its_own(model: str, options: dict[str, Any], tmp_path: Path) -> None:
    prepared = prepare(Request(data=shapes_of_boxes(tmp_path / "wide"), model=model, weights="none", **options))
    assert prepared.plan.recipe.model_options.get("anchors") == ("voc" if "changes" in options else None)
    assert not any("anchors:" in line for line in prepared.messages)


def test_too_few_boxes_keep_published_anchors(tmp_path: Path) -> None:
    prepared = prepare(Request(data=shapes_of_boxes(tmp_path / "wide"), model="yolov3+resnet18", weights="none"))
    assert "anchors" not in prepared.plan.recipe.model_options
    assert "anchors: the published ones, for 6 different boxes are too few for 9 anchors" in prepared.messages


def test_published_weights_keep_published_anchors() -> None:
    assert own_anchors(find("yolov3"), 80, pretrained=False) == 9
    assert own_anchors(find("yolov3"), 80, pretrained=True) == 0
    assert own_anchors(find("yolov3"), 3, pretrained=True) == 9  # the head of other classes knows no anchors
    assert own_anchors(find("yolov3+resnet18"), 80, pretrained=True) == 9  # those of the backbone know no anchors
    assert own_anchors(find("ssd"), 3, pretrained=False) == 0


def test_what_cannot_be(boxes: Path, photos: Path, cli: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(TaskMismatchError):
        visus.find_anchors(photos)
    with pytest.raises(RecipeError, match="number of anchors is out of range"):
        visus.find_anchors(boxes, count=0)
    with pytest.raises(RecipeError, match="unknown way to fit"):
        visus.find_anchors(boxes, fit="crop")
    with pytest.raises(UsageError):
        visus.find_anchors(boxes, count=1).save(tmp_path / "a.gif")
    told = cli("data", "anchors", boxes, "--split", "none")
    assert told.code in (2, 4)
    assert "Traceback" not in told.err


def test_no_boxes(make_boxes: Callable[..., Path], tmp_path: Path) -> None:
    data = make_boxes(tmp_path / "empty", {"train": (0, 0), "val": (1,)})
    with pytest.raises(DataError, match="no boxes in train"):
        visus.find_anchors(data)


def test_real_boxes(unpacked: Callable[[str], Path]) -> None:
    """Kangaroos: as the paper says of COCO and VOC, more anchors fit better, and less and less so."""
    found = visus.find_anchors(unpacked("kangaroo/kangaroo_voc.tar"), count=5)
    gains = [after - before for before, after in zip(found.curve, found.curve[1:], strict=False)]
    assert min(gains) > -0.005
    assert gains[0] > 5 * gains[-1]
    assert 0.6 < found.mean_iou < 0.8
