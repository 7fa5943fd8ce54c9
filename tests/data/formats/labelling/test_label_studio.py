"""Label Studio: JSON and JSON-MIN that the converter of label-studio-sdk 2.1.2 wrote, brushed by its own encoder."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tool_exports import draw, kinds, lay_out, objects, samples
from visus.data.formats.objects.run_lengths import decode_brush
from visus.data.reading.opening import open_data
from visus.errors import DataError

NAMES = [f"images/{number:08x}-{number}.jpg" for number in range(1, 5)]
OBJECTS = {
    # 25 % of 64 and 12.5 % of 48 pixels; 16 x 24 pixels from (32, 12), turned about this corner to the lower left
    "1": [["cat", 16, 6, 48, 18], ["dog", 8, 12, 32, 28]],
    "2": [["cat", 8, 12, 32, 24], ["dog", 10, 20, 19, 26], ["cat", 16, 18, 48, 30]],
    "3": [["cat", 0, 0, 32, 24]],  # the first annotation was skipped, the third is another person's
    "4": [],
}


def stems(found: dict[str, Any]) -> dict[str, Any]:
    return {name.rpartition("/")[2].rpartition("-")[2].partition(".")[0]: value for name, value in found.items()}


@pytest.mark.parametrize("tool", ["label_studio", "label_studio_min"])
@pytest.mark.parametrize("names", [NAMES, [f"{number}.jpg" for number in range(1, 5)]], ids=["server", "own"])
def test_files_of_the_tool(tmp_path: Path, tool: str, names: list[str]) -> None:
    dataset = open_data(lay_out(tool, tmp_path, names))
    assert dataset.format == "label-studio"
    assert dataset.classes["detection"] == ("cat", "dog")
    assert stems(objects(tmp_path)) == OBJECTS
    found = stems(samples(dataset))
    triangle, brush, ellipse = found["2"].target("detection").masks
    assert brush.sum() == 43
    assert brush[20, 10]
    assert brush[20:26, 12:19].all()
    assert abs(int(triangle.sum()) - 144) < 5
    assert abs(int(ellipse.sum()) - np.pi * 16 * 6) < 5
    assert found["3"].target("landmarks").points.tolist() == [[16, 24], [32, 36]]
    assert found["4"].target("classification").index == 0
    assert kinds(dataset)["several-annotations"] == "note"
    assert kinds(dataset)["turned-box"] == "note"


def test_the_code_of_a_brush_by_hand() -> None:
    # 2 x 1 pixels of 4 channels = 8 values of 8 bits; counts of 1, 2, 3 or 4 bits. A run of 4, then 4 single values.
    bits = f"{8:032b}" + f"{7:05b}" + "".join(f"{size - 1:04b}" for size in (1, 2, 3, 4))
    bits += "1" + "01" + "11" + f"{0:08b}"
    bits += "0" + "10" + "011" + "".join(f"{value:08b}" for value in (0, 0, 0, 255))
    bits += "0" * (-len(bits) % 8)
    code = [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]
    assert decode_brush(code, (2, 1)).tolist() == [[False], [True]]
    for damaged in (code[:-2], [256], "abc", code[:3], [255] * 40):
        with pytest.raises(ValueError, match="run-length code"):
            decode_brush(damaged, (2, 1))


def task(number: int, *results: dict[str, Any], image: str = "", **more: Any) -> dict[str, Any]:
    annotation = {"id": number, "result": list(results), "was_cancelled": False}
    return {
        "id": number,
        "data": {"image": image or f"/data/upload/1/{number}.jpg"},
        "annotations": [annotation],
    } | more


def region(kind: str, identity: str = "a", name: str = "name", **value: Any) -> dict[str, Any]:
    return {"id": identity, "type": kind, "from_name": name, "to_name": "image", "value": value}


BOX = region("rectanglelabels", x=25, y=25, width=50, height=50, rectanglelabels=["cat"])


def write(root: Path, tasks: Any, count: int = 1) -> Path:
    draw(root, [f"images/{number}.jpg" for number in range(count)])
    (root / "export.json").write_text(json.dumps(tasks))
    return root


@pytest.mark.parametrize(
    "stated",
    ["/data/local-files/?d=photos/0.jpg", "s3://bucket/a/0.jpg", "https://x.org/0.jpg?token=1", "C:\\a\\0.jpg"],
)
def test_images_of_other_places_are_found(tmp_path: Path, stated: str) -> None:
    assert objects(write(tmp_path, [task(0, BOX, image=stated)])) == {"images/0.jpg": [["cat", 16, 12, 48, 36]]}


def test_a_region_and_its_label_may_be_two_results(tmp_path: Path) -> None:
    place = {"x": 25, "y": 25, "width": 50, "height": 50}
    results = [region("rectangle", **place), region("labels", **place, labels=["dog"])]
    assert objects(write(tmp_path, [task(0, *results)])) == {"images/0.jpg": [["dog", 16, 12, 48, 36]]}


def test_a_bitmask_is_a_picture_in_text(tmp_path: Path) -> None:
    pixels = np.zeros((48, 64, 4), np.uint8)
    pixels[10:14, 20:30, 3] = 255
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    text = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    mask = region("bitmasklabels", imageDataURL=text, bitmasklabels=["cat"])
    assert objects(write(tmp_path, [task(0, mask)])) == {"images/0.jpg": [["cat", 20, 10, 30, 14]]}


def test_choices_are_classes(tmp_path: Path) -> None:
    tasks = [task(k, region("choices", choices=["sun" if k < 2 else "rain"])) for k in range(4)]
    dataset = open_data(write(tmp_path, tasks, 4))
    assert dataset.classes == {"classification": ("rain", "sun")}
    found = samples(dataset)
    assert [found[f"images/{k}.jpg"].target("classification").index for k in range(4)] == [1, 1, 0, 0]


def test_several_choices_are_several_classes_and_other_questions_are_told(tmp_path: Path) -> None:
    tasks = [task(k, region("choices", choices=["a", "b"][: k + 1])) for k in range(3)]
    tasks[0]["annotations"][0]["result"].append(region("choices", "b", "quality", choices=["good"]))
    dataset = open_data(write(tmp_path, tasks, 3))
    found = samples(dataset)
    present = [found[f"images/{k}.jpg"].target("multilabel_classification").present.tolist() for k in range(3)]
    assert present == [[True, False], [True, True], [True, True]]
    assert kinds(dataset)["question-not-used"] == "note"


def test_the_ground_truth_is_taken(tmp_path: Path) -> None:
    other = {"id": 9, "result": [], "ground_truth": True}
    tasks = [task(0, BOX), task(1, BOX)]
    tasks[1]["annotations"].append(other)
    assert objects(write(tmp_path, tasks, 2)) == {"images/0.jpg": [["cat", 16, 12, 48, 36]], "images/1.jpg": []}


def test_what_is_not_labelled_or_not_understood_is_told(tmp_path: Path) -> None:
    no_number = region("rectanglelabels", "b", x="?", y=1, width=1, height=1, rectanglelabels=["cat"])
    no_label = region("rectangle", "c", x=1, y=1, width=1, height=1)
    bad = [no_number, no_label, region("videorectangle", "d", labels=["cat"])]
    skipped = {"id": 1, "data": {"image": "1.jpg"}, "annotations": []}
    dataset = open_data(write(tmp_path, [task(0, BOX, *bad), skipped], 2))
    assert dataset.ledger.left["objects"] == {"unreadable-object": 3}
    assert kinds(dataset)["unreadable-object"] == "stop"
    assert kinds(dataset)["task-not-done"] == "note"


def test_one_file_an_annotation(tmp_path: Path) -> None:
    """As the server writes it to a folder or bucket."""
    for number in range(2):
        content = {"id": number, "result": [BOX], "task": {"id": number, "data": {"image": f"{number}.jpg"}}}
        draw(tmp_path, [f"images/{number}.jpg"])
        (tmp_path / f"{number}.json").write_text(json.dumps(content))
    assert len(objects(tmp_path)) == 2


def test_the_json_alone_says_which_images_are_missing(tmp_path: Path) -> None:
    lay_out("label_studio", tmp_path, [])
    with pytest.raises(DataError, match="no image that the labels") as error:
        open_data(tmp_path / "result.json")
    assert "/data/upload/1/00000001-1.jpg" in error.value.got


def test_predictions_alone_are_no_annotations(tmp_path: Path) -> None:
    tasks = [
        {"id": i, "data": {"image": f"/data/upload/{i}.jpg"}, "annotations": [], "predictions": [{"result": []}]}
        for i in range(3)
    ]
    draw(tmp_path, ["0.jpg", "1.jpg", "2.jpg"])
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    with pytest.raises(DataError, match="has a finished annotation") as caught:
        open_data(tmp_path)
    assert caught.value.got == "3 tasks without"
