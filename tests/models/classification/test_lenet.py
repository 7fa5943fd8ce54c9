"""LeNet-5 against the numbers, tables and equations of its paper."""

from __future__ import annotations

import math

import pytest
import torch

from visus.errors import ShapeError
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.digit_bitmaps import DIGITS, digit_codes
from visus.models.classification.lenet import C3_TABLE, LeNet5, PenaltyCodec, random_codes


def test_trainable_values_of_each_layer_are_the_papers() -> None:
    # Sec. II-B: C1 156, S2 12, C3 1,516, S4 32, C5 48,120, F6 10,164; 60,000 in all.
    network = LeNet5(classes=10, in_channels=1, rubbish=1.0)
    counts = {name: sum(p.numel() for p in child.parameters()) for name, child in network.named_children()}
    assert counts == {"squash": 0, "c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48120, "f6": 10164, "output": 0}


def test_the_connections_are_table_1() -> None:
    # The rows of table I as printed: the columns (maps of C3) that each map of S2 feeds.
    printed = {
        0: {0, 4, 5, 6, 9, 10, 11, 12, 14, 15},
        1: {0, 1, 5, 6, 7, 10, 11, 12, 13, 15},
        2: {0, 1, 2, 6, 7, 8, 11, 13, 14, 15},
        3: {1, 2, 3, 6, 7, 8, 9, 12, 14, 15},
        4: {2, 3, 4, 7, 8, 9, 10, 12, 13, 15},
        5: {3, 4, 5, 8, 9, 10, 11, 13, 14, 15},
    }
    assert {row: {c for c, inputs in enumerate(C3_TABLE) if row in inputs} for row in range(6)} == printed


def test_map_sizes_are_figure_2s() -> None:
    network = build(find("lenet5"))
    maps = network.features(torch.zeros(2, 1, 32, 32))
    assert [tuple(m.shape) for m in maps.values()] == [(2, 6, 14, 14), (2, 16, 5, 5)]


def test_weights_begin_within_2_4_by_fan_in() -> None:
    network = LeNet5(classes=10, in_channels=1, rubbish=1.0)
    bounds = {"c1": 2.4 / 25, "s2": 0.6, "s4": 0.6, "c5": 2.4 / 400, "f6": 2.4 / 120}
    for name, bound in bounds.items():
        values = torch.cat([p.detach().flatten() for p in getattr(network, name).parameters()])
        assert 0.5 * bound < values.abs().max() <= bound, name
    kernels = iter(network.c3.weight)
    for inputs in C3_TABLE:
        for _ in inputs:
            assert next(kernels).abs().max() <= 2.4 / (25 * len(inputs))


def test_the_codes_are_ten_different_bitmaps_of_7_by_12() -> None:
    codes = digit_codes()
    assert codes.shape == (10, 84)
    assert set(codes.unique().tolist()) == {-1.0, 1.0}
    assert all(len(drawing.split()) == 12 and {len(row) for row in drawing.split()} == {7} for drawing in DIGITS)
    differing = (codes[:, None] != codes[None]).sum(-1) + 84 * torch.eye(10, dtype=torch.int64)
    assert differing.min() >= 4  # pixels between any two digits
    assert differing[8, 3] < differing[8, 4]  # alike digits have alike codes
    assert (codes[:, -14:] == -1).all()  # digits have no descenders


def test_other_numbers_of_classes_get_codes_that_stay_the_same() -> None:
    assert torch.equal(random_codes(26), random_codes(26))
    assert len(random_codes(300).unique(dim=0)) == 300
    assert torch.equal(random_codes(26), build(find("lenet5"), classes=26).state_dict()["output.centres"])


def test_the_map_criterion_is_equation_9_by_hand() -> None:
    penalties, j = torch.tensor([[1.0, 3.0, 4.0], [2.0, 0.5, 6.0]]), 2.0
    codec = PenaltyCodec(j)
    truth = codec.encode(torch.tensor([0, 2]), torch.device("cpu"))
    first = 1 + math.log(math.exp(-2) + math.exp(-1) + math.exp(-3) + math.exp(-4))
    second = 6 + math.log(math.exp(-2) + math.exp(-2) + math.exp(-0.5) + math.exp(-6))
    assert codec.terms(penalties, truth)["map"].item() == pytest.approx((first + second) / 2)


def test_large_penalties_neither_overflow_nor_are_pushed() -> None:
    penalties = torch.tensor([[1000.0, 2000.0]], requires_grad=True)
    loss = PenaltyCodec(10.0).terms(penalties, torch.tensor([0]))["map"]
    loss.backward()
    assert torch.isfinite(loss)
    assert penalties.grad is not None
    torch.testing.assert_close(penalties.grad, torch.tensor([[1.0, 0.0]]))  # only the true class is pulled


def test_the_smallest_penalty_wins() -> None:
    network = build(find("lenet5"))
    codes = digit_codes()
    scores = network.codec.decode(network.output(codes))
    assert scores.argmax(1).tolist() == list(range(10))
    torch.testing.assert_close(scores.sum(1), torch.ones(10))


@pytest.mark.parametrize("name", ["lenet5", "lenet5@modern", "lenet5@course"])
@pytest.mark.parametrize("size", [(28, 28), (31, 32), (32, 36), (64, 64)])
def test_other_sizes_are_refused(name: str, size: tuple[int, int]) -> None:
    with pytest.raises(ShapeError, match="32x32"):
        build(find(name), in_channels=1)(torch.zeros(1, 1, *size))


def test_the_courses_network_is_the_one_that_the_lecture_draws() -> None:
    # Worked from the lecture's words: convolve, ReLU, take the largest of 2x2; twice; then 400 - 120 - 84 - 10.
    network = build(find("lenet5@course")).eval()
    c1, c2, dense = network.conv1, network.conv2, [network.fc3, network.fc4, network.output]
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        y = torch.nn.functional.conv2d(x, c1.weight, c1.bias).clamp(min=0).unflatten(2, (14, 2)).unflatten(4, (14, 2))
        y = y.amax((3, 5))
        y = torch.nn.functional.conv2d(y, c2.weight, c2.bias).clamp(min=0).unflatten(2, (5, 2)).unflatten(4, (5, 2))
        y = y.amax((3, 5)).flatten(1)
        assert y.shape == (2, 400)
        for layer in dense[:-1]:
            y = (y @ layer.weight.T + layer.bias).clamp(min=0)
        expected = y @ dense[-1].weight.T + dense[-1].bias
        torch.testing.assert_close(network(x), expected, atol=1e-5, rtol=1e-5)


def test_mnists_ink_and_paper_become_the_papers_levels() -> None:
    # Sec. II-B: background -0.1, foreground 1.175.
    way = find("lenet5").preprocessing
    assert [(raw / way.scale - way.mean[0]) / way.std[0] for raw in (0, 255)] == pytest.approx([-0.1, 1.175])
