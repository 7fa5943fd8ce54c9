#!/usr/bin/env bash
# OpenCV 5 reads images of two channels at rounded places, and those of one, three or four channels at exact ones.
#
# Versions: opencv-python-headless 5.0.0.93, numpy 2.4.6.
# Behaviour: cv2.remap and cv2.warpAffine with INTER_LINEAR compute images of 1, 3 and 4 channels from the exact place
#   (within rounding of the result, 0.5 of 255), but images of 2 channels from the place rounded to 1/32 pixel: a shift
#   of 0.01 pixel does nothing, and values are off by up to several grey levels. The same plane, once alone and once as
#   the first of two (optical flow, two stains, image and mask), moves differently.
# Consequence: move two channels as 1 + 1, or pad them to 3, wherever planes must stay aligned with others.
# The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import cv2
import numpy as np

print("opencv", cv2.__version__, "numpy", np.__version__)
plane = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
rows, columns = np.mgrid[:64, :64].astype(np.float32)
exact_ones, rounded_ones = [], []
for shift in (0.01, 1 / 64, 0.3):
    expected = plane * (1 - shift) + np.roll(plane, -1, axis=1) * shift
    moves = {
        "remap": lambda image: cv2.remap(image, columns + np.float32(shift), rows, cv2.INTER_LINEAR),
        "warpAffine": lambda image: cv2.warpAffine(
            image, np.array([[1, 0, shift], [0, 1, 0]]), (64, 64), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        ),
    }
    for name, move in moves.items():
        for channels in (1, 2, 3, 4):
            image = plane if channels == 1 else np.dstack([plane] * channels)
            moved = move(np.ascontiguousarray(image)).reshape(64, 64, -1)[..., 0]
            error = float(np.abs(moved - expected)[1:-1, 1:-2].max())
            print(f"{name:10} shift {shift:.4f}  {channels} channels  largest error {error:5.2f} of 255")
            (rounded_ones if channels == 2 else exact_ones).append(error)
if max(exact_ones) > 0.51 or min(rounded_ones) < 1:
    raise SystemExit("changed: two channels are no longer read otherwise than one, three and four")
print("as stated: two channels are off by", f"{max(rounded_ones):.1f},", "others by", f"{max(exact_ones):.1f}")
PYTHON
