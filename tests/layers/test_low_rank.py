"""Truncated singular value decomposition of dense layers, against numpy's and the theorem of Eckart and Young."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from visus.errors import RecipeError
from visus.layers.low_rank import LowRankLinear, put_low_ranks, truncated


def weight_of(layer: LowRankLinear) -> Tensor:
    return (layer.second.weight @ layer.first.weight).detach()


@pytest.mark.parametrize(("inputs", "outputs"), [(30, 12), (12, 30), (16, 16), (9000, 4)])
def test_it_is_numpys_truncated_product(inputs: int, outputs: int) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(inputs, outputs).double()
    left, values, right = np.linalg.svd(layer.weight.detach().numpy(), full_matrices=False)
    for rank in (1, 3, min(inputs, outputs)):
        small = truncated(layer, rank)
        expected = (left[:, :rank] * values[:rank]) @ right[:rank]
        np.testing.assert_allclose(weight_of(small).numpy(), expected, atol=1e-9)
        error = float(torch.linalg.norm(layer.weight.detach() - weight_of(small)))
        assert error == pytest.approx(np.sqrt((values[rank:] ** 2).sum()), abs=1e-9)  # Eckart and Young
        assert sum(p.numel() for p in small.parameters()) == rank * (inputs + outputs) + outputs


def test_no_other_product_of_this_rank_is_nearer() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(20, 14)
    best = torch.linalg.norm(layer.weight - weight_of(truncated(layer, 4)))
    for _ in range(50):
        other = truncated(layer, 4)
        for part in (other.first, other.second):
            part.weight.data += 0.05 * torch.randn_like(part.weight)
        assert torch.linalg.norm(layer.weight - weight_of(other)) > best


def test_the_full_rank_changes_no_answer() -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(20, 14), torch.randn(5, 20)
    torch.testing.assert_close(truncated(layer, 14)(x), layer(x), atol=1e-5, rtol=1e-5)
    plain = nn.Linear(20, 14, bias=False).half()
    small = truncated(plain, 14)
    assert small.first.weight.dtype == torch.float16
    assert not small.second.bias.any()
    assert not truncated(layer.eval(), 2).training


def test_layers_are_found_by_the_end_of_their_names() -> None:
    network = nn.ModuleDict({"regions": nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 4)), "other": nn.Linear(4, 4)})
    put_low_ranks(network, {"regions.0": 2, "other": 3})
    assert isinstance(network.regions[0], LowRankLinear)  # type: ignore[union-attr, index]
    assert network["other"].first.out_features == 3
    with pytest.raises(RecipeError, match=r"no dense layer fc6(.|\n)*regions.1"):
        put_low_ranks(network, {"fc6": 1})
    with pytest.raises(RecipeError, match="1 to 4"):
        put_low_ranks(network, {"1": 5})
    with pytest.raises(RecipeError, match="several"):
        put_low_ranks(
            nn.ModuleDict({"a": nn.ModuleList([nn.Linear(2, 2)]), "b": nn.ModuleList([nn.Linear(2, 2)])}), {"0": 1}
        )
