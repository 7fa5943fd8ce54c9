"""K-means over shapes: planted clusters are found, and the best partition of a few shapes, tried out one by one."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visus.ops.anchor_clustering import cluster_shapes
from visus.ops.iou import shape_iou


def test_planted_clusters_are_found() -> None:
    random = np.random.default_rng(0)
    planted = np.asarray([[20.0, 20], [30, 90], [100, 40], [150, 160]])
    shapes = np.concatenate([shape * random.uniform(0.95, 1.05, (50, 2)) for shape in planted])
    found = cluster_shapes(shapes, 4)
    np.testing.assert_allclose(found.anchors, planted, rtol=0.02)
    assert found.counts.tolist() == [50, 50, 50, 50]
    assert found.mean_iou == pytest.approx(shape_iou(shapes, found.anchors).max(1).mean())
    assert found.mean_iou > 0.95


def test_no_partition_is_better() -> None:
    shapes = np.asarray([[10.0, 10], [12, 9], [40, 12], [44, 10], [30, 60], [28, 66], [35, 50]])
    highest = 0.0
    for owner in product(range(3), repeat=len(shapes)):
        if len(set(owner)) == 3:
            means = np.stack([shapes[np.asarray(owner) == k].mean(0) for k in range(3)])
            highest = max(highest, float(shape_iou(shapes, means).max(1).mean()))
    assert cluster_shapes(shapes, 3).mean_iou >= highest - 1e-9  # more where a shape itself serves better than a mean


shape = st.tuples(st.floats(1, 300), st.floats(1, 300))


@given(st.lists(shape, min_size=1, max_size=20), st.integers(1, 6))
def test_properties(shapes: list[tuple[float, float]], count: int) -> None:
    boxes = np.asarray(shapes)
    found = cluster_shapes(boxes, count, starts=3)
    assert len(found.anchors) == min(count, len({*shapes}))
    assert found.counts.sum() == len(shapes)
    assert 0 < found.mean_iou <= 1 + 1e-12
    assert (np.diff(found.anchors.prod(1)) >= 0).all()
    if count >= len({*shapes}):
        assert found.mean_iou == pytest.approx(1)
    again = cluster_shapes(boxes, count, starts=3)
    np.testing.assert_array_equal(again.anchors, found.anchors)
