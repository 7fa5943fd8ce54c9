"""Where timm publishes weights, and how it prepares images for them, is what the cards say."""

from __future__ import annotations

import pytest

from visus.models.catalog import CARDS

NAMES = {
    "se_resnet50": "legacy_seresnet50",
    "se_resnet101": "legacy_seresnet101",
    "se_resnet152": "legacy_seresnet152",
    "se_resnext50_32x4d": "legacy_seresnext50_32x4d",
    "se_resnext101_32x4d": "legacy_seresnext101_32x4d",
    "senet154": "legacy_senet154",
    "xception": "legacy_xception",
    "mobilenet_v1": "mobilenetv1_100",
}
PUBLISHED = [card for card in CARDS if card.edition == "timm" and card.weights]


@pytest.mark.parametrize("card", PUBLISHED, ids=lambda card: card.full_name)
def test_the_card_agrees_with_timms_record(card) -> None:  # type: ignore[no-untyped-def]
    from timm.models import get_pretrained_cfg

    (file,) = card.weights
    name = NAMES.get(card.name, card.name)
    if file.url.startswith("https://huggingface.co/"):
        tag = file.url.split("/")[4].partition(".")[2]
        theirs = get_pretrained_cfg(f"{name}.{tag}")
        assert theirs.hf_hub_id == f"timm/{name}.{tag}" == "/".join(file.url.split("/")[3:5])
    else:
        theirs = get_pretrained_cfg(name)
        assert file.url == theirs.url
    assert (theirs.mean, theirs.std) == (card.preprocessing.mean, card.preprocessing.std)
    assert theirs.input_size == card.input
    assert theirs.crop_pct == pytest.approx(card.preprocessing.crop_fraction, abs=0.03)
