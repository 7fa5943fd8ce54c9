#!/usr/bin/env bash
# COCO's mask AP of small, medium and large objects changes when the results file also names boxes.
#
# Versions: pycocotools 2.0.11, faster-coco-eval 1.8.0, hotcoco 1.3.0, numpy 2.4.6.
# Behaviour: loadRes gives a result with a "bbox" the area of the box, and one with a "segmentation" alone the area of
#   the mask. The evaluation of masks ("segm") then decides by that area which unmatched answers are small, medium or
#   large. So the same masks score otherwise when a box, which the evaluation of masks never looks at, stands beside
#   them: here AP of small objects is 22.5 % instead of 18.4 %; AP over all sizes stays. All three programs do so. Programs that write results differ
#   in whether they write both (Mask R-CNN's usual results have both), so figures by size of two of them cannot be
#   compared.
# Consequence: leave "bbox" out of results that are to be evaluated with "segm", as detectron2 does.
# The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pycocotools==2.0.11 faster-coco-eval==1.8.0 \
  hotcoco==1.3.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import contextlib
import importlib.metadata
import io
import json
import sys
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_masks

folder = Path(sys.argv[1])
names = ("pycocotools", "faster-coco-eval", "hotcoco", "numpy")
print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in names))
height, width = 160, 200
rows, columns = np.mgrid[:height, :width] + 0.5
random = np.random.default_rng(1)


def sticks(x, y, length):
    """A thin diagonal object: few pixels in a large box."""
    return (np.abs(columns - x - rows + y) < 3) & (np.hypot(columns - x, rows - y) < length)


def code(mask):
    packed = coco_masks.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": packed["size"], "counts": packed["counts"].decode()}


truth = {"images": [], "categories": [{"id": 1, "name": "stick"}], "annotations": []}
results = []
for image in range(1, 13):
    truth["images"].append({"id": image, "height": height, "width": width, "file_name": f"{image}.png"})
    for _ in range(6):
        x, y, length = random.uniform(30, 170), random.uniform(30, 130), random.uniform(10, 40)
        mask = sticks(x, y, length)
        box = [float(value) for value in coco_masks.toBbox(code(mask))]
        truth["annotations"].append({
            "id": len(truth["annotations"]) + 1, "image_id": image, "category_id": 1, "segmentation": code(mask),
            "area": int(mask.sum()), "bbox": box, "iscrowd": 0,
        })
        found = sticks(x + random.normal(0, 1), y + random.normal(0, 1), length * random.uniform(0.6, 1.3))
        results.append({
            "image_id": image, "category_id": 1, "segmentation": code(found), "score": float(random.random()),
            "bbox": [float(value) for value in coco_masks.toBbox(code(found))],
        })
(folder / "truth.json").write_text(json.dumps(truth))


def with_pycocotools(file):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    index = COCO(str(folder / "truth.json"))
    return COCOeval(index, index.loadRes(str(file)), "segm")


def with_faster_coco_eval(file):
    from faster_coco_eval import COCO, COCOeval_faster

    index = COCO(str(folder / "truth.json"))
    return COCOeval_faster(index, index.loadRes(str(file)), "segm")


def with_hotcoco(file):
    import hotcoco

    index = hotcoco.COCO(str(folder / "truth.json"))
    return hotcoco.COCOeval(index, index.load_res(str(file)), "segm")


changed = False
for evaluate in (with_pycocotools, with_faster_coco_eval, with_hotcoco):
    stats = []
    for kept in ((), ("bbox",)):
        file = folder / "results.json"
        left = [{key: value for key, value in item.items() if key != "bbox" or kept} for item in results]
        file.write_text(json.dumps(left))
        with contextlib.redirect_stdout(io.StringIO()):
            run = evaluate(file)
            run.evaluate()
            run.accumulate()
            run.summarize()
        stats.append([float(run.stats[i]) for i in (0, 3)])
    (alone, small), (with_box, small_with) = stats
    print(f"{evaluate.__name__[5:]:16} AP {alone:.3f} and {with_box:.3f} with boxes, "
          f"small {small:.3f} and {small_with:.3f}")
    changed |= abs(alone - with_box) > 1e-9 or abs(small - small_with) < 0.01
if changed:
    raise SystemExit("changed: a box beside a mask no longer changes AP by size, or changes more than that")
print("as stated: the same masks, another score of small objects")
PYTHON
