#!/usr/bin/env bash
# torchvision's detectors guess the stride of each map from the first image that they see, and keep the guess.
#
# Versions: torchvision 0.29.2, torch 2.15.0, on the CPU.
# Behaviour: MultiScaleRoIAlign has no strides. At its first call it divides the height of each map by the largest
#   height among the images before they were padded to multiples of 32, rounds to a power of 2, and keeps that in
#   .scales (torchvision/ops/poolers.py). An image of 40 x 40 pixels is padded to 64 x 64, whose finest map has 16 rows:
#   16 / 40 becomes 1/2, where the map's stride is 4. From then on every region of every image is pooled from twice its
#   coordinates. A network of the same weights that first saw an image of 128 x 40 pixels pools rightly. The scales are
#   no buffers: a saved state has none, so that the same file answers differently by which image comes first.
# Consequence: concerns networks whose images have 33 to 45 or 65 to 67 pixels on a side (min_size; tiles, thumbnails);
#   with the default of 800 pixels the guess is right. Show such a network an image of a multiple of 32 pixels first.
# The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
packages=(torch==2.15.0 torchvision==0.29.2 numpy==2.4.6)
if command -v uv >/dev/null; then # links what its cache holds: torch has gigabytes
  uv venv --quiet "$folder/venv"
  uv pip install --quiet --python "$folder/venv/bin/python" "${packages[@]}"
else
  python3 -m venv "$folder/venv"
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}"
fi
"$folder/venv/bin/python" - <<'PYTHON'
import torch
import torchvision
from torchvision.models.detection import fasterrcnn_resnet50_fpn

print("torchvision", torchvision.__version__, "torch", torch.__version__)
torch.manual_seed(0)
square, tall = torch.rand(3, 40, 40), torch.rand(3, 128, 40)
answers, scales = [], []
state = None
for first in (square, tall):
    network = fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, min_size=40, max_size=128, box_score_thresh=0.0
    ).eval()
    state = state or network.state_dict()
    network.load_state_dict(state)
    with torch.no_grad():
        network([first])
        answers.append(network([tall])[0])
    scales.append(network.roi_heads.box_roi_pool.scales)
    shape = "x".join(map(str, first.shape[1:]))
    print(f"first {shape}: scales {scales[-1]}, best score of the tall image {answers[-1]['scores'][0]:.4f}")
if scales != [[0.5, 0.25, 0.125, 0.0625], [0.25, 0.125, 0.0625, 0.03125]]:
    raise SystemExit(f"changed: the scales are {scales}")
if torch.equal(answers[0]["scores"][:10], answers[1]["scores"][:10]):
    raise SystemExit("changed: the answers are the same")
print("as stated: equal weights, equal image, other scales and other answers")
PYTHON
