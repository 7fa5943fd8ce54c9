#!/usr/bin/env bash
# torchvision's ps_roi_pool never looks at a map's last row and column, and its gradient says that it does.
#
# Versions: torchvision 0.29.2, torch 2.15.0, on the CPU.
# Behaviour: the forward kernel clips a bin's end to height - 1 and width - 1, the backward kernel to height and width
#   (torchvision/csrc/ops/cpu/ps_roi_pool_kernel.cpp; the CUDA kernels read alike). A region over the whole of a 4x4 map,
#   one bin: the mean of the upper left 3x3 cells, each with weight 1/9; the gradient is 1/16 for each of the 16 cells.
#   torch.autograd.gradcheck fails for any region that reaches the right or lower border.
#   R-FCN's own layer (daijifeng001/caffe-rfcn, psroi_pooling_layer.cu) takes all cells in both directions; it also
#   rounds corners to pixels, where torchvision rounds them to cells of the map.
# Consequence: objects at those borders are pooled without their last cells, and trained by wrong gradients.
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
from torchvision.ops import ps_roi_pool

print("torchvision", torchvision.__version__, "torch", torch.__version__)
whole = [torch.tensor([[0.0, 0, 64, 64]], dtype=torch.float64)]


def pool(map_: torch.Tensor) -> torch.Tensor:
    return ps_roi_pool(map_, whole, 1, 1 / 16)


weights = torch.stack([pool(cell.reshape(1, 1, 4, 4)).flatten() for cell in torch.eye(16, dtype=torch.float64)])
map_ = torch.zeros(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
pool(map_).sum().backward()
print("what each cell adds to the answer:", weights.reshape(4, 4), sep="\n")
print("its gradient:", map_.grad[0, 0], sep="\n")
expected = torch.zeros(4, 4, dtype=torch.float64)
expected[:3, :3] = 1 / 9
if not torch.allclose(weights.reshape(4, 4), expected):
    raise SystemExit("changed: the forward pass weighs other cells")
if not torch.allclose(map_.grad[0, 0], torch.full((4, 4), 1 / 16, dtype=torch.float64)):
    raise SystemExit("changed: the gradient is another one")
print("as stated: the gradient is that of the mean over all cells, the answer that over the first three rows and columns")
PYTHON
