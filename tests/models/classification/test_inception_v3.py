"""What the Inception-v3 paper and the released network say of it."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from networks import shapeless
from visus.errors import ShapeError
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.inception_v3 import AuxiliaryPooling
from visus.models.protocols import Output
from visus.proof.published import fact
from visus.structures import Batch
from visus.tasks.classification import Classification


def test_parameters_with_and_without_the_auxiliary_head() -> None:
    network, published = shapeless("inception_v3"), fact("inception_v3")
    heads = sum(p.numel() for p in network.AuxLogits.parameters())
    assert sum(p.numel() for p in network.parameters()) == published["params_with_auxiliary"]
    assert sum(p.numel() for p in network.parameters()) - heads == published["params"]


def test_weights_begin_with_the_released_codes_deviations() -> None:
    torch.manual_seed(0)
    network = build(find("inception_v3"), classes=50)
    # tensorflow/models, inception_model.py: 0.1 but where it names others; 0.01 is the default of its dense layers
    expected = {network.AuxLogits.conv1.conv: 0.01, network.AuxLogits.fc: 0.001, network.fc: 0.01}
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            std, weight = expected.get(layer, 0.1), layer.weight.detach()
            assert float(weight.abs().max()) <= 2.0001 * std
            # A normal that is cut at two deviations keeps 0.774 of its variance.
            assert float(weight.var()) == pytest.approx(0.774 * std**2, rel=0.1)


def test_average_pooling_counts_the_zeros_at_the_border_only_in_torchvisions_edition() -> None:
    for name, corner in (("inception_v3", 1.0), ("inception_v3@torchvision", 4 / 9)):
        poolings = [m for m in shapeless(name).modules() if isinstance(m, nn.AvgPool2d)]
        assert len(poolings) == 3 + 4 + 2
        for pooling in poolings:
            assert pooling(torch.ones(1, 1, 5, 5))[0, 0, 0, 0] == pytest.approx(corner)


def test_the_dense_layer_of_the_auxiliary_head_is_normalised_and_sees_all_places() -> None:
    head = shapeless("inception_v3").AuxLogits
    x = head.conv0(head.pool(torch.empty(1, 768, 17, 17, device="meta")))
    assert x.shape == (1, 128, 5, 5)
    assert head.conv1(x).shape == (1, 768, 1, 1)
    assert isinstance(head.conv1.bn, nn.BatchNorm2d)  # "BN-auxiliary", table 3


def test_the_auxiliary_pooling_takes_windows_of_five_at_stride_three() -> None:
    pooling = AuxiliaryPooling()
    x = torch.rand(1, 2, 17, 17)
    expected = torch.stack(
        [x[..., 3 * i : 3 * i + 5, 3 * j : 3 * j + 5].mean((2, 3)) for i in range(5) for j in range(5)], -1
    )
    torch.testing.assert_close(pooling(x).flatten(2), expected)
    for size in ((1, 1), (4, 9), (16, 30)):
        assert pooling(torch.rand(1, 2, *size)).shape == (1, 2, 5, 5)


def test_the_auxiliary_loss_counts_four_tenths() -> None:
    torch.manual_seed(0)
    network = build(find("inception_v3"), classes=3, options={"dropout": 0.0})
    batch = Batch(images=torch.rand(4, 3, 75, 75), targets=torch.tensor([0, 1, 2, 0]), placements=[], ids=[])
    task = Classification(("a", "b", "c"))
    with torch.no_grad():
        answer = network.train()(batch.images)
        assert len(answer.auxiliary) == 1
        expected = F.cross_entropy(answer.logits, batch.targets)
        expected += 0.4 * F.cross_entropy(answer.auxiliary[0], batch.targets)
        torch.testing.assert_close(sum(task.losses(network, batch).values()), expected)
        answer = network.eval()(batch.images)
        assert answer == Output(answer.logits, ())
        assert set(task.losses(network, batch)) == {"cross_entropy"}


def test_too_small_images_are_refused() -> None:
    network = shapeless("inception_v3")
    assert network(torch.empty(1, 3, 75, 75, device="meta")).logits.shape == (1, 1000)
    with pytest.raises(ShapeError, match="75x80"):
        network(torch.empty(1, 3, 74, 80, device="meta"))


def test_one_image_must_leave_every_batchnorm_two_values() -> None:
    network = shapeless("inception_v3").train()
    for size in ((298, 347), (299, 346)):
        with pytest.raises(ShapeError, match="two images or more"):
            network(torch.empty(1, 3, *size, device="meta"))
    assert len(network(torch.empty(1, 3, 347, 299, device="meta")).auxiliary) == 1
    # A backbone has no auxiliary head.
    with pytest.raises(ShapeError, match="more than one value a channel"):
        network.features(torch.empty(1, 3, 106, 106, device="meta"))
    assert network.features(torch.empty(1, 3, 75, 107, device="meta"))[32].shape == (1, 2048, 1, 2)
