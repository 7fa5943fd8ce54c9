"""AmoebaNet-A.

Real, Aggarwal, Huang, Le: Regularized evolution for image classifier architecture search, AAAI 2019
(arXiv:1802.01548), figure 6 (5 of the preprint) and table 2. The cells are those of the released code
(tensorflow/tpu, amoeba_net's model_specs.py, "amoeba_net_a"); with them the network has the printed numbers of
parameters and operations. They differ from what the text says of hidden states that go into a cell's output: some that
are used within the cell go there too. The first convolution's 32 channels, the auxiliary head's 0.4-fold widths and a
drop-path of the same rate in all cells are that code's too; the rest is in
:mod:`visus.models.classification.nas_cells`.

The paper's F of 190 gives the second cell 95 channels, which halve into 47 and 48 where a map is halved.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from visus.models.classification.nas_cells import CellNetwork, CellPlan

NORMAL = CellPlan(  # figure 6, middle
    pairs=(
        (("avg3", 0), ("max3", 0)),
        (("sep3", 1), ("identity", 1)),
        (("identity", 0), ("avg3", 1)),
        (("sep3", 0), ("sep5", 2)),
        (("avg3", 5), ("sep3", 0)),
    ),
    outputs=(1, 3, 4, 6),
)
REDUCTION = CellPlan(  # figure 6, right
    pairs=(
        (("sep3", 1), ("avg3", 0)),
        (("max3", 0), ("sep7", 2)),
        (("max3", 1), ("max3", 0)),
        (("sep3", 4), ("1x7_7x1", 0)),
        (("avg3", 1), ("sep7", 0)),
    ),
    outputs=(2, 3, 4, 5, 6),
)

Share = Annotated[float, Field(ge=0, lt=1)]


def amoebanet_a(
    *,
    classes: int,
    in_channels: int,
    cells: Annotated[int, Field(ge=1)] = 6,
    filters: Annotated[int, Field(ge=16)] = 190,
    dropout: Share = 0.5,
    drop_path: Share = 0.3,
) -> nn.Module:
    """AmoebaNet-A.

    ``cells``: of each stack, the paper's N; ``filters``: of the first stack, its F (190 or 448); ``dropout``: before
    the last layer; ``drop_path``: of all cells, in the end.
    """
    return CellNetwork(
        NORMAL,
        REDUCTION,
        stem=32,
        width=filters,
        cells=cells,
        looks_past=False,
        drop=drop_path,
        drop_grows=False,
        classes=classes,
        in_channels=in_channels,
        dropout=dropout,
        auxiliary_side=6,
        auxiliary_scale=0.4,
    )
