"""The parts of an export, each by itself: no tracing here, and no runtime."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from visus.answers.classification import SoftmaxReader
from visus.engine.exported_card import ExportedCard, ExportedInput
from visus.engine.model_card import ModelInfo
from visus.errors import MissingExtraError, ShapeError, TaskMismatchError, UsageError
from visus.exporters.check import LIMIT, check
from visus.exporters.images import check_batches, made_up
from visus.exporters.network import Exportable, NamedNetwork, exportable
from visus.exporters.onnx_file import metadata_bytes, require_onnx
from visus.exporters.replaced_layers import BinnedMaxPool2d, with_exportable_layers
from visus.exporters.sizes import chosen_size, fixed_by, free_input, require_takes, suggested_step
from visus.layers.same_padding import SameConv2d
from visus.layers.unpooling import Unpool
from visus.structures import Preprocessing
from visus.tasks.table import make_task

INFO = ModelInfo(
    task="classification",
    model="lenet5@modern",
    classes=("a", "b", "c"),
    in_channels=1,
    preprocessing=Preprocessing(size=(32, 40), fit="stretch", channels=1, mean=(0.1,), std=(1.3,)),
)
TASK = make_task("classification", INFO.classes)


class Mean(nn.Module):
    """[N,1,H,W] -> logits [N,3]."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(1, 3)
        self.drop = nn.Dropout(0.9)

    def forward(self, x):
        return self.drop(self.dense(x.mean((2, 3))))


def ready(network=None, info=INFO):
    return exportable(network or Mean(), TASK, info)


def card_for(network, given):
    return ExportedCard(network.info, network.reader.to_dict(), {"logits": ""}, given, 20, "0" * 64)


# --- the network


def test_a_network_in_train_mode_leaves_in_eval_mode_and_stays_as_it_is():
    network = Mean().train()
    made = ready(network)
    assert network.training
    assert not any(module.training for module in made.module.modules())
    images = np.ones((2, 1, 4, 5), np.float32)
    assert np.array_equal(made.run(images)["logits"], made.run(images)["logits"])
    with torch.no_grad():
        network.dense.weight.fill_(7)
    assert not (made.module.network.dense.weight == 7).any()


def test_what_needs_more_than_one_pass_or_more_than_images_is_refused():
    class Stages(nn.Module):
        codec = object()

    with pytest.raises(TaskMismatchError, match="one pass"):
        exportable(Stages(), make_task("detection", INFO.classes), INFO)
    from visus.structures.preprocessing import ProposalSettings

    info = replace(INFO, preprocessing=replace(INFO.preprocessing, proposals=ProposalSettings()))
    with pytest.raises(TaskMismatchError, match="region proposals beside the image"):
        exportable(Mean(), TASK, info)


@pytest.mark.parametrize(("side", "bins"), [((13, 13), 4), ((7, 10), (3, 6)), ((5, 5), 5), ((6, 9), (None, 2))])
def test_bins_give_the_bits_of_adaptive_pooling(side, bins):
    images = torch.randn(2, 3, *side)
    network = with_exportable_layers(nn.Sequential(nn.AdaptiveMaxPool2d(bins)))
    assert type(network[0]) is BinnedMaxPool2d
    assert torch.equal(network(images), nn.AdaptiveMaxPool2d(bins)(images))
    assert type(with_exportable_layers(nn.AdaptiveMaxPool2d(bins))) is BinnedMaxPool2d
    assert type(with_exportable_layers(nn.Sequential(nn.AdaptiveMaxPool2d(1)))[0]) is nn.AdaptiveMaxPool2d


# --- sizes


def test_the_size_of_the_images_is_the_preprocessing_s():
    assert chosen_size(None, INFO, tiled=False) == (32, 40)
    assert chosen_size((64, 32), INFO, tiled=False) == (64, 32)
    assert chosen_size("any", INFO, tiled=False) is None
    own = replace(INFO, preprocessing=replace(INFO.preprocessing, size=None, fit="none"))
    assert chosen_size(None, own, tiled=False) is None
    assert chosen_size(None, own, tiled=True) == own.example_size
    for wrong in ((0, 3), (1, 2, 3), (True, 1), (1 << 20, 1)):
        with pytest.raises(UsageError, match="no such size"):
            chosen_size(wrong, INFO, tiled=False)


