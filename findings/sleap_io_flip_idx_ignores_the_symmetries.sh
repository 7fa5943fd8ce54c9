#!/usr/bin/env bash
# sleap-io writes an identity flip_idx for Ultralytics, though its skeleton knows which points mirror one another.
#
# Versions: sleap-io 0.9.5, numpy 2.4.6, pillow 12.3.0, pyyaml 6.0.4.
# Behaviour: flip_idx says which point each one becomes in a mirrored image. For a skeleton with the symmetry of left_ear
#   and right_ear, save_file(..., format="ultralytics") writes [0, 1, 2, 3] and not [0, 2, 1, 3].
# Consequence: Ultralytics mirrors half of the images (fliplr 0.5), and every mirrored one teaches that the left ear is
#   the right one. Correct flip_idx in data.yaml before the training.
# The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check sleap-io==0.9.5 numpy==2.4.6 pillow==12.3.0 pyyaml==6.0.4
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import contextlib
import io
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import sleap_io
import yaml
from PIL import Image

print("sleap-io", version("sleap-io"))
folder = Path(sys.argv[1])
names = ["nose", "left_ear", "right_ear", "tail"]
skeleton = sleap_io.Skeleton(nodes=names, edges=[("nose", "tail")], symmetries=[("left_ear", "right_ear")])
files = []
for number in range(4):
    Image.new("RGB", (80, 60), (60 * number, 0, 0)).save(folder / f"{number}.png")
    files.append(str(folder / f"{number}.png"))
video = sleap_io.Video.from_filename(files)
points = np.asarray([[40, 20], [30, 10], [50, 10], [40, 50]], float)
frames = [
    sleap_io.LabeledFrame(video=video, frame_idx=k, instances=[sleap_io.Instance.from_numpy(points, skeleton=skeleton)])
    for k in range(4)
]
with contextlib.redirect_stderr(io.StringIO()):
    sleap_io.save_file(sleap_io.Labels(frames), str(folder / "yolo"), format="ultralytics")
content = yaml.safe_load((folder / "yolo" / "data.yaml").read_text())
mirrored = [sorted(node.name for node in symmetry.nodes) for symmetry in skeleton.symmetries]
print("points", ["nose", "left_ear", "right_ear", "tail"], "flip_idx", content["flip_idx"], "symmetries", mirrored)
if content["flip_idx"] != [0, 1, 2, 3]:
    raise SystemExit("changed: flip_idx follows the symmetries")
print("as stated: flip_idx is the identity, where [0, 2, 1, 3] would mirror the ears")
PYTHON
