#!/usr/bin/env bash
# torchvision pastes the masks of Mask R-CNN about a pixel too wide and too high, whatever the object's size.
#
# Versions: torch 2.15.0, torchvision 0.29.2, numpy 2.4.6.
# Behaviour: torchvision.models.detection.roi_heads.paste_masks_in_image, through which every answer of its Mask R-CNN
#   goes, pads the 28 x 28 mask by one value and enlarges the box by 30 / 28 to match. Then it cuts the fractions off
#   both corners and takes x1 - x0 + 1 pixels, as if the second corner were a pixel that belongs to the box; but boxes
#   of torchvision end where x1 says. A mask that fills its box covers a pixel more than the box in both directions,
#   on average over places and sides of 8 to 71 pixels (0 to 1.9, by the side). A perfect mask of a square of 8 pixels
#   has an IoU of 0.70 with the square, one of 32 pixels 0.92, one of 64 pixels 0.95: small objects cannot reach mask
#   AP at high thresholds, and areas are too large.
# Consequence: paste by pixel centres (detectron2's aligned way: grid_sample at (pixel + 0.5 - x0) / (x1 - x0)), which
#   gives the squares themselves from the same masks and boxes, as also computed here.
# The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 torchvision==0.29.2 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torchvision.models.detection.roi_heads import paste_masks_in_image

print("torch", torch.__version__, "torchvision", torchvision.__version__)
size, count = 90, 200
random = np.random.default_rng(0)
centres = torch.arange(size) + 0.5


def by_centres(masks, boxes, _):
    x0, y0, x1, y1 = boxes.T[..., None]
    x, y = (centres - x0) / (x1 - x0) * 2 - 1, (centres - y0) / (y1 - y0) * 2 - 1
    grid = torch.stack([x[:, None].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)], dim=-1)
    return F.grid_sample(masks, grid, align_corners=False)


sides, grown, overlaps, aligned = range(8, 72), [], {}, []
for side in sides:
    corners = torch.from_numpy(random.uniform(5, size - side - 5, (count, 2))).float()
    boxes = torch.cat([corners, corners + side], dim=1)
    masks = torch.ones(count, 1, 28, 28)
    inside = [(centres >= boxes[:, i, None]) & (centres < boxes[:, i + 2, None]) for i in (0, 1)]
    truth = inside[1][:, :, None] & inside[0][:, None, :]
    told = []
    for paste in (paste_masks_in_image, by_centres):
        found = paste(masks, boxes, (size, size))[:, 0] >= 0.5
        iou = ((found & truth).sum((1, 2)) / (found | truth).sum((1, 2))).mean().item()
        told.append((found.any(dim=1).sum(dim=1).double().mean().item() - side, iou))
    grown.append(told[0][0])
    overlaps[side] = told[0][1]
    aligned.append(told[1][1])
    if side in (8, 16, 32, 64):
        (more, iou), (more_aligned, iou_aligned) = told
        print(f"side {side:2}: torchvision {more:+.2f} pixels, IoU {iou:.3f}; by centres {more_aligned:+.2f}, {iou_aligned:.3f}")
mean = float(np.mean(grown))
print(f"sides 8 to 71: torchvision {mean:+.2f} pixels on average, from {min(grown):+.2f} to {max(grown):+.2f}")
if not (0.8 < mean < 1.2 and min(grown) > -0.1 and overlaps[8] < 0.75 and overlaps[64] < 0.96 and min(aligned) > 0.99):
    raise SystemExit("changed: masks are no longer pasted a pixel too large")
print("as stated: a pixel more in both directions")
PYTHON
