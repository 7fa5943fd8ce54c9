"""The authors' segmentation networks in Caffe's format with random arrays: visus answers as Caffe would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from caffe_nets import Array, CaffeNet, Layer
from visus.errors import WeightsError
from visus.models import catalog
from visus.models.building import build
from visus.models.caffe_file import CaffeArrays, CaffeLayer
from visus.models.caffe_layers import FixedNorm
from visus.models.on_meta import build_on_meta
from visus.models.segmentation import deconvnet_weights, fcn_weights, unet_weights
from visus.models.segmentation.unet import unet
from visus.models.weights import load_weights

STAGES = {1: (2, 64), 2: (2, 128), 3: (3, 256), 4: (3, 512), 5: (3, 512)}


def upsampling(net: CaffeNet, classes: int, size: int) -> Array:
    """Kernels that the released files fix; here near a diagonal, so that a wrong order would show."""
    kernel = np.zeros((classes, classes, size, size), np.float32)
    kernel[np.arange(classes), np.arange(classes)] = net.random.uniform(0.1, 1, (classes, size, size))
    return kernel


def fcn(side: int, stride: int, classes: int = 21, *, scaled: bool = False) -> tuple[CaffeNet, str]:
    """shelhamer/fcn.berkeleyvision.org: voc-fcn32s, -16s, -8s and, ``scaled``, -8s-atonce, val.prototxt."""
    net = CaffeNet((3, side, side + 3))
    x, pools = "data", {}
    for stage, (depth, width) in STAGES.items():
        for number in range(1, depth + 1):
            pad = 100 if stage == number == 1 else 1
            x = net.relu(net.conv(f"conv{stage}_{number}", x, width, 3, pad=pad))
        x = pools[stage] = net.pool(f"pool{stage}", x, 2, 2)
    x = net.relu(net.conv("fc6", x, 4096, 7))
    x = net.conv("score_fr", net.relu(net.conv("fc7", x, 4096, 1)), classes, 1)

    def joined(x: str, pool: int, up: str, scale: float, offset: int) -> str:
        x = net.deconv(up, x, classes, 4, stride=2, weight=upsampling(net, classes, 4))
        y = pools[pool]
        if scaled:
            y = net.scale(f"scale_pool{pool}", y, np.full(net.maps[y].shape[1], scale, np.float32))
        y = net.crop(f"score_pool{pool}c", net.conv(f"score_pool{pool}", y, classes, 1), x, offset)
        return net.sum(f"fuse_pool{pool}", [x, y])

    if stride <= 16:
        x = joined(x, 4, "upscore2", 0.01, 5)
    if stride == 8:
        x = joined(x, 3, "upscore_pool4", 0.0001, 9)
    name = {32: "upscore", 16: "upscore16", 8: "upscore8"}[stride]
    x = net.deconv(name, x, classes, 2 * stride, stride=stride, weight=upsampling(net, classes, 2 * stride))
    return net, net.crop("score", x, "data", {32: 19, 16: 27, 8: 31}[stride])


def alexnet_trunk(net: CaffeNet, pad: int, *, convolutional: bool) -> str:
    """CaffeNet, with fc6 and fc7 as convolutions in voc-fcn-alexnet."""
    x = net.relu(net.conv("conv1", "data", 96, 11, stride=4, pad=pad))
    x = net.lrn("norm1", net.pool("pool1", x, 3, 2))
    x = net.relu(net.conv("conv2", x, 256, 5, pad=2, group=2))
    x = net.lrn("norm2", net.pool("pool2", x, 3, 2))
    for name, out, group in (("conv3", 384, 1), ("conv4", 384, 2), ("conv5", 256, 2)):
        x = net.relu(net.conv(name, x, out, 3, pad=1, group=group))
    x = net.pool("pool5", x, 3, 2)
    if convolutional:
        return net.relu(net.conv("fc7", net.relu(net.conv("fc6", x, 4096, 6)), 4096, 1))
    return net.relu(net.dense("fc7", net.relu(net.dense("fc6", x, 4096)), 4096))


def fcn_alexnet(side: int) -> tuple[CaffeNet, str]:
    """shelhamer/fcn.berkeleyvision.org: voc-fcn-alexnet, val.prototxt."""
    net = CaffeNet((3, side, side + 3))
    x = net.conv("score_fr", alexnet_trunk(net, 100, convolutional=True), 21, 1)
    x = net.deconv("upscore", x, 21, 63, stride=32, weight=upsampling(net, 21, 63))
    return net, net.crop("score", x, "data", 18)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edition", "made", "classes"),
    [
        ("fcn32s@paper", lambda: fcn(40, 32), 21),
        ("fcn16s@paper", lambda: fcn(40, 16), 21),
        ("fcn8s@paper", lambda: fcn(40, 8), 21),
        ("fcn8s@paper", lambda: fcn(40, 8, 60), 60),
        ("fcn8s@at_once", lambda: fcn(40, 8, scaled=True), 21),
        ("fcn_alexnet@paper", lambda: fcn_alexnet(70), 21),
    ],
    ids=["32s", "16s", "8s", "pascal-context-8s", "8s-at-once", "alexnet"],
)
def test_fcns_answer_as_caffes(
    edition: str,
    made: Callable[[], tuple[CaffeNet, str]],
    classes: int,
    tmp_path: Path,
    cheap_values: Callable[[], object],
) -> None:
    net, top = made()
    path = net.write(tmp_path / "a.caffemodel")
    card = catalog.find(edition)
    with cheap_values():  # type: ignore[attr-defined]
        network = build(card, classes=classes).eval()
    report = load_weights(network, card, path)
    assert (report.part, report.left_random) == ("network", ())
    with torch.no_grad():
        answer = network(net.image)
    close(answer, net.maps[top])
    for expected in net.opencv(path, tmp_path, top).values():
        close(answer, expected)


def close(answer: Tensor, expected: Tensor) -> None:
    assert expected.std() > 1e-3
    assert ((answer - expected).abs().max() / expected.std()).item() < 1e-3


def test_what_at_once_scales_is_in_its_scores() -> None:
    """With other scales than ours in a file, the scores' kernels make up for it."""
    table = fcn_weights.fcn_table(8)
    arrays = CaffeArrays()
    arrays.update({name: np.ones((1, 1, 1, 1), np.float32) for source in table.values() for name in source.arrays})
    with pytest.raises(WeightsError, match="at once"):
        fcn_weights.from_caffe_at_once(arrays)
    arrays |= {"scale_pool4.0": np.full(1, 0.02, np.float32), "scale_pool3.0": np.full(1, 0.0001, np.float32)}
    state = fcn_weights.from_caffe_at_once(arrays)
    assert state["score_pool4.weight"].item() == pytest.approx(2)
    assert state["score_pool3.weight"].item() == pytest.approx(1)


