#!/usr/bin/env bash
# Datumaro reads CVAT's turned boxes and leaves them out of COCO, VOC and YOLO without a word, and upright ones out of DOTA.
#
# Versions: datumaro 1.13.12, numpy 2.4.6, pillow 12.3.0.
# Behaviour: a box with rotation="90" in CVAT's XML becomes a turned box. The exports coco_instances, voc_detection and
#   yolo write the image and no object: neither the upright box around it nor its outline, no warning, no error. The
#   export dota writes turned boxes only, so that an upright box of the same set vanishes there.
# Consequence: a class whose objects were all turned disappears. Compare the number of objects before and after.
# The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datumaro==1.13.12 numpy==2.4.6 pillow==12.3.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import logging
import re
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

logging.disable(logging.INFO)
import datumaro as dm
from PIL import Image

print("datumaro", version("datumaro"))
folder = Path(sys.argv[1])
source = folder / "cvat"
(source / "images").mkdir(parents=True)
Image.new("RGB", (64, 48)).save(source / "images" / "0.png")
box = '<box label="{}" source="manual" occluded="0" xtl="20" ytl="10" xbr="40" ybr="18" z_order="0" {}></box>'
labels = "".join(f"<label><name>{name}</name><attributes></attributes></label>" for name in ("turned", "upright"))
turned, upright = box.format("turned", 'rotation="90"'), box.format("upright", "")
(source / "annotations.xml").write_text(
    f'<?xml version="1.0"?><annotations><version>1.1</version><meta><task><labels>{labels}</labels></task></meta>'
    f'<image id="0" name="0.png" width="64" height="48">{turned}{upright}</image></annotations>'
)
dataset = dm.Dataset.import_from(str(source), "cvat")
for item in dataset:
    print("read:", [type(annotation).__name__ for annotation in item.annotations])


def objects(form, out):
    if form == "coco_instances":
        content = json.loads(next(out.glob("annotations/*.json")).read_text())
        names = {category["id"]: category["name"] for category in content["categories"]}
        return [names[annotation["category_id"]] for annotation in content["annotations"]]
    if form == "voc_detection":
        return re.findall(r"<name>(\w+)</name>", "".join(path.read_text() for path in out.rglob("*.xml")))
    text = next(path for path in out.rglob("0.txt")).read_text()
    if form == "dota":
        return [line.split()[8] for line in text.splitlines() if line.strip()]
    return [("turned", "upright")[int(line.split()[0])] for line in text.splitlines() if line.strip()]


found = {}
for form in ("coco_instances", "voc_detection", "yolo", "dota"):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        dataset.export(str(folder / form), form, save_media=True)
    found[form] = objects(form, folder / form)
    about_boxes = sum("box" in str(item.message).lower() for item in told)
    print(f"{form:15} objects {found[form]}, warnings about boxes {about_boxes}")
if found != {"coco_instances": ["upright"], "voc_detection": ["upright"], "yolo": ["upright"], "dota": ["turned"]}:
    raise SystemExit("changed: other objects are written")
print("as stated: the turned box is in DOTA only, the upright one everywhere else only")
PYTHON
