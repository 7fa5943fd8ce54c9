#!/usr/bin/env bash
# Hugging Face's ImageFolder drops every image whose name has no split word, once one file's name has one.
#
# Versions: datasets 5.2.0, pillow 12.3.0.
# Behaviour: a folder of seven photos loads as seven rows of the split "train". Where one of them is called train_1.jpg,
#   its name counts as the name of a split, and load_dataset gives that one image alone; no error, no warning.
# Consequence: compare the number of rows with the number of image files, or name the files in data_files.
# The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pillow==12.3.0
cd "$folder"
export HF_HOME="$folder/cache" HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version
from pathlib import Path

from datasets import load_dataset
from PIL import Image

print("datasets", version("datasets"), "pillow", version("pillow"))
rows = {}
for case, odd in (("no split word", "photo_0.jpg"), ("one split word", "train_1.jpg")):
    folder = Path(case.replace(" ", "_"))
    folder.mkdir()
    for number, name in enumerate([odd, *(f"photo_{k}.jpg" for k in range(1, 7))]):
        Image.new("RGB", (16, 16), (30 * number, 0, 0)).save(folder / name)
    loaded = load_dataset("imagefolder", data_dir=str(folder))
    rows[case] = {split: part.num_rows for split, part in loaded.items()}
    print(case, rows[case])
if rows != {"no split word": {"train": 7}, "one split word": {"train": 1}}:
    raise SystemExit("changed: other numbers of rows")
print("as stated: one file called train_1.jpg, and six of seven images are gone")
PYTHON
