#!/usr/bin/env bash
# torchvision's roi_pool looks a cell beyond a region of 57 cells that is pooled to 7 bins.
#
# Versions: torchvision 0.29.2, torch 2.15.0, on the CPU.
# Behaviour: the last bin ends at ceil((float)7 * ((float)57 / 7)). In float32 that product is 57.000004 and its ceiling
#   58; it is clipped to the map, and not to the region. So the 7th bin of a region of 57 cells has the maximum of the
#   58th, too, if the map goes on there. The script lists all lengths up to 200 cells that do so with 7 bins, and with
#   14: 57, 114 and 121 cells in float32; 29, 58, 116 and 123 in float64. With 1, 2, 3 or 6 bins none does. Caffe's
#   ROIPoolingLayer, from which the arithmetic comes, has the same floats.
# Consequence: at stride 16 a region of about 912 pixels (57 cells) answers differently when something behind its border
#   changes, and a pool written with whole numbers does not agree with torchvision's.
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
from torchvision.ops import roi_pool

print("torchvision", torchvision.__version__, "torch", torch.__version__)


def last_cells(length: int, bins: int, dtype: torch.dtype) -> list[int]:
    """The last cell of each bin of a region of so many cells, by a map whose cells hold their number."""
    map_ = torch.arange(length + 2, dtype=dtype).expand(1, 1, 1, -1).contiguous()
    region = torch.tensor([[0, 0, 0, length - 1, 0]], dtype=dtype)
    return roi_pool(map_, region, (1, bins), 1.0)[0, 0, 0].int().tolist()


beyond = {}
for dtype in (torch.float32, torch.float64):
    beyond[dtype] = [
        (length, bins)
        for bins in (1, 2, 3, 6, 7, 14)
        for length in range(1, 201)
        if last_cells(length, bins, dtype)[-1] >= length
    ]
    print(f"{dtype}: (cells, bins) whose last bin leaves the region:", beyond[dtype])
print("57 cells in 7 bins end at cells", last_cells(57, 7, torch.float32), "of 0 to 56")
assert last_cells(57, 7, torch.float32) == [8, 16, 24, 32, 40, 48, 57]
assert beyond[torch.float32] == [(length, bins) for bins in (7, 14) for length in (57, 114, 121)]
assert beyond[torch.float64] == [(length, bins) for bins in (7, 14) for length in (29, 58, 116, 123)]
PYTHON
