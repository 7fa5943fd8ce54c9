"""Outlines of many objects at once are those of each alone."""

import numpy as np

from visus.data.formats.objects.coco_outlines import outline_of, outlines_of

TRIANGLE, SQUARE = [0, 0, 4, 0, 4.5, 3], [1, 1, 5, 1, 5, 5, 1, 5]
USUAL = [[TRIANGLE], [SQUARE, TRIANGLE], [SQUARE]]
OTHERS = [
    None, [], TRIANGLE, [[0, 0], [4, 0], [4, 3]], {"size": [4, 4], "counts": [16]}, [{"size": [4, 4], "counts": [16]}],
    [[1, 2, 3, 4]], [TRIANGLE, [1, 2]], "[[0, 0, 4, 0, 4, 3]]", "text", 5, [SQUARE[:7]], [TRIANGLE, None],
]  # fmt: skip
BROKEN = [[[0, 0, 4, 0, float("nan"), 3]], [[0, 0, 4, None, 4, 3]], [["a"] * 6], [[[0, 0], [4, 0], [4, 3]] * 2]]


def _plain(outline):
    return [part.tolist() for part in outline] if isinstance(outline, tuple) else outline


def test_polygons():
    outlines = outlines_of(USUAL)
    assert [[part.tolist() for part in outline] for outline in outlines] == [
        [[[0, 0], [4, 0], [4.5, 3]]],
        [[[1, 1], [5, 1], [5, 5], [1, 5]], [[0, 0], [4, 0], [4.5, 3]]],
        [[[1, 1], [5, 1], [5, 5], [1, 5]]],
    ]
    assert all(part.dtype == np.float64 for outline in outlines for part in outline)
    assert outlines_of([]) == []


def test_all_ways_to_write_them():
    for written in (OTHERS, USUAL + OTHERS + USUAL, OTHERS + BROKEN + USUAL):
        assert [_plain(outline) for outline in outlines_of(written)] == [_plain(outline_of(item)) for item in written]
