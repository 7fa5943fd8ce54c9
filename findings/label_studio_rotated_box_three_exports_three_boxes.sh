#!/usr/bin/env bash
# Label Studio's converter gives a turned rectangle three different boxes, none of which holds the object.
#
# Versions: label-studio-sdk 2.1.2.
# Behaviour: a rectangle has x, y, width and height in per cent of the image, and a rotation about its upper left corner.
#   On an image of 200 x 100 pixels, 40 x 20 pixels at (100, 20), turned by 90 degrees, lie at x 80..100, y 20..60.
#   The COCO export turns the per cents as if they were pixels: x 60..100, y 20..40 (the hull is stretched by the shape of
#   the image). The VOC and the YOLO export leave the rotation out: x 100..140, y 20..40. The overlaps (IoU) with the
#   object are 0.33, 0 and 0.
# Consequence: read the JSON, and turn the corners in pixels.
# The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check label-studio-sdk==2.1.2
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import sys
import xml.etree.ElementTree as ElementTree
from importlib.metadata import version
from pathlib import Path

from label_studio_sdk.converter.converter import Converter, Format
from PIL import Image

print("label-studio-sdk", version("label-studio-sdk"))
folder = Path(sys.argv[1])
Image.new("RGB", (200, 100)).save(folder / "0.jpg")
value = {"x": 50, "y": 20, "width": 20, "height": 20, "rotation": 90, "rectanglelabels": ["cat"]}
result = {"id": "a", "type": "rectanglelabels", "from_name": "box", "to_name": "image", "value": value,
          "original_width": 200, "original_height": 100, "image_rotation": 0}
annotation = {"id": 1, "completed_by": 1, "result": [result]}
(folder / "tasks.json").write_text(json.dumps([{"id": 1, "data": {"image": "0.jpg"}, "annotations": [annotation]}]))
config = """<View><Image name="image" value="$image"/>
<RectangleLabels name="box" toName="image"><Label value="cat"/></RectangleLabels></View>"""
for form in ("COCO", "VOC", "YOLO"):
    converter = Converter(config, str(folder), download_resources=False)
    converter.convert(str(folder / "tasks.json"), str(folder / form), Format[form], is_dir=False)

x, y, w, h = json.loads((folder / "COCO/result.json").read_text())["annotations"][0]["bbox"]
tree = ElementTree.parse(next((folder / "VOC/Annotations").glob("*.xml")))
_, cx, cy, across, down = map(float, next((folder / "YOLO/labels").glob("*.txt")).read_text().split())
boxes = {
    "COCO": [x, y, x + w, y + h],
    "VOC": [float(tree.findtext(f"object/bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax")],
    "YOLO": [(cx - across / 2) * 200, (cy - down / 2) * 100, (cx + across / 2) * 200, (cy + down / 2) * 100],
}
truth = [80, 20, 100, 60]
print("the object", truth)


def overlap(first, second):
    sides = [max(0, min(first[k + 2], second[k + 2]) - max(first[k], second[k])) for k in (0, 1)]
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return sides[0] * sides[1] / (sum(areas) - sides[0] * sides[1])


for form, box in boxes.items():
    print(f"{form:5}", [round(number, 2) for number in box], f"IoU {overlap(box, truth):.2f}")
expected = {"COCO": [60, 20, 100, 40], "VOC": [100, 20, 140, 40], "YOLO": [100, 20, 140, 40]}
for form, box in boxes.items():
    if max(abs(a - b) for a, b in zip(box, expected[form])) > 1.01:
        raise SystemExit(f"changed: {form} gives another box")
print("as stated: three exports, and none gives the box of the turned rectangle")
PYTHON
