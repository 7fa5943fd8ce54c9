"""timm's ports of NASNet-A large and PNASNet-5 large, with the same weights, answer the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from visus.errors import WeightsError
from visus.layers.same_padding import SameAvgPool2d
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.nas_cells import CellNetworkAuxiliaryHead
from visus.models.classification.nas_weights import nasnet_from_timm, pnasnet_from_timm

CASES = [("nasnet_a_large", "nasnetalarge", nasnet_from_timm), ("pnasnet_5_large", "pnasnet5large", pnasnet_from_timm)]


def without_zeros_in_means(network: nn.Module) -> None:
    """timm's strided average poolings count SAME padding's zeros; TensorFlow's, with which it was trained, do not."""
    from timm.layers.pool2d_same import AvgPool2dSame

    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, AvgPool2dSame):
                setattr(module, name, SameAvgPool2d(3, stride=2))


@pytest.mark.parametrize(
    ("name", "theirs_name", "convert"), [CASES[0], pytest.param(*CASES[1], marks=pytest.mark.full)]
)
def test_it_answers_as_timm(
    name: str, theirs_name: str, convert: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
) -> None:
    import timm

    torch.manual_seed(0)
    theirs = timm.create_model(theirs_name, num_classes=11)
    without_zeros_in_means(theirs)
    with torch.device("meta"):
        ours = build(find(name), classes=11, options={"dropout": 0.0, "drop_path": 0.0})
    auxiliary = CellNetworkAuxiliaryHead(ours.channels[16], 11, side=6, scale=1.0)  # which timm's have not
    state = {**convert(theirs.state_dict()), **auxiliary.state_dict(prefix="auxiliary.")}
    ours.load_state_dict({key: value.clone() for key, value in state.items()}, assign=True)
    with torch.no_grad():
        images = torch.rand(2, 3, 75, 50)  # odd sides: SAME padding is one-sided
        expected = theirs.eval()(images)
        scale = expected.std()
        torch.testing.assert_close(ours.eval()(images).logits / scale, expected / scale, atol=1e-4, rtol=1e-4)
        images = torch.rand(3, 3, 64, 64)
        torch.testing.assert_close(ours.train()(images).logits, theirs.train()(images), atol=1e-3, rtol=1e-3)
    expected = convert(theirs.state_dict())
    for key, value in ours.state_dict().items():
        if not key.startswith("auxiliary."):
            torch.testing.assert_close(value, expected[key], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(("name", "theirs_name", "convert"), CASES)
def test_cards_and_states_agree_with_timm(
    name: str, theirs_name: str, convert: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
) -> None:
    import timm

    card = find(name)
    with torch.device("meta"):
        ours, theirs = build(card), timm.create_model(theirs_name)
    expected = {key: value.shape for key, value in convert(theirs.state_dict()).items()}
    assert {key: v.shape for key, v in ours.state_dict().items() if not key.startswith("auxiliary.")} == expected
    config = timm.get_pretrained_cfg(f"{theirs_name}.tf_in1k")
    assert card.weights[0].url == f"https://huggingface.co/{config.hf_hub_id}/resolve/main/model.safetensors"
    assert (card.input, card.preprocessing.mean, card.preprocessing.std) == (config.input_size, config.mean, config.std)


def test_foreign_names_are_refused() -> None:
    for convert in (nasnet_from_timm, pnasnet_from_timm):
        for name in ("layer1.0.conv1.weight", "cell_0.conv_9x9.weight", "cell_0.comb_iter_0_left.norm.weight"):
            with pytest.raises(WeightsError, match="NASNet"):
                convert({name: torch.zeros(1)})
