"""timm's Inception-v4 and Inception-ResNet-v2, with the same weights, answer the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor

from visus.errors import WeightsError
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.inception_v4_weights import resnet_v2_from_timm, v4_from_timm

Converter = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


@pytest.mark.parametrize(
    ("name", "convert"),
    [
        ("inception_v4", v4_from_timm),
        pytest.param("inception_resnet_v2", resnet_v2_from_timm, marks=pytest.mark.full),
    ],
)
def test_the_timm_edition_answers_as_timm(name: str, convert: Converter) -> None:
    import timm

    torch.manual_seed(0)
    theirs = timm.create_model(name, num_classes=11)
    ours = build(find(f"{name}@timm"), classes=11, options={"dropout": 0.0})
    ours.load_state_dict(convert(theirs.state_dict()))
    with torch.no_grad():
        images = torch.rand(2, 3, 97, 75)
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images), atol=1e-4, rtol=1e-4)
        images = torch.rand(3, 3, 139, 107)
        torch.testing.assert_close(ours.train()(images), theirs.train()(images), atol=1e-3, rtol=1e-3)
    expected = convert(theirs.state_dict())
    for key, value in ours.state_dict().items():
        torch.testing.assert_close(value, expected[key], atol=1e-4, rtol=1e-4)


def test_foreign_names_are_refused() -> None:
    for convert in (v4_from_timm, resnet_v2_from_timm):
        with pytest.raises(WeightsError, match="conv1"):
            convert({"conv1.weight": torch.zeros(1)})
