"""A model file is either whole and ours, or refused."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest
import safetensors.torch
import torch
from torch import nn

from visus.engine.model_card import ModelInfo
from visus.engine.model_file import load_state, put_state, read_info, save_model
from visus.errors import WeightsError
from visus.structures import Preprocessing

INFO = ModelInfo(
    task="classification",
    model="lenet5@paper",
    classes=("zéro", "one"),
    in_channels=1,
    preprocessing=Preprocessing(size=(32, 32), fit="stretch", channels=1, mean=(0.1,), std=(1.3,)),
    options={"activation": "tanh"},
    metrics={"val": {"accuracy": 0.1 + 0.2}},
    recipe={"epochs": 3},
    data_fingerprint="abc",
    visus_version="0.1.0",
)


def make_network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, make_network(), INFO)
    return path


def test_what_is_written_comes_back(model):
    info, state = load_state(model)
    assert info == INFO == read_info(model)
    assert info.input_size == (32, 32)
    for name, value in make_network().state_dict().items():
        assert torch.equal(state[name], value)
        assert state[name].dtype == value.dtype
    network = make_network().requires_grad_(False)
    network[0].weight.zero_()
    put_state(network, state)
    assert torch.equal(network[0].weight, make_network()[0].weight)


def test_the_safetensors_library_reads_it(model):
    theirs = safetensors.torch.load_file(model)
    assert {name: value.tolist() for name, value in theirs.items()} == {
        name: value.tolist() for name, value in make_network().state_dict().items()
    }


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.uint8, torch.bool, torch.int8]
)
def test_every_type_and_shape_comes_back(tmp_path, dtype):
    network = nn.Module()
    network.register_buffer("odd", torch.arange(5).to(dtype))
    network.register_buffer("none", torch.zeros((0, 3), dtype=dtype))
    network.register_buffer("scalar", torch.tensor(1).to(dtype))
    network.register_buffer(
        "strided", torch.arange(24).reshape(2, 3, 2, 2).to(dtype).to(memory_format=torch.channels_last)
    )
    save_model(tmp_path / "model.safetensors", network, INFO)
    _, state = load_state(tmp_path / "model.safetensors")
    for name, value in network.state_dict().items():
        assert torch.equal(state[name], value)


def test_a_run_folder_stands_for_its_model(model):
    assert read_info(model.parent) == INFO


def test_the_readable_copy(model):
    assert json.loads(model.with_suffix(".json").read_text(encoding="utf-8"))["classes"] == ["zéro", "one"]


def test_the_card_is_read_without_torch(model):
    code = (
        "import sys; from pathlib import Path; from visus.engine.model_file import read_info; "
        f"print(read_info(Path({str(model)!r})).model); print([m for m in sys.modules if m.split('.')[0] == 'torch'])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["lenet5@paper", "[]"]


def assert_refused(path):
    for read in (read_info, load_state):
        with pytest.raises(WeightsError) as caught:
            read(path)
        assert caught.value.exit_code == 5


def test_no_flipped_bit_and_no_cut_goes_unnoticed(model):
    """1,000 random damages, over header and values alike: none loads, none crashes otherwise."""
    whole = model.read_bytes()
    chance = random.Random(5)
    for number in range(1000):
        damaged = bytearray(whole)
        if number % 4 == 0:
            damaged = damaged[: chance.randrange(len(whole))]
        else:
            damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        model.write_bytes(damaged)
        with pytest.raises(WeightsError):
            read_info(model)
        with pytest.raises(WeightsError):
            load_state(model)


def test_added_bytes_are_noticed(model):
    model.write_bytes(model.read_bytes() + b"\0")
    assert_refused(model)


@pytest.mark.parametrize("name", ["missing", "folder", "foreign", "pickle", "text", "empty"])
def test_what_is_no_model_is_refused_by_kind(tmp_path, name):
    path = tmp_path / "model.safetensors"
    says = {"missing": "no file", "folder": "no model in", "foreign": "from elsewhere", "pickle": "pickle"}
    if name == "folder":
        path = tmp_path
    elif name == "foreign":
        safetensors.torch.save_file({"weight": torch.zeros(3)}, path)
    elif name == "pickle":
        torch.save({"weight": torch.zeros(3)}, path)
    elif name == "text":
        path.write_text("hello, I am no model at all, but long enough to hold a header")
    elif name == "empty":
        path.touch()
    with pytest.raises(WeightsError, match=says.get(name, "was not written by visus")):
        read_info(path)
    assert_refused(path)


def test_weights_of_another_network_are_named(model):
    _, state = load_state(model)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 7), nn.Linear(7, 7))
    with pytest.raises(WeightsError) as caught:
        put_state(network, state, source=str(model))
    message = str(caught.value)
    assert "2 missing: 3.weight, 3.bias" in message
    assert "2.weight [2, 4] for [7, 4]" in message
