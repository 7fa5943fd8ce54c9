#!/usr/bin/env bash
# scikit-image's felzenszwalb takes floats as 0 to 1: its own rgb2lab is segmented with a scale 255 times too small.
#
# Versions: scikit-image 0.26.0, numpy 2.4.6, scikit-learn 1.9.1 (for a photograph).
# Behaviour: skimage.segmentation.felzenszwalb divides ``scale`` by 255, so that the k of the paper serves images of 0 to
#   255; integers are divided by 255, too, but floats are taken as they are, whatever their range, without a warning.
#   uint8 0..255 and the same numbers as floats 0..255 give different segmentations, and rgb2lab (0..100, -128..127)
#   is segmented with k / 255 in effect. A photograph with scale 200: 331 regions instead of 40 where min_size (200) joins
#   what did not merge, 140,403 instead of 1,023 without it.
# Consequence: scale every colour space to [0, 1] first, or multiply the scale by the range.
# The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  scikit-image==0.26.0 numpy==2.4.6 scikit-learn==1.9.1 pillow==13.0.0
"$folder/venv/bin/python" -W error - <<'PYTHON'
import numpy as np
import skimage
from skimage.color import rgb2lab
from skimage.segmentation import felzenszwalb
from sklearn.datasets import load_sample_image

print("scikit-image", skimage.__version__, "numpy", np.__version__)
photo = load_sample_image("china.jpg")
lab = rgb2lab(photo)
images = {
    "uint8, 0 to 255": photo,
    "the same / 255": photo / 255,
    "the same, float": photo.astype(float),
    "rgb2lab": lab,
    "rgb2lab / 255": lab / 255,
}
counts = {}
for name, image in images.items():
    counts[name] = [int(felzenszwalb(image, scale=200, sigma=0.8, min_size=size).max()) + 1 for size in (200, 1)]
    print(f"{name:18} scale 200: {counts[name][0]:6} regions with min_size 200, {counts[name][1]:6} with min_size 1")
as_it_should = counts["uint8, 0 to 255"]
if counts["the same / 255"] != as_it_should:
    raise SystemExit("changed: uint8 and the same in [0, 1] differ")
if counts["the same, float"][1] < 10 * as_it_should[1] or counts["rgb2lab"][1] < 10 * counts["rgb2lab / 255"][1]:
    raise SystemExit("changed: floats of 0 to 255 are no longer cut so fine")
print("as stated: floats outside [0, 1] are segmented with a scale 255 times too small, without a word")
PYTHON
