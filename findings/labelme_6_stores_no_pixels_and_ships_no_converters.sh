#!/usr/bin/env bash
# LabelMe 6 stores no copy of the image in its JSON by default, and installs no command but itself.
#
# Versions: labelme 6.3.1 (with the parts that pip chooses for it).
# Behaviour: with_image_data is false in the default settings, and a file that is written without image_data has
#   "imageData": null. Scripts of earlier versions' time that decode imageData (the usual way to make masks of the files)
#   find None. The package installs the command labelme and no converter.
# Consequence: read the pixels from imagePath.
# The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check labelme==6.3.1
QT_QPA_PLATFORM=offscreen "$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import sys
from importlib.metadata import distribution, version
from pathlib import Path

import labelme
import yaml
from labelme._label_file import read_label_file, write_label_file
from PIL import Image

print("labelme", version("labelme"))
folder = Path(sys.argv[1])
settings = yaml.safe_load((Path(labelme.__file__).parent / "config" / "default_config.yaml").read_text())
Image.new("RGB", (64, 48)).save(folder / "0.png")
shape = {"label": "cat", "points": [[1, 2], [3, 4]], "group_id": None, "description": "", "shape_type": "rectangle",
         "flags": {}, "mask": None}
file = folder / "0.json"
write_label_file(str(file), shapes=[shape], image_path="0.png", image_height=48, image_width=64)
stored = json.loads(file.read_text())["imageData"]
read = len(read_label_file(str(file)).image_data)
commands = sorted(point.name for point in distribution("labelme").entry_points if point.group == "console_scripts")
print("with_image_data", settings["with_image_data"], "imageData", stored, f"({read} bytes read from 0.png)")
print("commands", commands)
if settings["with_image_data"] is not False or stored is not None or commands != ["labelme"]:
    raise SystemExit("changed: pixels are stored again, or there are more commands")
print("as stated: no pixels, one command")
PYTHON
