"""NASNet-A, large (6 @ 4032) and mobile (4 @ 1056).

Zoph, Vasudevan, Shlens, Le: Learning transferable architectures for scalable image recognition, CVPR 2018
(arXiv:1707.07012), figure 4 for the cells and table 2 for N and the channels before the last layer, N @ 24 F. The
channels of the first convolution, the rates of dropout and drop-path and the auxiliary head are those of the released
code (tensorflow/models, slim's nasnet.py); the rest is in :mod:`visus.models.classification.nas_cells`.

In the large network the first cell after a reduction sees the last but one cell before it for the earlier input, as its
released weights need; in the mobile one, the last.

Drop-path: in training each operation's output of each image is left out with a probability that grows linearly from the
first cell to the last, and with the time that the training has taken (ScheduledDropPath, section 4).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from visus.models.classification.nas_cells import CellNetwork, CellPlan

NORMAL = CellPlan(  # figure 4, left
    pairs=(
        (("sep5", 0), ("sep3", 1)),
        (("sep5", 1), ("sep3", 1)),
        (("avg3", 0), ("identity", 1)),
        (("avg3", 1), ("avg3", 1)),
        (("sep3", 0), ("identity", 0)),
    ),
    outputs=(1, 2, 3, 4, 5, 6),
)
REDUCTION = CellPlan(  # figure 4, right
    pairs=(
        (("sep5", 0), ("sep7", 1)),
        (("max3", 0), ("sep7", 1)),
        (("avg3", 0), ("sep5", 1)),
        (("identity", 3), ("avg3", 2)),
        (("sep3", 2), ("max3", 0)),
    ),
    outputs=(3, 4, 5, 6),
)

Share = Annotated[float, Field(ge=0, lt=1)]


def nasnet_a_large(*, classes: int, in_channels: int, dropout: Share = 0.5, drop_path: Share = 0.3) -> nn.Module:
    """NASNet-A (6 @ 4032). ``dropout``: before the last layer; ``drop_path``: of the last cell, in the end."""
    return CellNetwork(
        NORMAL,
        REDUCTION,
        stem=96,
        width=168,
        cells=6,
        looks_past=True,
        drop=drop_path,
        classes=classes,
        in_channels=in_channels,
        dropout=dropout,
        auxiliary_side=6,
    )


def nasnet_a_mobile(*, classes: int, in_channels: int, dropout: Share = 0.5, drop_path: Share = 0.0) -> nn.Module:
    """NASNet-A (4 @ 1056). ``dropout``: before the last layer; ``drop_path``: of the last cell, in the end."""
    return CellNetwork(
        NORMAL,
        REDUCTION,
        stem=32,
        width=44,
        cells=4,
        looks_past=False,
        drop=drop_path,
        classes=classes,
        in_channels=in_channels,
        dropout=dropout,
        auxiliary_side=4,
    )
