"""PNASNet-5, large (N = 4, F = 216) and mobile (N = 3, F = 54).

Liu, Zoph, Neumann, Shlens, Hua, Li, Fei-Fei, Yuille, Huang, Murphy: Progressive neural architecture search, ECCV 2018
(arXiv:1712.00559), figure 1. There is one kind of cell; with stride 2 it reduces. The channels of the first
convolution, the rates of dropout and drop-path and the auxiliary head are those of the released code
(tensorflow/models, slim's pnasnet.py); the rest is in :mod:`visus.models.classification.nas_cells`, and the drop-path
is NASNet's.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from visus.models.classification.nas_cells import CellNetwork, CellPlan

CELL = CellPlan(  # figure 1, left
    pairs=(
        (("sep5", 1), ("max3", 1)),
        (("sep7", 0), ("max3", 0)),
        (("sep5", 0), ("sep3", 0)),
        (("sep3", 4), ("max3", 0)),
        (("sep3", 1), ("identity", 0)),
    ),
    outputs=(2, 3, 4, 5, 6),
)

Share = Annotated[float, Field(ge=0, lt=1)]


def pnasnet_5_large(*, classes: int, in_channels: int, dropout: Share = 0.5, drop_path: Share = 0.4) -> nn.Module:
    """PNASNet-5 (N = 4, F = 216). ``dropout``: before the last layer; ``drop_path``: of the last cell, in the end."""
    return CellNetwork(
        CELL,
        CELL,
        stem=96,
        width=216,
        cells=4,
        starts_stacks=True,
        looks_past=False,
        drop=drop_path,
        classes=classes,
        in_channels=in_channels,
        dropout=dropout,
        auxiliary_side=6,
    )


def pnasnet_5_mobile(*, classes: int, in_channels: int, dropout: Share = 0.5, drop_path: Share = 0.0) -> nn.Module:
    """PNASNet-5 (N = 3, F = 54). ``dropout``: before the last layer; ``drop_path``: of the last cell, in the end."""
    return CellNetwork(
        CELL,
        CELL,
        stem=32,
        width=54,
        cells=3,
        starts_stacks=True,
        looks_past=False,
        drop=drop_path,
        classes=classes,
        in_channels=in_channels,
        dropout=dropout,
        auxiliary_side=4,
    )