@pytest.mark.slow
def test_caffenet_fills_the_trunk_of_fcn_alexnet(tmp_path: Path, cheap_values: Callable[[], object]) -> None:
    """The dense layers become convolutions: on an image of one window, fc7 is the classifier's."""
    net = CaffeNet((3, 227, 227))
    top = alexnet_trunk(net, 0, convolutional=False)
    net.dense("fc8", top, 1000)
    card = catalog.find("fcn_alexnet")
    with cheap_values():  # type: ignore[attr-defined]
        network = build(card).eval()
    report = load_weights(network, card, net.write(tmp_path / "bvlc_reference_caffenet.caffemodel", generation=1))
    assert report.part == "backbone"
    network.backbone.conv1.padding = (0, 0)
    with torch.no_grad():
        close(network.backbone(net.image)[32].flatten(1), net.maps[top])
    alexnet = CaffeNet((3, 35, 35))
    x = alexnet.pool("pool1", alexnet.lrn("norm1", alexnet.conv("conv1", "data", 2, 11, stride=4)), 3, 2)
    for name in ("conv2", "conv3", "conv4", "conv5"):
        x = alexnet.conv(name, x, 2, 1)
    for name, inputs in (("fc6", 9216), ("fc7", 4096), ("fc8", 2)):
        arrays = [np.zeros((4096, inputs), np.float32), np.zeros(4096, np.float32)]
        alexnet.add(Layer(name, "InnerProduct", [x], [name], {}, arrays), alexnet.maps[x])
    with pytest.raises(WeightsError, match="normalises before it pools"):
        load_weights(network, card, alexnet.write(tmp_path / "bvlc_alexnet.caffemodel"))


# --- U-Net


