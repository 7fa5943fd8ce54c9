#!/usr/bin/env bash
# supervision's COCO files of masks have boxes that are a pixel short, and mark each mask with a hole as a crowd.
#
# Versions: supervision 0.31.2, numpy 2.4.6, pillow 12.3.0.
# Behaviour: mask_to_xyxy gives the first and the last row and column. DetectionDataset.as_coco takes their difference as
#   width and height: a mask of 4 x 4 pixels gets the box [6, 4, 3, 3], of IoU 9/16 with the box around its pixels, beside
#   the area 16 and a polygon of 3 x 3. A mask with a hole, or in two parts, becomes a run-length code with iscrowd 1,
#   which evaluations count neither as hit nor as miss.
# Consequence: take boxes from the run lengths, not from "bbox"; and where most objects of a class are crowds, they are
#   none.
# The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check supervision==0.31.2 numpy==2.4.6 pillow==12.3.0
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import supervision as sv
from PIL import Image

print("supervision", version("supervision"), "numpy", np.__version__)
Image.new("RGB", (30, 20)).save("a.png")


def written(mask):
    found = sv.Detections(xyxy=sv.mask_to_xyxy(mask[None]).astype(float), mask=mask[None], class_id=np.array([0]))
    data = sv.DetectionDataset(classes=["cell"], images=["a.png"], annotations={"a.png": found})
    data.as_coco(annotations_path="coco.json")
    return json.loads(Path("coco.json").read_text())["annotations"][0]


whole = np.zeros((20, 30), bool)
whole[4:8, 6:10] = True
holed = whole.copy()
holed[5, 7] = False
entries = {"whole": written(whole), "with a hole": written(holed)}
for name, entry in entries.items():
    print(name, {key: entry[key] for key in ("bbox", "area", "iscrowd", "segmentation")})
right = entries["whole"]["bbox"] == [6, 4, 3, 3] and entries["whole"]["iscrowd"] == 0
if not right or entries["with a hole"]["iscrowd"] != 1:
    raise SystemExit("changed: boxes are whole, or masks with holes are no crowds")
print("as stated: 4 x 4 pixels get a box of 3 x 3, and a hole makes a crowd")
PYTHON
