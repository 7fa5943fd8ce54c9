#!/usr/bin/env bash
# pycocotools and faster-coco-eval count a found object as missed if the id of its annotation is 0.
#
# Versions: pycocotools 2.0.11, faster-coco-eval 1.8.0, numpy 2.4.6.
# Behaviour: four objects, each found exactly. With annotation ids 1 .. 4 the AP is 1; with ids 0 .. 3 it is 0.56, and the
#   recall 0.75: the evaluators write the id of the matched annotation into an array in which 0 means "not matched".
#   faster-coco-eval 1.8.0 warns of it, and computes the same; pycocotools says nothing.
# Consequence: whoever writes COCO files begins at 1; of ids that begin at 0 one object is always lost.
# The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    pycocotools==2.0.11 faster-coco-eval==1.8.0 numpy==2.4.6
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import contextlib
import io
from importlib.metadata import version

import faster_coco_eval
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

print({name: version(name) for name in ("pycocotools", "faster-coco-eval", "numpy")})
BOX = [10, 10, 40, 40]
FOUND = [{"image_id": number, "category_id": 1, "bbox": BOX, "score": 0.9} for number in (1, 2, 3, 4)]


def scores(data, evaluation, first):
    truth = data()
    truth.dataset = {
        "images": [{"id": k, "width": 100, "height": 100, "file_name": f"{k}.png"} for k in (1, 2, 3, 4)],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": first + k, "image_id": k + 1, "category_id": 1, "bbox": BOX, "area": 1600, "iscrowd": 0}
            for k in range(4)
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        judged = evaluation(truth, truth.loadRes([dict(entry) for entry in FOUND]), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return round(float(judged.stats[0]), 2), round(float(judged.stats[8]), 2)


seen = {}
for name, data, evaluation in (
    ("pycocotools", COCO, COCOeval),
    ("faster-coco-eval", faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster),
):
    for first in (1, 0):
        seen[name, first] = scores(data, evaluation, first)
        print(f"{name:17} ids from {first}: AP {seen[name, first][0]}, recall {seen[name, first][1]}")
if any(seen[name, first] != ((1.0, 1.0) if first else (0.56, 0.75)) for name, first in seen):
    raise SystemExit("changed: an annotation with id 0 is judged otherwise")
print("as stated: of ids from 0 on, the first object counts as missed")
PYTHON
