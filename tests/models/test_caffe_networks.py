"""The authors' networks, written in Caffe's format with random arrays: what visus answers with such a file is what
Caffe would. Layers, names and orders are those of the authors' prototxt files, which each function names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from caffe_nets import CaffeNet, Layer
from visus.errors import WeightsError
from visus.models import catalog
from visus.models.building import build
from visus.models.caffe_file import CaffeArrays, CaffeLayer
from visus.models.caffe_layers import Dense, Kernel, Norm, Source
from visus.models.classification import (
    googlenet_weights,
    resnet_weights,
    se_bn_inception_weights,
    senet_weights,
    vgg_weights,
)
from visus.models.classification.alexnet_weights import TABLE as ALEXNET
from visus.models.classification.alexnet_weights import from_caffe
from visus.models.on_meta import build_on_meta
from visus.models.protocols import Output
from visus.models.weights import load_weights


def squeezenet(side: int) -> tuple[CaffeNet, str]:
    """DeepScale/SqueezeNet, SqueezeNet_v1.0/train_val.prototxt."""
    net = CaffeNet((3, side, side))
    x = net.relu(net.conv("conv1", "data", 96, 7, stride=2))
    x = net.pool("pool1", x, 3, 2)
    for number, (squeezed, expanded) in enumerate(
        [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)], 2
    ):
        x = net.relu(net.conv(f"fire{number}/squeeze1x1", x, squeezed, 1))
        one = net.relu(net.conv(f"fire{number}/expand1x1", x, expanded, 1))
        three = net.relu(net.conv(f"fire{number}/expand3x3", x, expanded, 3, pad=1))
        x = net.concat(f"fire{number}/concat", [one, three])
        if number in (4, 8):
            x = net.pool(f"pool{number}", x, 3, 2)
    x = net.relu(net.conv("conv10", x, 1000, 1, pad=1))
    return net, net.mean("pool10", x)


def nin_cifar(side: int) -> tuple[CaffeNet, str]:
    """gist mavenlin/e56253735ef32c3c296d."""
    net = CaffeNet((3, side, side), deviation=1)
    x = "data"
    for number, (widths, kernel, pad) in enumerate(
        [((192, 160, 96), 5, 2), ((192, 192, 192), 5, 2), ((192, 192, 10), 3, 1)], 1
    ):
        x = net.relu(net.conv(f"conv{number}", x, widths[0], kernel, pad=pad))
        x = net.relu(net.conv(f"cccp{2 * number - 1}", x, widths[1], 1))
        x = net.relu(net.conv(f"cccp{2 * number}", x, widths[2], 1))
        if number < 3:
            x = net.pool(f"pool{number}", x, 3, 2, average=number == 2)
    return net, net.mean("pool3", x)


def nin_imagenet(side: int) -> tuple[CaffeNet, str]:
    """gist mavenlin/d802a5849de39225bcc6."""
    net = CaffeNet((3, side, side))
    x = net.relu(net.conv("conv1", "data", 96, 11, stride=4))
    names = [("cccp1", 96), ("cccp2", 96), ("conv2", 256), ("cccp3", 256), ("cccp4", 256), ("conv3", 384)]
    names += [("cccp5", 384), ("cccp6", 384), ("conv4-1024", 1024), ("cccp7-1024", 1024), ("cccp8-1024", 1000)]
    for name, out in names:
        if name.startswith("conv"):
            x = net.pool(f"before_{name}", x, 3, 2)
        kernel, pad = {"conv2": (5, 2), "conv3": (3, 1), "conv4-1024": (3, 1)}.get(name, (1, 0))
        x = net.relu(net.conv(name, x, out, kernel, pad=pad))
    return net, net.mean("pool4", x)


def alexnet(side: int, *, pools_first: bool = False) -> tuple[CaffeNet, str]:
    """BVLC/caffe, models/bvlc_alexnet; ``pools_first``: models/bvlc_reference_caffenet."""
    net = CaffeNet((3, side, side))
    x = net.relu(net.conv("conv1", "data", 96, 11, stride=4))
    for stage in (1, 2):
        if pools_first:
            x = net.lrn(f"norm{stage}", net.pool(f"pool{stage}", x, 3, 2))
        else:
            x = net.pool(f"pool{stage}", net.lrn(f"norm{stage}", x), 3, 2)
        if stage == 1:
            x = net.relu(net.conv("conv2", x, 256, 5, pad=2, group=2))
    x = net.relu(net.conv("conv3", x, 384, 3, pad=1))
    x = net.relu(net.conv("conv4", x, 384, 3, pad=1, group=2))
    x = net.relu(net.conv("conv5", x, 256, 3, pad=1, group=2))
    x = net.pool("pool5", x, 3, 2)
    for name in ("fc6", "fc7"):
        x = net.relu(net.dense(name, x, 4096))
    return net, net.dense("fc8", x, 1000)


def vgg(side: int, depths: tuple[int, ...]) -> tuple[CaffeNet, str]:
    """VGG_ILSVRC_16_layers_deploy and VGG_ILSVRC_19_layers_deploy (gists of ksimonyan)."""
    net = CaffeNet((3, side, side))
    x = "data"
    for stage, (depth, width) in enumerate(zip(depths, (64, 128, 256, 512, 512), strict=True), 1):
        for number in range(1, depth + 1):
            x = net.relu(net.conv(f"conv{stage}_{number}", x, width, 3, pad=1))
        x = net.pool(f"pool{stage}", x, 2, 2)
    for name in ("fc6", "fc7"):
        x = net.relu(net.dense(name, x, 4096))
    return net, net.dense("fc8", x, 1000)


INCEPTION = {  # models/bvlc_googlenet: 1x1, 3x3_reduce, 3x3, 5x5_reduce, 5x5, pool_proj
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def googlenet(side: int) -> tuple[CaffeNet, str]:
    """BVLC/caffe, models/bvlc_googlenet/train_val.prototxt, without its dropouts."""
    net = CaffeNet((3, side, side))

    def conv(name: str, bottom: str, out: int, kernel: int, pad: int = 0, stride: int = 1) -> str:
        return net.relu(net.conv(name, bottom, out, kernel, pad=pad, stride=stride))

    x = net.pool("pool1/3x3_s2", conv("conv1/7x7_s2", "data", 64, 7, 3, 2), 3, 2)
    x = conv("conv2/3x3", conv("conv2/3x3_reduce", net.lrn("pool1/norm1", x), 64, 1), 192, 3, 1)
    x = net.pool("pool2/3x3_s2", net.lrn("conv2/norm2", x), 3, 2)
    for name, (ones, reduce3, threes, reduce5, fives, projection) in INCEPTION.items():
        at = f"inception_{name}"
        branches = [
            conv(f"{at}/1x1", x, ones, 1),
            conv(f"{at}/3x3", conv(f"{at}/3x3_reduce", x, reduce3, 1), threes, 3, 1),
            conv(f"{at}/5x5", conv(f"{at}/5x5_reduce", x, reduce5, 1), fives, 5, 2),
            conv(f"{at}/pool_proj", net.pool(f"{at}/pool", x, 3, 1, pad=1), projection, 1),
        ]
        x = net.concat(f"{at}/output", branches)
        if name in ("4a", "4d"):
            head = "loss1" if name == "4a" else "loss2"
            y = conv(f"{head}/conv", net.pool(f"{head}/ave_pool", x, 5, 3, average=True), 128, 1)
            net.dense(f"{head}/classifier", net.relu(net.dense(f"{head}/fc", y, 1024)), 1000)
        if name in ("3b", "4e"):
            x = net.pool(f"pool{name[0]}/3x3_s2", x, 3, 2)
    return net, net.dense("loss3/classifier", net.mean("pool5/7x7_s1", x), 1000)


def resnet(side: int, depths: tuple[int, ...]) -> tuple[CaffeNet, str]:
    """KaimingHe/deep-residual-networks, prototxt/ResNet-50-deploy.prototxt and those of 101 and 152 layers."""
    net = CaffeNet((3, side, side), precise=True)
    deeper = sum(depths) > 16
    x = net.conv("conv1", "data", 64, 7, pad=3, stride=2, bias=not deeper)
    x = net.relu(net.norm(x, "bn_conv1", "scale_conv1"))
    x = net.pool("pool1", x, 3, 2)
    for stage, depth in enumerate(depths, 2):
        width = 64 * 2 ** (stage - 2)
        for block in range(depth):
            numbered = deeper and stage in (3, 4) and block > 0
            at = f"{stage}" + (f"b{block}" if numbered else "abcdef"[block])
            stride = 2 if stage > 2 and block == 0 else 1

            def conv(branch: str, bottom: str, out: int, kernel: int, stride: int, at: str = at) -> str:
                top = net.conv(f"res{at}_{branch}", bottom, out, kernel, pad=kernel // 2, stride=stride, bias=False)
                return net.norm(top, f"bn{at}_{branch}", f"scale{at}_{branch}")

            shortcut = conv("branch1", x, 4 * width, 1, stride) if block == 0 else x
            y = net.relu(conv("branch2a", x, width, 1, stride))
            y = net.relu(conv("branch2b", y, width, 3, 1))
            y = conv("branch2c", y, 4 * width, 1, 1)
            x = net.relu(net.sum(f"res{at}", [shortcut, y]))
    return net, net.dense("fc1000", net.mean("pool5", x), 1000)


def with_norm(net: CaffeNet, name: str, bottom: str, out: int, kernel: int, stride: int = 1, group: int = 1) -> str:
    """A convolution with BatchNorm and Scale as hujie-frank/SENet names them."""
    top = net.conv(name, bottom, out, kernel, pad=kernel // 2, stride=stride, group=group, bias=False)
    return net.norm(top, f"{name}/bn", f"{name}/bn/scale")


def gated(net: CaffeNet, at: str, x: str, channels: int) -> str:
    y = net.relu(net.conv(f"{at}_1x1_down", net.mean(f"{at}_global_pool", x), channels // 16, 1))
    return net.gate(f"{at}_scale", x, net.sigmoid(net.conv(f"{at}_1x1_up", y, channels, 1)))


def senet(side: int, kind: str, depths: tuple[int, ...]) -> tuple[CaffeNet, str]:
    """hujie-frank/SENet, models/SE-ResNet-50.prototxt, SE-ResNeXt-50.prototxt, SENet-154.prototxt and those of others.

    Their Axpy is a scaling and a sum here.
    """
    net = CaffeNet((3, side, side), precise=True)
    if kind == "154":
        x = net.relu(with_norm(net, "conv1_1/3x3_s2", "data", 64, 3, 2))
        x = net.relu(with_norm(net, "conv1_2/3x3", x, 64, 3))
        x = net.relu(with_norm(net, "conv1_3/3x3", x, 128, 3))
    else:
        x = net.relu(with_norm(net, "conv1/7x7_s2", "data", 64, 7, 2))
    x = net.pool("pool1/3x3_s2", x, 3, 2)
    first, second, group = {"resnet": (1, 1, 1), "resnext": (2, 2, 32), "154": (2, 4, 64)}[kind]
    for stage, depth in enumerate(depths, 2):
        width = 64 * 2 ** (stage - 2)
        for block in range(depth):
            at = f"conv{stage}_{block + 1}"
            stride = 2 if stage > 2 and block == 0 else 1
            one, three = (stride, 1) if kind == "resnet" else (1, stride)
            y = net.relu(with_norm(net, f"{at}_1x1_reduce", x, first * width, 1, one))
            y = net.relu(with_norm(net, f"{at}_3x3", y, second * width, 3, three, group))
            y = gated(net, at, with_norm(net, f"{at}_1x1_increase", y, 4 * width, 1), 4 * width)
            if block == 0:
                kernel = 3 if kind == "154" and stride == 2 else 1
                x = with_norm(net, f"{at}_1x1_proj", x, 4 * width, kernel, stride)
            x = net.relu(net.sum(at, [y, x]))
    return net, net.dense("classifier", net.mean("pool5/7x7_s1", x), 1000)


BN_INCEPTION = {  # 1x1, 3x3_reduce, 3x3, double_reduce, double, pool_proj, whether the pooling averages
    "3a": (64, 64, 64, 64, 96, 32, True),
    "3b": (64, 64, 96, 64, 96, 64, True),
    "3c": (0, 128, 160, 64, 96, 0, False),
    "4a": (224, 64, 96, 96, 128, 128, True),
    "4b": (192, 96, 128, 96, 128, 128, True),
    "4c": (160, 128, 160, 128, 160, 128, True),
    "4d": (96, 128, 192, 160, 192, 128, True),
    "4e": (0, 128, 192, 192, 256, 0, False),
    "5a": (352, 192, 320, 160, 224, 128, True),
    "5b": (352, 192, 320, 192, 224, 128, False),
}


def bn_inception(side: int, *, gates: bool) -> tuple[CaffeNet, str]:
    """hujie-frank/SENet, models/SE-BN-Inception.prototxt (``gates``); or the deploy files of the temporal segment
    networks (yjxiong), whose BN is BatchNorm and Scale here."""
    net = CaffeNet((3, side, side))
    double = ("double3x3_reduce", "double3x3a", "double3x3b") if gates else (
        "double_3x3_reduce", "double_3x3_1", "double_3x3_2"
    )  # fmt: skip

    def conv(name: str, bottom: str, out: int, kernel: int, stride: int = 1) -> str:
        if gates:
            return net.relu(with_norm(net, name, bottom, out, kernel, stride))
        top = net.conv(name, bottom, out, kernel, pad=kernel // 2, stride=stride)
        return net.relu(net.norm(top, f"{name}_norm", f"{name}_scale", factor=1))

    x = net.pool("pool1/3x3_s2", conv("conv1/7x7_s2", "data", 64, 7, 2), 3, 2)
    x = net.pool("pool2/3x3_s2", conv("conv2/3x3", conv("conv2/3x3_reduce", x, 64, 1), 192, 3), 3, 2)
    for name, (ones, reduce, threes, reduce_double, doubles, projection, averages) in BN_INCEPTION.items():
        at, stride = f"inception_{name}", 1 if ones else 2
        branches = [conv(f"{at}/1x1", x, ones, 1)] if ones else []
        branches.append(conv(f"{at}/3x3", conv(f"{at}/3x3_reduce", x, reduce, 1), threes, 3, stride))
        y = conv(f"{at}/{double[1]}", conv(f"{at}/{double[0]}", x, reduce_double, 1), doubles, 3)
        branches.append(conv(f"{at}/{double[2]}", y, doubles, 3, stride))
        if ones:
            pooled = net.pool(f"{at}/pool", x, 3, 1, pad=1, average=averages)
            branches.append(conv(f"{at}/pool_proj", pooled, projection, 1))
        else:
            branches.append(net.pool(f"{at}/pool", x, 3, 2))
        x = net.concat(f"{at}/concat", branches)
        if gates:
            x = gated(net, at, x, net.maps[x].shape[1])
    return net, net.dense("classifier" if gates else "fc-action", net.mean("pool5", x), 1000)


Made = Callable[[], tuple[CaffeNet, str]]

NETWORKS: dict[str, tuple[str, Made, int]] = {
    "squeezenet": ("squeezenet1_0@caffe", lambda: squeezenet(67), 2),
    "nin_cifar": ("nin_cifar@caffe", lambda: nin_cifar(32), 1),
    "nin": ("nin@caffe", lambda: nin_imagenet(99), 1),
    "googlenet": ("googlenet@caffe", lambda: googlenet(224), 2),
    "alexnet": ("alexnet@caffe", lambda: alexnet(227), 1),
    "vgg16": ("vgg16@caffe", lambda: vgg(224, (2, 2, 3, 3, 3)), 1),
    "vgg19": ("vgg19@caffe", lambda: vgg(224, (2, 2, 4, 4, 4)), 1),
    "resnet50": ("resnet50@caffe", lambda: resnet(64, (3, 4, 6, 3)), 2),
    "resnet101": ("resnet101@caffe", lambda: resnet(64, (3, 4, 23, 3)), 2),
    "resnet152": ("resnet152@caffe", lambda: resnet(64, (3, 8, 36, 3)), 2),
    "se_resnet50": ("se_resnet50@paper", lambda: senet(64, "resnet", (3, 4, 6, 3)), 2),
    "se_resnet101": ("se_resnet101@paper", lambda: senet(64, "resnet", (3, 4, 23, 3)), 2),
    "se_resnet152": ("se_resnet152@paper", lambda: senet(64, "resnet", (3, 8, 36, 3)), 2),
    "se_resnext50": ("se_resnext50_32x4d@paper", lambda: senet(64, "resnext", (3, 4, 6, 3)), 2),
    "se_resnext101": ("se_resnext101_32x4d@paper", lambda: senet(64, "resnext", (3, 4, 23, 3)), 2),
    "senet154": ("senet154@paper", lambda: senet(64, "154", (3, 8, 36, 3)), 2),
    "se_bn_inception": ("se_bn_inception@paper", lambda: bn_inception(96, gates=True), 2),
}
FAST = {"squeezenet", "nin_cifar"}


def slow_but(fast: set[str]) -> list[object]:
    return [pytest.param(name, marks=[] if name in fast else [pytest.mark.slow]) for name in NETWORKS]


@pytest.mark.parametrize("name", slow_but(FAST))
def test_the_network_answers_as_caffes(name: str, tmp_path: Path, cheap_values: Callable[[], object]) -> None:
    edition, made, generation = NETWORKS[name]
    net, top = made()
    path = net.write(tmp_path / f"{name}.caffemodel", generation=generation)
    network = loaded(edition, path, cheap_values)
    network.to(net.dtype)
    with torch.no_grad():
        answer = logits(network(net.image))
    precise = net.dtype == torch.float64
    close(answer, net.maps[top], 1e-4 if precise else 1e-3)
    for expected in net.opencv(path, tmp_path, top).values():
        close(answer, expected, 1e-2 if precise else 1e-3)


def loaded(edition: str, path: Path, cheap_values: Callable[[], object], **options: object) -> nn.Module:
    card = catalog.find(edition)
    with cheap_values():  # type: ignore[attr-defined]
        network = build(card, options=options).eval()
    report = load_weights(network, card, path)
    assert (report.part, report.left_random) == ("network", ())
    return network


def logits(answer: Tensor | Output) -> Tensor:
    return answer.logits if isinstance(answer, Output) else answer


def close(answer: Tensor, expected: Tensor, share: float) -> None:
    """Within a share of the deviation."""
    expected = expected.reshape(answer.shape)
    assert expected.std() > 1e-3
    assert ((answer - expected).abs().max() / expected.std()).item() < share


@pytest.mark.slow
def test_googlenets_auxiliary_heads(tmp_path: Path, cheap_values: Callable[[], object]) -> None:
    net, top = googlenet(224)
    path = net.write(tmp_path / "bvlc_googlenet.caffemodel")
    network = loaded("googlenet@caffe", path, cheap_values, dropout=0.0, auxiliary_dropout=0.0).train()
    with torch.no_grad():
        answer = network(net.image)
    heads = ("loss1/classifier", "loss2/classifier", top)
    for said, name in zip((*answer.auxiliary, answer.logits), heads, strict=True):
        close(said, net.maps[name], 1e-3)
    for said, expected in zip(
        (*answer.auxiliary, answer.logits), net.opencv(path, tmp_path, *heads).values(), strict=False
    ):
        close(said, expected, 1e-3)


@pytest.mark.slow
def test_bn_inception(tmp_path: Path, cheap_values: Callable[[], object]) -> None:
    """yjxiong/caffe's BN keeps slope, bias, mean and variance in one layer; OpenCV does not know it, so that the file
    that OpenCV is given has them in two."""
    net, top = bn_inception(96, gates=False)
    usual = net.opencv(net.write(tmp_path / "two.caffemodel"), tmp_path, top)
    layers, arrays = [], {layer.name: layer.arrays for layer in net.layers}
    for layer in net.layers:
        if layer.type == "BatchNorm":
            at = layer.name.removesuffix("_norm")
            mean, variance, _ = layer.arrays
            whole = [value[None] for value in (*arrays[f"{at}_scale"], mean, variance)]
            layers.append(Layer(f"{at}_bn", "BN", layer.bottoms, layer.tops, {}, whole))
        elif layer.type != "Scale":
            layers.append(layer)
    net.layers = layers
    network = loaded("bn_inception@caffe", net.write(tmp_path / "bn_inception.caffemodel"), cheap_values)
    with torch.no_grad():
        answer = network(net.image)
    for expected in (net.maps[top], *usual.values()):
        close(answer, expected, 1e-3)


def test_caffenet_is_no_alexnet(tmp_path: Path) -> None:
    """Names and shapes are equal; only the order of the layers tells."""
    arrays = {name: np.zeros((1, 1, 1, 1), np.float32) for source in ALEXNET.values() for name in source.arrays}
    layers = [CaffeLayer("conv1", "Convolution"), CaffeLayer("norm1", "LRN"), CaffeLayer("pool1", "Pooling")]
    assert from_caffe(filled(arrays, layers)).keys() == {f"{m}.{p}" for m in ALEXNET for p in ("weight", "bias")}
    with pytest.raises(WeightsError, match="CaffeNet, which pools before") as error:
        from_caffe(filled(arrays, [layers[0], layers[2], layers[1]]))
    assert "fcn_alexnet" in error.value.remedy
    with pytest.raises(WeightsError, match="cannot be told"):
        from_caffe(filled(arrays, layers[:1]))
    with pytest.raises(WeightsError, match="cannot be told"):
        from_caffe(arrays)
    with pytest.raises(WeightsError, match="not the weights of Caffe's AlexNet"):
        from_caffe(filled({}, layers))


def filled(arrays: dict[str, Any], layers: list[CaffeLayer]) -> CaffeArrays:
    made = CaffeArrays(tuple(layers))
    made.update(arrays)
    return made


@pytest.mark.parametrize(
    ("edition", "table"),
    [
        ("alexnet@caffe", ALEXNET),
        ("vgg16@caffe", vgg_weights.table("D")),
        ("vgg19@caffe", vgg_weights.table("E")),
        ("googlenet@caffe", googlenet_weights.table()),
        ("resnet50@caffe", resnet_weights.table(50)),
        ("resnet101@caffe", resnet_weights.table(101)),
        ("resnet152@caffe", resnet_weights.table(152)),
        ("se_resnext101_32x4d@paper", senet_weights.table((3, 4, 23, 3))),
        ("se_resnet152@paper", senet_weights.table((3, 8, 36, 3))),
        ("se_bn_inception@paper", se_bn_inception_weights.table()),
    ],
)
def test_the_tables_name_every_layer(edition: str, table: dict[str, object]) -> None:
    network = build_on_meta(catalog.find(edition))
    assert table.keys() == {name.rpartition(".")[0] for name in network.state_dict()}


def test_statistics_are_divided_by_their_number() -> None:
    """batch_norm_layer.cpp; a number of 0 makes mean and variance 0. A convolution's biases move the mean."""
    arrays = {
        "bn.0": np.array([4, 8], np.float32),
        "bn.1": np.array([2, 6], np.float32),
        "bn.2": np.array([2], np.float32),
        "scale.0": np.array([1, 2], np.float32),
        "scale.1": np.array([3, 4], np.float32),
        "conv.1": np.array([0.5, 1], np.float32).reshape(1, 1, 1, 2),
    }
    state = Norm("bn", "scale", bias_of="conv").state(arrays)
    assert {name: value.tolist() for name, value in state.items()} == {
        "weight": [1, 2],
        "bias": [3, 4],
        "running_mean": [1.5, 3],
        "running_var": [1, 3],
    }
    state = Norm("bn", "scale").state({**arrays, "bn.2": np.zeros(1, np.float32)})
    assert (state["running_mean"].tolist(), state["running_var"].tolist()) == ([0, 0], [0, 0])


@pytest.mark.parametrize(
    ("source", "arrays", "what"),
    [
        (Kernel("conv", bias=False), {"conv.0": np.zeros((2, 3), np.float32)}, "four axes"),
        (Dense("fc"), {"fc.0": np.zeros((2, 3, 1, 1), np.float32), "fc.1": np.zeros(2, np.float32)}, "dense layer"),
        (
            Dense("fc", window=(2, 2, 2)),
            {"fc.0": np.zeros((1, 1, 2, 6), np.float32), "fc.1": np.zeros(2, np.float32)},
            "map of 2x2x2",
        ),
        (Norm("bn", "sc"), {f"{n}.{i}": np.ones(2, np.float32) for n in ("bn", "sc") for i in range(3)}, "one number"),
    ],
)
def test_arrays_that_a_layer_cannot_have(source: Source, arrays: dict[str, Any], what: str) -> None:
    with pytest.raises(WeightsError) as error:
        source.state(arrays)
    assert what in error.value.expected