class Restricted(Mean):
    def fitting_size(self, size):
        return tuple(12 + -(-max(side - 12, 0) // 16) * 16 for side in size)

    def output_size(self, size):
        return size


class Multiples(Mean):
    def forward(self, x):
        if x.shape[2] % 32 or x.shape[3] % 32:
            raise ShapeError("only multiples of 32", expected="others")
        return super().forward(x)


@pytest.mark.parametrize(("network", "smallest", "step"), [(Mean, 1, 1), (Restricted, 12, 16), (Multiples, 32, 32)])
def test_a_free_size_is_proved_at_two_sizes_that_it_is_not_traced_at(network, smallest, step):
    given, proofs, traced = free_input(network(), INFO)
    assert given.size is None
    assert given.multiple == step
    assert (given.smallest[0] - smallest) % step == 0
    sizes = {*proofs, traced}
    assert len(sizes) == 3
    for size in sizes:
        given.require(size)
        assert size[0] != size[1]
    assert any(side % 2 for size in proofs for side in size) == (step == 1)
    assert min(size[0] for size in proofs) == given.smallest[0]
    assert min(size[1] for size in proofs) == given.smallest[1]
    assert min(traced) >= 288


def test_the_step_of_the_sides_is_read_from_what_torch_says():
    said = "Suggested fixes:\n  _height = Dim('_height', min=4, max=oo)\n  height = 4*_height\n  width = 6*_width\n"
    assert suggested_step(said) == 12
    assert suggested_step("The inequality, Eq(-x/16 + (((x/2)//8)), 0), cannot be solved") == 32
    assert suggested_step("height = 64*_height") == 32
    given, proofs, _ = free_input(Mean(), INFO, 4)
    assert given.multiple == 4
    assert all(side % 4 == 0 for size in proofs for side in size)


class Fixed(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x).flatten(1)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (nn.AdaptiveAvgPool2d(6), "layer pools to 6"),
        (nn.AdaptiveAvgPool2d((1, 7)), r"layer pools to \(1, 7\)"),
        (nn.AdaptiveMaxPool2d(4), "layer pools to 4"),
        (BinnedMaxPool2d((4, 4)), "layer pools to"),
        (SameConv2d(1, 2, 3), "SAME padding of layer"),
        (nn.Sequential(nn.Flatten(), nn.Linear(1280, 3)), "takes no other size: .*mat1 and mat2"),
    ],
)
def test_a_network_that_is_tied_to_a_size_is_refused_with_the_reason(layer, said):
    with pytest.raises(ShapeError, match=said) as caught:
        free_input(Fixed(layer), INFO)
    assert "--size 32x40" in str(caught.value)
    assert not fixed_by(nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), nn.AdaptiveMaxPool2d(1), nn.Conv2d(1, 1, 1)))


def test_a_size_that_the_network_does_not_take_is_refused_with_the_next():
    with pytest.raises(ShapeError, match=r"next that fits(.|\n)*--size 28x44"):
        require_takes(Restricted(), INFO, (20, 40))
    with pytest.raises(ShapeError, match=r"only multiples of 32(.|\n)*--size 32x40"):
        require_takes(Multiples(), INFO, (20, 40))
    require_takes(Multiples(), INFO, (64, 32))


# --- images


def test_made_up_images_are_of_the_model_and_always_the_same():
    for channels in (1, 3, 5):
        info = replace(INFO, in_channels=channels)
        first, again = made_up(info), made_up(info)
        for a, b in zip(first, again, strict=True):
            assert a.image.size() == (32, 40)
            assert np.array_equal(a.image.load(), b.image.load())
        assert not np.array_equal(first[0].image.load(), first[1].image.load())


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_images_come_alone_and_in_threes(count):
    batches = check_batches(INFO, TASK, made_up(INFO, count), ExportedInput((32, 40)), (), tiled=False)
    assert [len(batch) for batch in batches][:2] == [1, 3]
    assert sum(map(len, batches)) == max(count, 4)
    assert {batch.shape[1:] for batch in batches} == {(1, 32, 40)}
    assert all(batch.dtype == np.float32 and batch.flags.c_contiguous for batch in batches)


