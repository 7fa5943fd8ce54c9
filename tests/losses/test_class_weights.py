"""Class weights against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from visus.errors import ShapeError
from visus.losses.class_weights import (
    balanced_weights,
    check_frequencies,
    class_frequencies,
    count_classes,
    median_weights,
    shown_frequencies,
)
from visus.structures import Label, SegmentationMap


def test_equals_scikit_learn() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    targets = np.random.default_rng(0).choice(4, 200, p=[0.6, 0.3, 0.07, 0.03])
    expected = compute_class_weight("balanced", classes=np.arange(4), y=targets)
    counts = count_classes(torch.from_numpy(targets), 4)
    np.testing.assert_allclose(balanced_weights(counts), expected, rtol=1e-6)
    np.testing.assert_allclose(balanced_weights(counts / 200), expected, rtol=1e-6)  # shares do as well


def test_the_mean_weight_of_the_data_is_one() -> None:
    shares = torch.tensor([0.7, 0.2, 0.1, 0.0])
    weights = balanced_weights(shares)
    assert (shares * weights).sum().item() == pytest.approx(1)
    assert weights[3] == 1  # of a class that does not occur


def test_nothing_counted_gives_weights_of_one() -> None:
    assert balanced_weights(torch.zeros(3)).tolist() == [1, 1, 1]


def test_ignored_ids_are_left_out() -> None:
    assert count_classes(torch.tensor([[0, 255, 1], [1, -100, 2]]), 3).tolist() == [1, 2, 1]


def test_frequencies_of_labels_and_maps() -> None:
    classes = ("a", "b", "c")
    assert class_frequencies([Label(classes, i) for i in (0, 0, 1, 0)], 3) == (0.75, 0.25, 0.0)
    maps = [
        SegmentationMap(classes, np.asarray([[0, 1], [255, 1]], np.uint8)),
        SegmentationMap(classes, np.zeros((1, 2), np.uint8)),
    ]
    assert class_frequencies(maps, 3) == (0.6, 0.4, 0.0)
    assert class_frequencies([], 3) == (0.0, 0.0, 0.0)
    many = tuple(str(k) for k in range(1000))
    assert class_frequencies([Label(many, 999)], 1000)[999] == 1


@pytest.mark.parametrize("wrong", [(0.5, 0.5), (0.5, 0.5, float("nan")), (1.0, 1.0, -1.0), (0.0, 0.0, 0.0)])
def test_wrong_frequencies(wrong: tuple[float, ...]) -> None:
    with pytest.raises(ShapeError, match="class frequencies"):
        check_frequencies(wrong, 3)


def test_median_frequencies_by_hand() -> None:
    """Class 0 fills half of both images, class 1 the rest of the first, class 2 a quarter of the second, with 0."""
    counts = torch.tensor([[8, 8, 0], [12, 0, 4]])
    frequencies = shown_frequencies(counts)
    torch.testing.assert_close(frequencies, torch.tensor([20 / 32, 8 / 16, 4 / 16]))
    torch.testing.assert_close(median_weights(frequencies), torch.tensor([0.8, 1.0, 2.0]))


def test_classes_that_no_image_shows_have_weight_one() -> None:
    frequencies = shown_frequencies(torch.tensor([[4, 0], [4, 0]]))
    assert frequencies.tolist() == [1, 0]
    assert median_weights(frequencies).tolist() == [1, 1]
    assert median_weights(torch.zeros(2)).tolist() == [1, 1]


def test_shares_where_a_class_is_shown() -> None:
    names = ("a", "b")
    maps = [
        SegmentationMap(names, np.array([[0, 0, 0, 1]], np.uint8)),
        SegmentationMap(names, np.array([[0, 255]], np.uint8)),
    ]
    assert class_frequencies(maps, 2) == pytest.approx((4 / 5, 1 / 5))
    assert class_frequencies(maps, 2, where_shown=True) == pytest.approx((4 / 5, 1 / 4))
