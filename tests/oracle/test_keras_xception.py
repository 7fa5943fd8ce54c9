"""The author's Xception, that of Keras, with the same weights, answers the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from visus.models.building import build
from visus.models.catalog import find


def keras_values(layer: Any) -> list[Tensor]:
    return [torch.from_numpy(value) for value in layer.get_weights()]


def set_layer(ours: nn.Module, values: list[Tensor]) -> None:
    """Values of one layer of Keras, its axes in our order: [kh,kw,i,o] -> [o,i,kh,kw]."""
    if isinstance(ours, nn.BatchNorm2d):
        assert ours.running_mean is not None
        assert ours.running_var is not None
        targets: list[Tensor] = [ours.weight, ours.bias, ours.running_mean, ours.running_var]
    elif isinstance(ours, nn.Linear):
        targets, values = [ours.weight, ours.bias], [values[0].T, values[1]]
    elif isinstance(ours, nn.Conv2d):
        targets, values = [ours.weight], [values[0].permute(3, 2, 0, 1)]
    else:  # separable: the kernel of each channel, then the mixing one
        targets = [child.weight for child in ours.children()]
        values = [values[0].permute(2, 3, 0, 1), values[1].permute(3, 2, 0, 1)]
    for target, value in zip(targets, values, strict=True):
        assert target.shape == value.shape
        target.data.copy_(value)


@pytest.mark.slow  # a second network and Keras itself: 22 CPU seconds
def test_xception_answers_as_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    from visus.models.classification.xception import SeparableConvolution

    torch.manual_seed(0)
    theirs = keras.applications.Xception(weights=None, classes=7, input_shape=(128, 96, 3), classifier_activation=None)
    for layer in theirs.layers:
        if "batch_normalization" in layer.name or layer.name.endswith("_bn"):
            assert (layer.epsilon, layer.momentum) == (0.001, 0.99)
    ours = build(find("xception"), classes=7, options={"dropout": 0.0})
    assert {(m.eps, m.momentum) for m in ours.modules() if isinstance(m, nn.BatchNorm2d)} == {(0.001, 0.01)}
    kinds = (nn.BatchNorm2d, nn.Conv2d, nn.Linear, SeparableConvolution)
    inside = {id(child) for m in ours.modules() if isinstance(m, SeparableConvolution) for child in m.children()}
    mine = [m for m in ours.modules() if isinstance(m, kinds) and id(m) not in inside]
    norms: list[tuple[Any, Any]] = []
    for kind, name in (
        (nn.BatchNorm2d, "BatchNormalization"),
        (nn.Conv2d, "Conv2D"),
        (nn.Linear, "Dense"),
        (SeparableConvolution, "SeparableConv2D"),
    ):
        # Ours list a block's shortcut behind its layers, theirs before: both are in the order of the blocks.
        given = [layer for layer in theirs.layers if type(layer).__name__ == name]
        layers = [m for m in mine if type(m) is kind]
        if kind is nn.BatchNorm2d:
            shortcut = {id(m.skipbn) for m in ours.modules() if hasattr(m, "skipbn")}
            layers.sort(key=lambda m: id(m) in shortcut)  # stable
            given.sort(key=lambda layer: layer.name.startswith("batch_normalization"))
        assert len(layers) == len(given)
        for layer, other in zip(layers, given, strict=True):
            set_layer(layer, keras_values(other))
            if kind is nn.BatchNorm2d:
                norms.append((layer, other))
    images = torch.rand(2, 3, 128, 96) * 2 - 1
    with torch.no_grad():
        for norm, _ in norms:  # scales and statistics that keep the signal, and are not those of the beginning
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_(0, 0.1)
            norm.momentum = 1.0
        ours.train()(images)
        ours.eval()
        for norm, other in norms:
            other.set_weights([v.numpy() for v in (norm.weight, norm.bias, norm.running_mean, norm.running_var)])
        expected = theirs(images.permute(0, 2, 3, 1), training=False).cpu()
        torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
        port = build(find("xception@timm"), classes=7).eval()
        port.load_state_dict(ours.state_dict())
        assert (port(images) - expected).abs().max() > 0.01 * expected.abs().max()
