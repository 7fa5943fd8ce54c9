"""The sizes of a data set's boxes, in pixels of a network's input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visus.data.augmentation.cut import Cut
from visus.data.augmentation.windows import fixed_window
from visus.data.dataset import Dataset
from visus.structures import Preprocessing


def box_shapes(dataset: Dataset, split: str, preprocessing: Preprocessing) -> NDArray[np.float64]:
    """[N,2] width and height of a split's boxes in pixels of the network's input; N may be 0.

    Args:
        dataset: with boxes.
        split: whose.
        preprocessing: that brings an image to the input's size, as when a model answers.

    Raises:
        DataError: if a label file cannot be read.
    """
    shapes = []
    for sample in dataset.split(split):
        target = sample.target("detection", masks=False) if sample.targets else None
        if target is None or len(target) == 0:
            continue
        window, network = fixed_window(target.size, preprocessing)
        boxes = Cut.of(target.size, window, network).placement.apply_to_boxes(target.boxes)
        sides = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64)
        counts = np.ones(len(sides), bool) if target.ignored is None else ~target.ignored
        shapes.append(sides[counts & (sides > 0).all(1)])
    return np.concatenate([np.zeros((0, 2)), *shapes])
