"""Softmax cross-entropy with weights for classes and pixels; a batch may consist of ignored targets only.

Letters: N images, K classes, ... any number of further axes (none for labels, H,W for maps).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from visus.errors import UsageError


def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    class_weights: Tensor | None = None,
    extra_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
    focal: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean",
    ignore: int = -100,
) -> Tensor:
    """The mean of w * (1 - p)^gamma * -log p over all targets that count, where p = softmax(logits)[target].

    The weight is w = class_weights[target] + extra_weights (Ronneberger et al. 2015, eq. 2; 1 where neither is given).
    The sum is divided by the number of targets and not by the sum of their weights: weights then keep their meaning
    in a batch of one image or one class, and the loss of a data set is the mean of its images' losses.

    Args:
        logits: [N,K,...].
        targets: [N,...] int64 class ids; ``ignore`` where a target does not count.
        class_weights: [K], >= 0.
        extra_weights: [N,...], >= 0, added to the weight of the class.
        label_smoothing: share in [0, 1] of the true class's probability that is spread evenly over all classes
            (Szegedy et al. 2016, section 7).
        focal: gamma >= 0: easy targets count less (Lin et al., ICCV 2017, equation 4, with the softmax of all classes
            in place of a sigmoid); 0 is plain cross-entropy.
        reduction: "mean" over the targets that count; "sum": their sum in each image, and the mean over the images, as
            Caffe does with normalize: false.
        ignore: the id of targets that do not count.

    Returns:
        A scalar in float32 at least; 0, with a gradient of zeros, when nothing counts.

    Raises:
        UsageError: for a focal loss with smoothed labels, whose p is none of the target's.
    """
    if focal and label_smoothing:
        raise UsageError(
            "the focal loss and label smoothing cannot be combined", expected="focal or label_smoothing, not both"
        )
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))  # sums over pixels want more than 16 bits
    entropy = F.cross_entropy(logits, targets, reduction="none", ignore_index=ignore, label_smoothing=label_smoothing)
    counts = targets != ignore  # [N, ...]
    if focal:
        entropy = entropy * (-torch.expm1(-entropy)).clamp(min=0) ** focal  # 1 - p = -expm1(log p)
    if class_weights is not None or extra_weights is not None:
        weights = torch.ones_like(entropy)
        if class_weights is not None:
            weights = class_weights.to(entropy)[targets.where(counts, 0)]  # [N, ...]
        if extra_weights is not None:
            weights = weights + extra_weights.to(entropy)
        entropy = entropy * weights
    if reduction == "sum":
        return entropy.sum() / len(targets)
    return entropy.sum() / counts.sum().clamp(min=1)
