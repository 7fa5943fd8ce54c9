"""MobileNet v2: the folded edition is the published one folded, and survives fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from networks import shapeless
from visus.analysis.summary import summarize
from visus.errors import RecipeError
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.tflite_weights import v2_layers
from visus.models.weights import load_weights

TF = find("mobilenet_v2@tf")


def test_folding_the_batchnorms_of_the_paper_gives_the_folded_network() -> None:
    torch.manual_seed(0)
    plain = build(find("mobilenet_v2")).eval()
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value, low, high in ((module.weight, 0.8, 1.6), (module.running_var, 0.5, 1.5)):
                nn.init.uniform_(value, low, high)  # type: ignore[arg-type]
            for value in (module.bias, module.running_mean):
                nn.init.uniform_(value, -0.2, 0.2)  # type: ignore[arg-type]
    folded = build(TF, options={"background": False}).eval()
    layers = [m for m in plain.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d | nn.Linear)]
    targets = [m for m in folded.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        for target, convolution, norm in zip(targets, layers[0::2], layers[1::2], strict=False):
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()  # type: ignore[operator]
            target.weight.copy_(convolution.weight * scale[:, None, None, None])
            target.bias.copy_(norm.bias - norm.running_mean * scale)  # type: ignore[union-attr, operator]
        targets[-1].load_state_dict(layers[-1].state_dict())
        # At odd sizes TensorFlow's padding and torch's are the same: 225 -> 113 -> 57 -> 29 -> 15 -> 8.
        torchvision = build(find("mobilenet_v2@torchvision")).eval()
        torchvision.load_state_dict(plain.state_dict())
        for module in torchvision.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 0.001
        for image, pads_alike in ((torch.rand(1, 3, 225, 225), True), (torch.rand(1, 3, 224, 224), False)):
            expected = plain(image)
            limit = 1e-5 * float(expected.abs().max())
            assert (folded(image) - expected).abs().max() < limit
            assert ((torchvision(image) - expected).abs().max() < limit) == pads_alike


@pytest.mark.parametrize(
    ("width", "operations", "parameters"),
    # Millions, as the authors' table of released checkpoints prints them (tensorflow/models, slim/nets/mobilenet).
    [(1.4, 582, 6.06), (1.3, 509, 5.34), (1.0, 300, 3.47), (0.75, 209, 2.61), (0.5, 97, 1.95), (0.35, 59, 1.66)],
)
def test_the_multiplier_costs_what_the_authors_print(width: float, operations: int, parameters: float) -> None:
    network = shapeless("mobilenet_v2", options={"width": width})
    counted = summarize(network, (3, 224, 224))
    norms = sum(2 * m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    assert (counted.parameters - norms) / 1e6 == pytest.approx(parameters, abs=0.005)  # without BatchNorm's
    assert counted.macs / 1e6 == pytest.approx(operations, abs=1)  # 300.8 is printed as 300
    if (
        width == 1.4
    ):  # table 4 prints 585M and 6.9M: the latter is not what these layers have, with BatchNorm or without
        assert counted.parameters == 6_108_776


def test_a_narrow_network_keeps_its_last_convolution() -> None:
    # Section 4: "for multipliers less than one, we apply width multiplier to all layers except the very last".
    assert shapeless("mobilenet_v2", options={"width": 0.35}).channels == {2: 8, 4: 8, 8: 16, 16: 32, 32: 1280}
    assert shapeless("mobilenet_v2", options={"width": 1.4}).channels == {2: 24, 4: 32, 8: 48, 16: 136, 32: 1792}
    assert shapeless("mobilenet_v2@tf", options={"width": 0.5}).channels[32] == 1280
    for wrong in (0, -1, 5, "wide"):
        with pytest.raises(RecipeError, match="width"):
            build(find("mobilenet_v2"), options={"width": wrong})


@pytest.mark.parametrize("width", [0.35, 0.5, 0.75, 1.4])
def test_widths_are_those_of_timm(width: float) -> None:
    import timm

    with torch.device("meta"):
        theirs = timm.create_model(f"mobilenetv2_{int(width * 100):03d}" if width != 0.75 else "mobilenetv2_075")
    ours = shapeless("mobilenet_v2", options={"width": width})
    shapes = [tuple(value.shape) for value in ours.parameters()]
    assert shapes == [tuple(value.shape) for value in theirs.parameters()]


def test_background_is_the_first_output_and_is_not_answered() -> None:
    network = build(TF, classes=7).eval()
    with torch.no_grad():
        features = network.features(torch.rand(2, 3, 64, 64))
        assert network.all_logits(features).shape == (2, 8)
        assert torch.equal(network.from_features(features, (64, 64)), network.all_logits(features)[:, 1:])
    assert build(TF, classes=7, options={"background": False}).classifier[1].out_features == 7


def test_layer_names_are_those_of_the_network() -> None:
    modules = {name for name, m in build(TF).named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    assert list(v2_layers()) == sorted(modules, key=list(v2_layers()).index)
    assert len(modules) == 53


@pytest.fixture(scope="module")
def released(shared_data: Callable[[str], Path]) -> Path:
    return shared_data("weights/mobilenet_v2_1.0_224.npz")


Photos = Callable[[int], Iterator[tuple[Tensor, Tensor]]]
Accuracies = Callable[[nn.Module, Iterator[tuple[Tensor, Tensor]]], tuple[float, float]]


@pytest.fixture(scope="module")
def photos(imagenet_photos: Callable[..., Iterator[tuple[Tensor, Tensor]]]) -> Photos:
    return lambda count: imagenet_photos(TF.preprocessing, count)


def test_released_weights_classify_photos(released: Path, photos: Photos, accuracies: Accuracies) -> None:
    network = build(TF).eval()
    load_weights(network, TF, released)
    top1, top5 = accuracies(network, photos(20))
    assert top1 >= 0.7
    assert top5 >= 0.9


@pytest.mark.slow
def test_released_weights_reach_the_measured_accuracy(released: Path, photos: Photos, accuracies: Accuracies) -> None:
    network = build(TF).eval()
    load_weights(network, TF, released)
    top1, top5 = accuracies(network, photos(200))
    assert top1 == pytest.approx(0.85, abs=0.005)  # measured with numpy on these 200 photos: 85.0 / 98.0
    assert top5 == pytest.approx(0.98, abs=0.005)


@pytest.mark.parametrize(
    "optimiser",
    [
        # The first step of the default recipe: AdamW of 1e-3, a tenth of it for the body, after a tenth of the warm-up.
        lambda head, body: torch.optim.AdamW([{"params": head}, {"params": body, "lr": 1e-5}], lr=1e-4),
        pytest.param(
            lambda head, body: torch.optim.SGD([{"params": head}, {"params": body, "lr": 1e-4}], lr=1e-2, momentum=0.9),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["adamw", "sgd"],
)
def test_a_step_of_training_does_not_destroy_the_features(
    released: Path, photos: Photos, optimiser: Callable[..., torch.optim.Optimizer]
) -> None:
    torch.manual_seed(0)
    network = build(TF, classes=2)
    load_weights(network, TF, released)
    images, classes = next(photos(10))
    with torch.no_grad():
        before = network.eval().features(images)[32].mean((2, 3))
    steps = optimiser(list(network.classifier.parameters()), list(network.features.parameters()))
    nn.functional.cross_entropy(network.train()(images), classes % 2).backward()
    steps.step()
    with torch.no_grad():
        after = network.eval().features(images)[32]
        # Training and answering are the same function: no statistics depend on the batch.
        torch.testing.assert_close(network.train().features(images)[32], after)
    assert nn.functional.cosine_similarity(before, after.mean((2, 3))).min() > 0.99
    assert not torch.equal(before, after.mean((2, 3)))


def test_the_graphs_own_layer_list_agrees(shared_data: Callable[[str], Path]) -> None:
    import json

    graph = json.loads(shared_data("weights/mobilenet_v2_1.0_224.layers.json").read_text(encoding="utf-8"))
    network = build(TF)
    modules = dict(network.named_modules())
    convolutions = [layer for layer in graph["layers"] if "key" in layer]
    for layer, name in zip(convolutions, v2_layers(), strict=True):
        module = modules[name]
        assert layer["padding"] == "SAME"
        assert list(module.weight.shape) == layer["shape"][: module.weight.ndim], name  # type: ignore[union-attr, arg-type]
        if isinstance(module, nn.Conv2d):
            assert list(module.stride) == layer["stride"], name
    residuals = sum(getattr(module, "is_residual", False) for module in network.modules())
    assert residuals == sum(layer["op"] == "add" for layer in graph["layers"]) == 10
