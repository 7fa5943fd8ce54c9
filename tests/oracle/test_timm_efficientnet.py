"""The paper's EfficientNets answer as timm's ports of the released ones, with the same weights."""

from __future__ import annotations

import pytest
import torch

from visus.errors import WeightsError
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.efficientnet_weights import from_timm


@pytest.mark.parametrize("size", [(64, 64), (97, 70)])
def test_b0_answers_as_timm(size: tuple[int, int]) -> None:
    import timm

    torch.manual_seed(0)
    theirs = timm.create_model("tf_efficientnet_b0", num_classes=11, bn_momentum=0.01)  # the released one
    ours = build(find("efficientnet_b0"), classes=11, options={"dropout": 0.0, "drop_connect": 0.0})
    ours.load_state_dict(from_timm(theirs.state_dict()))
    images = torch.rand(2, 3, *size)
    with torch.no_grad():
        for mode in (False, True):
            torch.testing.assert_close(ours.train(mode)(images), theirs.train(mode)(images), atol=1e-4, rtol=1e-4)
    statistics = from_timm(theirs.state_dict())
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, statistics[name], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("number", range(8))
def test_states_and_cards_agree_with_timm(number: int) -> None:
    import timm

    card = find(f"efficientnet_b{number}")
    with torch.device("meta"):
        ours, theirs = build(card), timm.create_model(f"tf_efficientnet_b{number}")
    state = from_timm(theirs.state_dict())
    assert {name: value.shape for name, value in ours.state_dict().items()} == {
        name: value.shape for name, value in state.items()
    }
    config = timm.get_pretrained_cfg(f"tf_efficientnet_b{number}.aa_in1k")
    assert card.weights[0].url == f"https://huggingface.co/{config.hf_hub_id}/resolve/main/model.safetensors"
    assert card.input == config.input_size
    assert card.preprocessing.crop_fraction == pytest.approx(config.crop_pct, abs=1e-3)  # cut to three digits
    assert (card.preprocessing.mean, card.preprocessing.std) == (config.mean, config.std)


def test_foreign_names_are_refused() -> None:
    with pytest.raises(WeightsError, match="EfficientNet"):
        from_timm({"blocks.1.0.conv_dw.weight": torch.zeros(1), "layer1.0.conv1.weight": torch.zeros(1)})
