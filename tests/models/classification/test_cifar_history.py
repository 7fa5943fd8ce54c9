"""What the papers of maxout, All-CNN, FitNets and deeply-supervised nets say of their networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from networks import shapeless
from visus.errors import ShapeError
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.dsn import SquaredHingeCodec, squared_hinge
from visus.models.protocols import Output


def test_maxout_weights_begin_within_five_thousandths() -> None:
    torch.manual_seed(0)
    network = build(find("maxout_mnist"))
    weights = torch.cat([p.flatten() for name, p in network.named_parameters() if name.endswith("weight")])
    assert float(weights.detach().abs().max()) <= 0.005
    assert float(weights.detach().std()) == pytest.approx(0.005 / 3**0.5, rel=0.01)
    assert not any(p.any() for name, p in network.named_parameters() if name.endswith("bias"))


def test_all_cnn_c_has_no_pooling_but_the_average_and_convpool_as_many_weights() -> None:
    network = shapeless("all_cnn_c")
    assert not [m for m in network.modules() if isinstance(m, nn.MaxPool2d)]
    count = [sum(p.numel() for p in shapeless(name).parameters()) for name in ("all_cnn_c", "convpool_cnn_c")]
    assert count[0] == count[1]
    count = [sum(p.numel() for p in shapeless(name).parameters()) for name in ("strided_cnn_c", "all_cnn_base_c")]
    assert count[0] == count[1]


@pytest.mark.parametrize("name", ["all_cnn_c", "convpool_cnn_c", "strided_cnn_c", "all_cnn_base_a"])
def test_tables_1_and_2_average_over_6x6(name: str) -> None:
    network = shapeless(name)
    maps = network.features(torch.empty(1, 3, 32, 32, device="meta"))
    assert [tuple(value.shape[2:]) for value in maps.values()] == [(16, 16), (8, 8)]
    assert network.conv_3x3(maps[4]).shape[2:] == (6, 6)
    with pytest.raises(ShapeError, match="10x10"):
        network(torch.empty(1, 3, 9, 32, device="meta"))


def test_fitnet4_has_nineteen_layers() -> None:
    layers = [m for m in shapeless("fitnet4").modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 19


def test_the_squared_hinge_is_that_of_scikit_learns_l2_svm() -> None:
    # LinearSVC minimises |w|^2 / 2 + C sum of squared hinges: its optimum is a minimum of ours.
    from sklearn.svm import LinearSVC

    torch.manual_seed(0)
    x = torch.randn(60, 3, dtype=torch.float64)
    y = (x[:, 0] + 0.3 * torch.randn(60) > 0).long()
    svm = LinearSVC(loss="squared_hinge", fit_intercept=False, C=1.0, tol=1e-10, max_iter=100_000).fit(x, y)
    w = torch.tensor(svm.coef_[0], requires_grad=True)
    margin = x @ w
    margins = torch.stack([-margin, margin], 1)
    # Two opposite classes count each image twice.
    (w.square().sum() / 2 + len(x) * squared_hinge(margins, y).double() / 2).backward()
    torch.testing.assert_close(w.grad, torch.zeros(3, dtype=torch.float64), atol=1e-3, rtol=0)


def test_the_squared_hinge_of_a_worked_example() -> None:
    margins = torch.tensor([[2.0, -0.5, 0.5], [0.0, 0.0, -1.0]])
    # First: 0 + 0.25 + 2.25; second, of class 1: 1 + 1 + 0
    assert float(squared_hinge(margins, torch.tensor([0, 1]))) == pytest.approx((2.5 + 2.0) / 2)


def test_companions_count_like_the_output_and_are_not_there_in_answers() -> None:
    torch.manual_seed(0)
    network = build(find("dsn"))
    images, classes = torch.rand(2, 3, 32, 32), torch.tensor([3, 7])
    codec = SquaredHingeCodec()
    outputs = network.train()(images)
    terms = codec.terms(outputs, classes)
    expected = sum(squared_hinge(margins, classes) for margins in outputs.auxiliary)
    assert set(terms) == {"output", "companions"}
    torch.testing.assert_close(terms["companions"], expected)
    answer = network.eval()(images)
    assert isinstance(answer, Output)
    assert answer.auxiliary == ()
    assert set(codec.terms(answer, classes)) == {"output"}
    assert torch.equal(codec.decode(answer).argmax(1), answer.logits.argmax(1))


def test_companions_of_no_weight_are_not_asked() -> None:
    """The release goes on with finetune_cifar-10.prototxt: the same network without companions, so no other weights."""
    network = shapeless("dsn", options={"companions": 0.0}).train()
    assert network(torch.empty(1, 3, 32, 32, device="meta")).auxiliary == ()
    assert network.state_dict().keys() == shapeless("dsn").state_dict().keys()
    halved = SquaredHingeCodec(0.5).terms(Output(torch.zeros(1, 2), (torch.zeros(1, 2),)), torch.tensor([0]))
    assert (float(halved["output"]), float(halved["companions"])) == (2.0, 1.0)


def test_companions_need_the_size_that_they_were_made_for() -> None:
    network = shapeless("dsn")
    assert network(torch.empty(1, 3, 40, 24, device="meta")).logits.shape == (1, 10)
    with pytest.raises(ShapeError, match="32x32"):
        network.train()(torch.empty(1, 3, 40, 24, device="meta"))
