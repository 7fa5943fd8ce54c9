#!/usr/bin/env bash
# Datumaro exports an ordinary mask to COCO as a crowd, which evaluators leave out: a perfect detector has no score.
#
# Versions: datumaro 1.13.12, pycocotools 2.0.11, numpy 2.4.6, pillow 12.3.0.
# Behaviour: a mask of one object, as CVAT's brush makes it, becomes an annotation with iscrowd 1 and a run-length code;
#   the same pixels as a polygon have iscrowd 0. In COCO a crowd is a region that counts neither as hit nor as miss, so with
#   masks alone the average precision of a detector that returns the truth itself is -1 ("there is nothing to find"), and 1
#   with polygons. Trainings that leave crowds out learn from empty images.
# Consequence: count the crowds of each class before a training; where most are crowds, set iscrowd to 0.
# The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datumaro==1.13.12 pycocotools==2.0.11 numpy==2.4.6 \
  pillow==12.3.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import contextlib
import io
import json
import logging
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

logging.disable(logging.CRITICAL)
import datumaro as dm
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

print("datumaro", version("datumaro"), "pycocotools", version("pycocotools"))
mask = np.zeros((60, 80), bool)
mask[10:30, 20:50] = True
drawn = {"mask": dm.Mask(mask, label=0), "polygon": dm.Polygon([20, 10, 50, 10, 50, 30, 20, 30], label=0)}
found = {}
for kind, annotation in drawn.items():
    out = Path(sys.argv[1]) / kind
    media = dm.Image.from_numpy(data=np.zeros((60, 80, 3), np.uint8), ext=".png")
    item = dm.DatasetItem("0", subset="train", media=media, annotations=[annotation])
    dataset = dm.Dataset.from_iterable([item], categories=["cat"], media_type=dm.Image)
    dataset.export(str(out), "coco_instances", save_media=True)
    file = out / "annotations" / "instances_train.json"
    truth = json.loads(file.read_text())["annotations"]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(file))
        answers = coco.loadRes([{key: item[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.9}
                                for item in truth])  # the truth itself
        evaluation = COCOeval(coco, answers, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    found[kind] = (truth[0]["iscrowd"], round(float(evaluation.stats[0]), 2))
    print(f"{kind:8} iscrowd {found[kind][0]}, average precision of the truth itself {found[kind][1]}")
if found != {"mask": (1, -1.0), "polygon": (0, 1.0)}:
    raise SystemExit("changed: masks are no crowds any more, or crowds are scored")
print("as stated: the mask is a crowd, and nobody scores it")
PYTHON
