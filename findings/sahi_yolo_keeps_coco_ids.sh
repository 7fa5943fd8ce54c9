#!/usr/bin/env bash
# sahi writes COCO's category ids into YOLO files as they are, beside a YAML file that numbers the classes from 0.
#
# Versions: sahi 0.12.8, pillow 12.3.0.
# Behaviour: Coco.export_as_yolo of categories 1 (cat), 3 (dog), 7 (cow) writes lines of the classes 1, 3 and 7, and
#   "nc: 3", "names: [cat, dog, cow]". So every cat is read as a dog, and two of three classes do not exist. A crowd
#   (iscrowd 1) becomes a line like all others.
# Consequence: class ids are the places of the categories in the order of their ids. Look at the highest class number
#   of YOLO files that were made from COCO: it must be below the number of names.
# The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check sahi==0.12.8 pillow==12.3.0
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import json
from importlib.metadata import version
from pathlib import Path

from PIL import Image
from sahi.utils.coco import Coco

print("sahi", version("sahi"), "pillow", version("pillow"))
Image.new("RGB", (40, 20)).save("a.png")
categories = {1: "cat", 3: "dog", 7: "cow"}
document = {
    "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 20}],
    "categories": [{"id": number, "name": name} for number, name in categories.items()],
    "annotations": [
        {
            "id": position,
            "image_id": 1,
            "category_id": number,
            "bbox": [2, 2, 8, 4],
            "area": 32,
            "iscrowd": int(number == 7),
            "segmentation": [],
        }
        for position, number in enumerate(categories, 1)
    ],
}
Path("coco.json").write_text(json.dumps(document))
data = Coco.from_coco_dict_or_path("coco.json", image_dir=".")
data.export_as_yolo(output_dir="yolo", train_split_rate=1.0)
text = next(Path("yolo").rglob("a.txt")).read_text()
yaml = Path("yolo/data.yml").read_text()
names = next(line for line in yaml.splitlines() if line.startswith("names"))
print(text + names)
classes = [int(line.split()[0]) for line in text.splitlines()]
if classes != [1, 3, 7] or "nc: 3" not in yaml:
    raise SystemExit(f"changed: the lines are of the classes {classes}")
print("as stated: classes 1, 3 and 7 of 3 names, the crowd among them")
PYTHON