def released_unet(side: int, width: int) -> tuple[CaffeNet, str]:
    """phseg_v5-train.prototxt of u-net-release-2015-10-02, with other widths."""
    net = CaffeNet((1, side, side), deviation=1)
    x, copied = "data", {}
    for level in range(5):
        for step in ("a-b", "b-c"):
            x = net.relu(net.conv(f"conv_d{level}{step}", x, width * 2**level, 3))
        copied[level] = x
        if level < 4:
            x = net.pool(f"pool_d{level}c-{level + 1}a", x, 2, 2)
    for level in reversed(range(4)):
        above = "d4c" if level == 3 else f"u{level + 1}d"
        out = width * 2 ** max(level, 1)
        up = net.relu(net.deconv(f"upconv_{above}_u{level}a", x, out, 2, stride=2, bias=True))
        edge = (net.maps[copied[level]].shape[2] - net.maps[up].shape[2]) // 2
        cropped = net.crop(f"crop_d{level}c-d{level}cc", copied[level], up, edge)
        x = net.concat(f"concat_d{level}cc_u{level}a-b", [up, cropped])
        for step in ("b-c", "c-d"):
            x = net.relu(net.conv(f"conv_u{level}{step}", x, width * 2**level, 3))
    return net, net.conv("conv_u0d-score", x, 2, 1)


def test_the_released_unet(tmp_path: Path) -> None:
    net, top = released_unet(188, 2)
    network = unet(classes=2, in_channels=1, width=2, edition="caffe").eval()
    path = net.write(tmp_path / "phseg_v5.caffemodel", generation=2)
    load_weights(network, catalog.find("unet@caffe"), path)
    with torch.no_grad():
        answer = network(net.image)
        close(answer, net.maps[top])
        network.activation = nn.Identity()
        assert (network(net.image) - answer).abs().max() > 1e-3
    for expected in net.opencv(path, tmp_path, top).values():
        close(answer, expected)


# --- DeconvNet


def test_deconvnets_scale_and_shift() -> None:
    """BatchNorm that only scales and shifts, to the last digits, in all 29 places of the authors' network."""
    network = build_on_meta(catalog.find("deconvnet"))
    norms = {name: layer.eps for name, layer in network.named_modules() if isinstance(layer, nn.BatchNorm2d)}
    table = deconvnet_weights.table()
    assert norms == {name: source.epsilon for name, source in table.items() if isinstance(source, FixedNorm)}
    assert len(norms) == 29
    random = np.random.default_rng(0)
    arrays = {f"bn1_1.{n}": random.standard_normal((1, 8, 1, 1), np.float32) for n in range(2)}
    state = table["conv1.0.1"].state(arrays)
    x = torch.randn(2, 8, 3, 3)
    y = F.batch_norm(
        x, state["running_mean"], state["running_var"], state["weight"], state["bias"], eps=norms["conv1.0.1"]
    )
    scale, shift = (torch.from_numpy(array) for array in arrays.values())
    torch.testing.assert_close(y, x * scale + shift, rtol=1e-6, atol=1e-6)


def unfilled(shapes: dict[str, tuple[int, ...]]) -> CaffeArrays:
    """Arrays that take no room."""
    arrays = CaffeArrays()
    arrays.update({name: np.broadcast_to(np.float32(0.5), shape) for name, shape in shapes.items()})
    return arrays


def test_a_deconvnet_as_its_training_left_it_is_refused() -> None:
    table = deconvnet_weights.table()
    arrays = unfilled({name: (1, 1, 1, 1) for source in table.values() for name in source.arrays})
    arrays.layers = (CaffeLayer("bn1_1", "43", ("conv1_1",), ("conv1_1",)), CaffeLayer("loss", "SoftmaxWithLoss"))
    with pytest.raises(WeightsError, match="means and variances"):
        deconvnet_weights.from_caffe(arrays)
    tops = ("conv1_1", "bn1_1-mean", "bn1_1-var")
    arrays.layers = (CaffeLayer("bn1_1", "43", ("conv1_1",), tops), CaffeLayer("loss", "SoftmaxWithLoss"))
    assert deconvnet_weights.from_caffe(arrays)["conv1.0.1.running_mean"].tolist() == [0]
    arrays.layers = ()
    deconvnet_weights.from_caffe(arrays)


@pytest.mark.parametrize(
    ("edition", "table"),
    [
        ("deconvnet@paper", deconvnet_weights.table()),
        ("fcn32s@paper", fcn_weights.fcn_table(32)),
        ("fcn16s@paper", fcn_weights.fcn_table(16)),
        ("fcn8s@at_once", fcn_weights.fcn_table(8)),
        ("unet@caffe", unet_weights.TABLE),
    ],
)
def test_the_tables_name_every_layer(edition: str, table: dict[str, object]) -> None:
    network = build_on_meta(catalog.find(edition))
    assert table.keys() == {name.rpartition(".")[0] for name in network.state_dict()}
