"""Encodes boxes as offsets from reference boxes, and decodes them. Loads no torch by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

# exp(offset) is kept below 1000 / 16, so that an untrained network's box is large but finite.
_LARGEST_LOG_RATIO = math.log(1000 / 16)


@dataclass(frozen=True, slots=True)
class BoxCoding:
    """Codes a box G as offsets from a reference box P, as in R-CNN; SSD divides the offsets by variances.

    ``tx = (Gx - Px) / Pw / v0, ty = (Gy - Py) / Ph / v1, tw = log(Gw / Pw) / v2, th = log(Gh / Ph) / v3`` with centres
    (x, y) and sides (w, h): Girshick et al. 2014, appendix C, equations 6 to 9; SSD (arXiv:1512.02325) equation 2.

    Args:
        variances: (v0, v1, v2, v3); all 1 in R-CNN, (0.1, 0.1, 0.2, 0.2) in SSD and in Fast R-CNN's release.
        inclusive: decode as R-CNN's to Faster R-CNN's released code does. Its corners are the first and the last pixel
            of a box, of which it adds one to sides before encoding and takes none off in decoding: boxes come out a
            pixel wider and higher than they went in.
    """

    variances: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    inclusive: bool = False

    def encode(self, boxes: Tensor, references: Tensor) -> Tensor:
        """Encodes boxes. boxes, references: [...,4] xyxy with sides > 0 -> offsets [...,4]."""
        import torch

        from visus.ops.boxes import box_convert

        box = box_convert(boxes, "xyxy", "cxcywh")
        reference = box_convert(references, "xyxy", "cxcywh")
        sides = reference[..., 2:]
        moves = (box[..., :2] - reference[..., :2]) / sides
        ratios = torch.log(box[..., 2:] / sides)
        return torch.cat([moves, ratios], dim=-1) / boxes.new_tensor(self.variances)

    def decode(self, offsets: Tensor, references: Tensor) -> Tensor:
        """Decodes offsets, the inverse of :meth:`encode`. offsets, references (xyxy): [...,4] -> boxes [...,4] xyxy.

        Sides are limited to 62.5 times the reference's. With ``inclusive`` the right and lower edges are a pixel more.
        """
        import torch

        from visus.ops.boxes import box_convert

        reference = box_convert(references, "xyxy", "cxcywh")
        offsets = offsets * offsets.new_tensor(self.variances)
        sides = reference[..., 2:]
        centres = offsets[..., :2] * sides + reference[..., :2]
        sides = offsets[..., 2:].clamp(max=_LARGEST_LOG_RATIO).exp() * sides
        return torch.cat([centres - sides / 2, centres + sides / 2 + int(self.inclusive)], dim=-1)

    def decode_arrays(self, offsets: NDArray[np.float32], references: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same as :meth:`decode` of float32 arrays."""
        low, high = references[..., :2], references[..., 2:]
        sides, middles = high - low, (low + high) / 2
        offsets = offsets * np.asarray(self.variances, np.float32)
        centres = offsets[..., :2] * sides + middles
        sides = np.exp(np.minimum(offsets[..., 2:], np.float32(_LARGEST_LOG_RATIO))) * sides
        return np.concatenate([centres - sides / 2, centres + sides / 2 + int(self.inclusive)], axis=-1)