def test_images_of_different_sizes_come_alone_and_one_of_them_in_threes():
    own = replace(INFO, preprocessing=replace(INFO.preprocessing, size=None, fit="none"))
    samples = [made_up(replace(own, recipe={"size": [height, 20]}), 1)[0] for height in (30, 41)]
    given = ExportedInput(None, multiple=8, smallest=(8, 8))
    batches = check_batches(own, TASK, samples, given, ((16, 48), (64, 8)), tiled=False)
    assert [batch.shape for batch in batches] == [
        (1, 1, 32, 24), (1, 1, 48, 24), (3, 1, 32, 24), (1, 1, 16, 48), (3, 1, 64, 8),
    ]  # fmt: skip


# --- the check


def checked(run, network=None, batches=None):
    network = network or ready()
    given = ExportedInput((32, 40))
    batches = batches or check_batches(INFO, TASK, made_up(INFO), given, (), tiled=False)
    return check(network, run(network), card_for(network, given), batches)


def test_an_equal_file_passes():
    found = checked(lambda network: network.run)
    assert found.passed
    assert (found.agreement, found.images, found.batches, found.sizes) == (1.0, 4, (1, 3), ((32, 40),))
    assert found.to_dict()["passed"] is True


def changed(change):
    def made(network):
        return lambda images: {name: change(values, images) for name, values in network.run(images).items()}

    return made


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v, x: v + 10 * LIMIT * np.abs(v).max(), "logits differs by 5.0e-03"),
        (lambda v, x: v[:1], r"logits is \[1, 3\] in the file, \[3, 3\] in PyTorch|not fit|shorter"),
        (lambda v, x: v * np.nan, "NaN"),
        (lambda v, x: v if len(x) == 1 else v[::-1].copy(), "of the answers|differs"),
        (lambda v, x: 1 / 0, "the runtime fails: division"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(change, said):
    import re

    found = checked(changed(change))
    assert not found.passed
    assert re.search(said, "; ".join(found.faults())), found.faults()


def test_a_file_with_other_names_is_wrong():
    found = checked(lambda network: lambda x: {"scores": network.run(x)["logits"]})
    assert "no output logits" in found.faults()[0]


class Rough(nn.Module):
    """Its float32 is far from its float64: a difference of large numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(1, 3)

    def forward(self, x):
        y = x.mean((2, 3)) + 3e4
        return self.dense(y - 3e4)


def test_where_float32_cannot_tell_float64_does():
    network = ready(Rough())
    exact = network.double()
    found = checked(lambda _: lambda x: {k: v.astype(np.float32) for k, v in exact.run(x).items()}, network)
    assert found.outputs[0].judge == "float64"
    assert found.outputs[0].torch_relative > LIMIT
    assert found.outputs[0].passed
    wrong = checked(lambda _: lambda x: {k: 1.5 * v.astype(np.float32) for k, v in exact.run(x).items()}, network)
    assert not wrong.outputs[0].passed
    assert "from float64" in wrong.faults()[0]


class Unpooled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.unpool = Unpool()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.unpool(nn.functional.max_pool2d(x, 2), x * self.weight)


def test_unpooling_is_judged_by_shares():
    module = NamedNetwork(Unpooled(), lambda outputs: {"logits": outputs})
    from visus.answers.maps import SoftmaxMapReader

    network = Exportable(module.eval(), SoftmaxMapReader(1), INFO, TASK)
    batches = check_batches(INFO, TASK, made_up(INFO), ExportedInput((32, 40)), (), tiled=False)

    def flipped(share):
        def run(images):
            out = network.run(images)["logits"].copy()
            count = int(share * out.size)
            out.reshape(-1)[:count] = -9
            return {"logits": out}

        return run

    assert checked(lambda _: flipped(0.05), network, batches).passed
    assert not checked(lambda _: flipped(0.3), network, batches).passed


# --- the file


def test_metadata_are_appended_to_a_file_as_it_is():
    node = onnx.helper.make_node("Identity", ["a"], ["b"])
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "ab"]
    content = onnx.helper.make_model(onnx.helper.make_graph([node], "g", value[:1], value[1:])).SerializeToString()
    whole = onnx.load_from_string(content + metadata_bytes({"visus": "ü" * 300, "other": ""}))
    assert {entry.key: entry.value for entry in whole.metadata_props} == {"visus": "ü" * 300, "other": ""}
    assert whole.graph == onnx.load_from_string(content).graph


def test_missing_packages_are_named_with_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r'pip install "visus\[export\]"'):
        require_onnx()


def test_softmax_is_the_reader_of_plain_logits():
    assert ready().reader == SoftmaxReader()
