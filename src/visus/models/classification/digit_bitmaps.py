"""The ten digits as 7x12 bitmaps: the class codes of LeNet-5's output units.

LeCun et al. 1998, section II-B and figure 3, set each output unit's 84 weights to a stylised picture of its character,
so that characters that look alike have codes that are alike. The paper prints the pictures of the whole ASCII set but
no table of them; these ten are drawn here anew in that manner: 7 pixels wide, 12 high, ink = +1, paper = -1, the
digits standing on the tenth row (rows 11 and 12 are for descenders).
"""

from __future__ import annotations

import torch
from torch import Tensor

DIGITS = (
    """
    .......
    ..###..
    .##.##.
    ##...##
    ##...##
    ##...##
    ##...##
    ##...##
    .##.##.
    ..###..
    .......
    .......
    """,
    """
    .......
    ...##..
    ..###..
    .####..
    ...##..
    ...##..
    ...##..
    ...##..
    ...##..
    .######
    .......
    .......
    """,
    """
    .......
    .#####.
    ##...##
    .....##
    ....##.
    ...##..
    ..##...
    .##....
    ##.....
    #######
    .......
    .......
    """,
    """
    .......
    #######
    .....##
    ....##.
    ...##..
    ..####.
    .....##
    .....##
    ##...##
    .#####.
    .......
    .......
    """,
    """
    .......
    ....##.
    ...###.
    ..####.
    .##.##.
    ##..##.
    #######
    ....##.
    ....##.
    ....##.
    .......
    .......
    """,
    """
    .......
    #######
    ##.....
    ##.....
    ######.
    .....##
    .....##
    .....##
    ##...##
    .#####.
    .......
    .......
    """,
    """
    .......
    ..####.
    .##....
    ##.....
    ##.###.
    ###..##
    ##...##
    ##...##
    ##...##
    .#####.
    .......
    .......
    """,
    """
    .......
    #######
    ##...##
    .....##
    ....##.
    ....##.
    ...##..
    ...##..
    ..##...
    ..##...
    .......
    .......
    """,
    """
    .......
    .#####.
    ##...##
    ##...##
    .#####.
    ##...##
    ##...##
    ##...##
    ##...##
    .#####.
    .......
    .......
    """,
    """
    .......
    .#####.
    ##...##
    ##...##
    ##...##
    ##..###
    .###.##
    .....##
    ....##.
    .####..
    .......
    .......
    """,
)


def digit_codes() -> Tensor:
    """[10,84] float32 of -1 (paper) and +1 (ink), row by row from the top left."""
    pixels = ["".join(drawing.split()) for drawing in DIGITS]
    return torch.tensor([[1.0 if pixel == "#" else -1.0 for pixel in drawing] for drawing in pixels])
