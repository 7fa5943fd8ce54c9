"""What the GoogLeNet paper and its Caffe release say of the network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visus.errors import ShapeError
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.googlenet import GoogLeNet, PoolingTo4x4
from visus.models.protocols import Output
from visus.proof.published import fact
from visus.structures import Batch
from visus.tasks.classification import Classification


def network(name: str = "googlenet", classes: int = 3) -> GoogLeNet:
    torch.manual_seed(0)
    return build(find(name), classes=classes, options={"dropout": 0.0, "auxiliary_dropout": 0.0})


@pytest.mark.parametrize("name", ["googlenet", "googlenet@torchvision"])
def test_parameters_with_and_without_the_auxiliary_heads(name: str) -> None:
    with torch.device("meta"):
        whole = build(find(name))
    published = fact(find(name).fact)
    heads = sum(p.numel() for head in whole.auxiliary_heads for p in getattr(whole, head).parameters())
    assert sum(p.numel() for p in whole.parameters()) == published["params_with_auxiliary"]
    assert sum(p.numel() for p in whole.parameters()) - heads == published["params"]


def test_weights_begin_with_a_variance_of_one_over_fan_in_and_biases_at_a_fifth() -> None:
    net = network(classes=1000)  # bvlc_googlenet/train_val.prototxt: "xavier" fillers, constants 0.2, 0 for classifiers
    classifiers = (net.fc, net.aux1.fc2, net.aux2.fc2)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            fan_in = layer.weight[0].numel()
            assert float(layer.weight.detach().var()) * fan_in == pytest.approx(1, rel=0.1)
            assert layer.weight.abs().max() <= 1.0001 * (3 / fan_in) ** 0.5
            assert torch.equal(layer.bias, torch.full_like(layer.bias, 0.0 if layer in classifiers else 0.2))


def test_responses_are_normalised_over_five_neighbouring_maps() -> None:
    x = torch.rand(1, 8, 1, 1) * 100
    a = x[0, :, 0, 0].double()
    expected = torch.empty(8, dtype=torch.float64)
    for i in range(8):  # Krizhevsky et al. 2012, section 3.3, with bvlc_googlenet's constants
        total = sum(a[j] ** 2 for j in range(max(0, i - 2), min(7, i + 2) + 1))
        expected[i] = a[i] / (1 + 1e-4 / 5 * total) ** 0.75
    net = network()
    for norm in (net.norm1, net.norm2):
        torch.testing.assert_close(norm(x)[0, :, 0, 0].double(), expected, rtol=1e-5, atol=1e-5)


def test_the_largest_kernels_are_five_by_five_but_in_torchvisions_edition() -> None:
    for name, side in (("googlenet", 5), ("googlenet@torchvision", 3)):
        modules = [m for path, m in network(name).named_modules() if path.endswith("branch3.1.conv")]
        assert len(modules) == 9
        assert all(m.kernel_size == (side, side) for m in modules)


def test_the_auxiliary_pooling_takes_windows_of_five_at_stride_three() -> None:
    pooling = PoolingTo4x4(as_in_paper=True)
    x = torch.rand(1, 2, 14, 14)
    expected = torch.stack(
        [x[..., 3 * i : 3 * i + 5, 3 * j : 3 * j + 5].mean((2, 3)) for i in range(4) for j in range(4)], -1
    )
    torch.testing.assert_close(pooling(x).flatten(2), expected)
    for size in ((1, 1), (7, 9), (14, 30), (17, 17)):
        assert pooling(torch.rand(1, 2, *size)).shape == (1, 2, 4, 4)


@pytest.mark.parametrize("name", ["googlenet", "googlenet@torchvision"])
def test_each_auxiliary_loss_counts_three_tenths(name: str) -> None:
    net = network(name)
    batch = Batch(images=torch.rand(4, 3, 64, 64), targets=torch.tensor([0, 1, 2, 0]), placements=[], ids=[])
    answer = net.train()(batch.images)
    losses = [F.cross_entropy(logits, batch.targets) for logits in (answer.logits, *answer.auxiliary)]
    assert len(losses) == 3
    terms = Classification(("a", "b", "c")).losses(net, batch)
    torch.testing.assert_close(sum(terms.values()), losses[0] + 0.3 * (losses[1] + losses[2]))
    with torch.no_grad():
        assert set(Classification(("a", "b", "c")).losses(net.eval(), batch)) == {"cross_entropy"}


def test_the_auxiliary_heads_see_modules_4a_and_4d_and_rest_in_eval() -> None:
    net = network()
    seen: dict[str, Tensor] = {}
    for name in ("inception4a", "inception4d", "aux1.avgpool", "aux2.avgpool"):
        net.get_submodule(name).register_forward_hook(
            lambda _, inputs, output, name=name: seen.update({name: inputs[0] if "aux" in name else output})
        )
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert len(net.train()(images).auxiliary) == 2
        assert seen["aux1.avgpool"] is seen["inception4a"]
        assert seen["aux2.avgpool"] is seen["inception4d"]
        seen.clear()
        answer = net.eval()(images)
    assert answer == Output(answer.logits, ())
    assert set(seen) == {"inception4a", "inception4d"}


def test_the_papers_dropout() -> None:
    with torch.device("meta"):
        net = build(find("googlenet"))
    assert (net.dropout.p, net.aux1.dropout.p, net.aux2.dropout.p) == (0.4, 0.7, 0.7)  # sections 5 and 6, table 1


@pytest.mark.parametrize(("name", "smallest"), [("googlenet", 31), ("googlenet@torchvision", 15)])
def test_images_of_which_nothing_is_left_are_refused(name: str, smallest: int) -> None:
    with torch.device("meta"):
        net = build(find(name)).eval()
    assert net(torch.empty(1, 3, smallest, smallest, device="meta")).logits.shape == (1, 1000)
    with pytest.raises(ShapeError) as caught:
        net(torch.empty(1, 3, smallest - 1, 40, device="meta"))
    assert f"{smallest}x40" in caught.value.remedy


def test_one_small_image_is_too_little_for_batchnorm() -> None:
    with torch.device("meta"):
        net = build(find("googlenet@torchvision")).train()
    with pytest.raises(ShapeError, match="more than one value a channel"):
        net(torch.empty(1, 3, 46, 40, device="meta"))
    assert net(torch.empty(1, 3, 47, 15, device="meta")).logits.shape == (1, 1000)
