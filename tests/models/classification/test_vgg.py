"""VGG: how its networks begin, and its table of memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from networks import shapeless
from visus.analysis.summary import summarize
from visus.errors import ShapeError, WeightsError
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.vgg import ConvolutionalStages, convolutions, grow_from
from visus.models.weights import load_weights

NAMES = {"A": "vgg11", "A-LRN": "vgg11_lrn", "B": "vgg13", "C": "vgg16_c", "D": "vgg16", "E": "vgg19"}


def trained_a(**choices: object) -> dict[str, Tensor]:
    """A state of configuration A, each parameter of one value of its own, which take no memory."""
    shapes = shapeless("vgg11", **choices).state_dict()
    return {name: torch.tensor(1.0 + i).expand(value.shape) for i, (name, value) in enumerate(shapes.items())}


@pytest.mark.parametrize("configuration", NAMES)
def test_the_names_of_the_convolutions_are_those_of_the_network(configuration: str) -> None:
    network = shapeless(NAMES[configuration])
    modules = [f"features.{name}" for name, m in network.features.named_children() if isinstance(m, nn.Conv2d)]
    assert [name for _, name in convolutions(configuration)] == modules  # type: ignore[arg-type]


@pytest.mark.parametrize("configuration", ["B", "C", "D", "E"])
def test_a_deeper_network_begins_with_four_convolutions_and_the_dense_layers_of_a(configuration: str) -> None:
    torch.manual_seed(0)
    a, network = trained_a(), shapeless(NAMES[configuration], options={"initialisation": "normal"})
    initial = network.initial_state_from(a)
    assert initial is not None
    values, drawn = initial
    # A's convolutions are conv1_1, conv2_1, conv3_1 and conv3_2 (features.0, 3, 6, 8); ours by their place.
    ours = {name: value for name, value in values.items() if name not in drawn}
    places = dict(convolutions(configuration))  # type: ignore[arg-type]
    pairs = {places[0, 0]: "features.0", places[1, 0]: "features.3"}
    pairs |= {places[2, 0]: "features.6", places[2, 1]: "features.8"}
    pairs |= {f"classifier.{i}": f"classifier.{i}" for i in (0, 3, 6)}
    assert set(ours) == {f"{layer}.{kind}" for layer in pairs for kind in ("weight", "bias")}
    for layer, source in pairs.items():
        for kind in ("weight", "bias"):
            assert torch.equal(ours[f"{layer}.{kind}"], a[f"{source}.{kind}"])
    assert values.keys() == network.state_dict().keys()
    for name in drawn:
        if name.endswith("bias"):
            assert not values[name].any()
        else:  # section 3.1: zero mean and a variance of 0.01; the smallest kernel has 36,864 values
            assert abs(values[name].mean().item()) < 0.002
            assert values[name].var().item() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("name", ["vgg11", "vgg11_lrn"])
def test_a_itself_does_not_grow(name: str) -> None:
    with pytest.raises(WeightsError, match="grows from a trained configuration A"):
        grow_from(shapeless(name), trained_a())


def test_only_an_a_of_as_many_channels_is_grown_from() -> None:
    network = shapeless("vgg13")
    for state in ({}, shapeless("vgg13").state_dict(), trained_a(in_channels=1)):
        with pytest.raises(WeightsError, match="vgg11"):
            grow_from(network, state)


def test_growing_names_what_was_drawn() -> None:
    network = shapeless("vgg13", classes=7, options={"initialisation": "normal"})
    network.to_empty(device="cpu")
    assert grow_from(network, trained_a()) == (  # conv1_2, conv2_2, conv4_1 to conv5_2, and fc8 of other classes
        *("features.2", "features.7", "features.15", "features.17", "features.20", "features.22"),
        "classifier.6",
    )
    assert torch.equal(network.classifier[3].weight, trained_a()["classifier.3.weight"])
    assert network.classifier[6].weight.var().item() == pytest.approx(0.01, rel=0.05)


def test_the_file_of_an_a_is_taken_as_weights_of_a_deeper_network(tmp_path: Path) -> None:
    torch.save(trained_a(), tmp_path / "vgg11.pth")
    network = shapeless("vgg13", in_channels=1).to_empty(device="cpu")
    report = load_weights(network, find("vgg13"), tmp_path / "vgg11.pth")
    assert (report.loaded, len(report.left_random)) == (14, 12)
    assert "14 tensors kept from vgg11.pth" in str(report)
    assert "random values: features.15, features.17, features.2, features.20, features.22, features.7" in str(report)
    assert report.adapted == ("features.0.weight",)
    state = network.state_dict()
    assert torch.equal(state["features.10.bias"], trained_a()["features.6.bias"])
    glorot = 1 / (9 * 512)  # Glorot & Bengio 2010, of 3x3x512 to 3x3x512: the network's own way to begin
    assert state["features.22.weight"].var().item() == pytest.approx(glorot, rel=0.05)
    with pytest.raises(WeightsError, match="another network"):
        load_weights(shapeless("vgg11_lrn"), find("vgg11_lrn"), tmp_path / "vgg11.pth")


@pytest.mark.parametrize(
    ("initialisation", "convolution", "dense"),
    # Section 3.1: a variance of 0.01. Glorot & Bengio 2010: 2 / (inputs + outputs), of 3x3x512 each, and of 4096 each.
    [("normal", 0.01, 0.01), ("glorot", 1 / (9 * 512), 1 / 4096)],
)
def test_initial_values(initialisation: str, convolution: float, dense: float) -> None:
    torch.manual_seed(0)
    network = build(find("vgg11"), classes=2, options={"initialisation": initialisation})
    for layer, variance in ((network.features[18], convolution), (network.classifier[3], dense)):
        assert layer.weight.var().item() == pytest.approx(variance, rel=0.01)
        assert abs(layer.weight.mean().item()) < 0.01 * variance**0.5
        assert not layer.bias.any()


def test_a_lrn_is_a_with_a_response_normalisation_before_its_first_pooling() -> None:
    plain, normalised = ConvolutionalStages("A", 3), ConvolutionalStages("A-LRN", 3)
    kinds = [type(layer).__name__ for layer in normalised][:4]
    assert kinds == ["Conv2d", "ReLU", "ResponseNormalization", "MaxPool2d"]
    for ours, theirs in zip(convolutions("A-LRN"), convolutions("A"), strict=True):
        normalised.get_submodule(ours[1].removeprefix("features.")).load_state_dict(
            plain.get_submodule(theirs[1].removeprefix("features.")).state_dict()
        )
    images = torch.rand(1, 3, 32, 32) * 50
    with torch.no_grad():
        first, other = plain(images), normalised(images)
        torch.testing.assert_close(other[1], normalised[2](first[1]))
        assert not torch.allclose(other[16], first[16], rtol=0.01)
        normalised[2].k, normalised[2].alpha = 1.0, 0.0  # type: ignore[assignment]
        torch.testing.assert_close(normalised(images)[16], first[16])


def test_the_memory_of_vgg16_is_the_sum_of_its_table() -> None:
    # The table that courses show for VGG-16 lists the image and the output of each convolution, pooling and dense
    # layer: 15,237,608 values, 60.95 MB in float32 (and not the 24M and 96 MB that they print below it).
    rows = [
        line
        for line in summarize(shapeless("vgg16"), (3, 224, 224)).lines
        if line.kind in ("Conv2d", "MaxPool2d", "Linear")
    ]
    assert len(rows) == 13 + 5 + 3
    assert 3 * 224 * 224 + sum(torch.Size(line.output).numel() for line in rows) == 15_237_608


def test_the_error_names_the_smallest_size() -> None:
    with pytest.raises(ShapeError, match="32x32"):
        build(find("vgg11@torchvision"), classes=2)(torch.zeros(1, 3, 31, 40))
