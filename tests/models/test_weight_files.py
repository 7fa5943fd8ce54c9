"""Weights as trainers save them are found; files that hold too much, or nothing, are refused in plain words."""

from __future__ import annotations

import argparse
import os
import pathlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from visus.errors import WeightsError
from visus.models.weight_files import read_values, size_limit


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))


State = dict[str, Tensor]


def prefixed(prefix: str) -> Callable[[State], State]:
    return lambda state: {prefix + name: value for name, value in state.items()}


@pytest.mark.parametrize(
    ("wrap", "taken_off"),
    [
        (lambda s: s, ()),
        (lambda s: {"epoch": 1, "model_state_dict": s, "optimizer_state_dict": {"state": {}}}, ("model_state_dict",)),
        (lambda s: {"net": s, "acc": 0.5}, ("net",)),
        (lambda s: {"resnet": s, "epoch": 3}, ("resnet",)),
        (lambda s: {"state": {"model": {"state_dict": s}}}, None),
        (lambda s: {"checkpoint": {"model": {"state_dict": s}}, "model": {"weights": s}}, ("model", "weights")),
        (lambda s: {"state_dict_ema": {k: v + 1 for k, v in s.items()}, "state_dict": s}, ("state_dict",)),
        (prefixed("_orig_mod."), ("_orig_mod.*",)),
        (prefixed("module._orig_mod."), ("module.*", "_orig_mod.*")),
        (lambda s: {"state_dict": prefixed("model.")(s), "hyper_parameters": {"lr": 0.1}}, ("state_dict", "model.*")),
        (lambda s: {"n_averaged": torch.tensor(3), **prefixed("module.")(s)}, ("module.*",)),
        (lambda s: {"model": s, "args": argparse.Namespace(lr=0.1, path="x")}, ("model",)),
        (lambda s: {**s, "0._extra_state": None}, ()),
    ],
)
def test_what_trainers_wrap_around_a_state(
    network: nn.Module, tmp_path: Path, wrap: Callable[[State], Any], taken_off: tuple[str, ...] | None
) -> None:
    state = network.state_dict()
    torch.save(wrap(state), tmp_path / "a.pth")
    if taken_off is None:
        with pytest.raises(WeightsError, match="does not hold the weights"):
            read_values(tmp_path / "a.pth", network)
        return
    values = read_values(tmp_path / "a.pth", network)
    assert values.taken_off == taken_off
    assert {name: value.tolist() for name, value in values.by_name.items()} == {
        name: value.tolist() for name, value in state.items()
    }


def test_a_prefix_stays_that_not_all_names_or_the_networks_own_have(tmp_path: Path) -> None:
    network = nn.ModuleDict({"backbone": nn.Linear(2, 2)})
    torch.save(network.state_dict(), tmp_path / "own.pth")
    assert set(read_values(tmp_path / "own.pth", network).by_name) == {"backbone.weight", "backbone.bias"}
    torch.save({"model.a": torch.zeros(1), "loss.b": torch.zeros(1)}, tmp_path / "some.pth")
    assert set(read_values(tmp_path / "some.pth", network).by_name) == {"model.a", "loss.b"}
    save_file({"_orig_mod.weight": torch.zeros(2)}, tmp_path / "a.safetensors")
    assert set(read_values(tmp_path / "a.safetensors", network).by_name) == {"weight"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"model": {"a": torch.zeros(1)}, "args": pathlib.PurePosixPath("x")}, "PurePosixPath"),
        ({"best": np.float64(0.5), "a": torch.zeros(1)}, "scalar"),
        (nn.Linear(2, 2), "Linear"),
    ],
)
def test_what_holds_more_than_tensors_is_refused_without_advice_to_run_it(
    network: nn.Module, tmp_path: Path, content: Any, words: str
) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="it holds more than tensors") as caught:
        read_values(tmp_path / "a.pth", network)
    said = str(caught.value)
    assert words in said
    assert "weights_only" not in said
    assert "\x1b" not in said
    assert "torch.save(network.state_dict()" in said


def test_a_torchscript_archive(network: nn.Module, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("a/constants.pkl", b"\x80\x02N.")
        archive.writestr("a/data.pkl", b"\x80\x02N.")
        archive.writestr("a/version", b"3\n")
    with pytest.raises(WeightsError) as caught:
        read_values(tmp_path / "a.pt", network)
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.zeros(3, device="meta"), "without values"),
        (torch.eye(3).to_sparse(), "sparse"),
        (torch.zeros(3, dtype=torch.complex64), "complex"),
        (torch.zeros(1).expand(1 << 40), "far more than the network needs"),
    ],
)
def test_tensors_without_values_of_their_own(network: nn.Module, tmp_path: Path, tensor: Tensor, words: str) -> None:
    torch.save({"a": tensor}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=words):
        read_values(tmp_path / "a.pth", network)


def test_a_member_that_unpacks_to_gigabytes_is_not_unpacked(network: nn.Module, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "a.pth")
    content = bytearray((tmp_path / "a.pth").read_bytes())
    at = content.index(b"PK\x01\x02") + 24  # the size after unpacking, in the list of members
    content[at : at + 4] = (3 << 30).to_bytes(4, "little")
    (tmp_path / "a.pth").write_bytes(content)
    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = (3 << 30).to_bytes(4, "little")
    (tmp_path / "a.npz").write_bytes(content)
    for name in ("a.pth", "a.npz"):
        with pytest.raises(WeightsError, match="unpack to"):
            read_values(tmp_path / name, network)


def test_files_from_before_archives(network: nn.Module, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    values = read_values(tmp_path / "old.pth", network).by_name
    assert all(torch.equal(values[name], value) for name, value in network.state_dict().items())
    content = (tmp_path / "old.pth").read_bytes()
    storage = b"K\x24"  # 36 values of the kernel
    assert content.count(storage) >= 1
    (tmp_path / "asks.pth").write_bytes(content.replace(storage, b"\x8a\x06\x00\x00\x00\x00\x00\x01"))  # 2^40
    with pytest.raises(WeightsError, match="values in a file of"):
        read_values(tmp_path / "asks.pth", network)


def test_size_is_held_against_the_network_and_only_files_are_opened(network: nn.Module, tmp_path: Path) -> None:
    assert size_limit(network) == (1 << 30) + 16 * 4 * sum(v.numel() for v in network.state_dict().values())
    for name in ("a.pth", "a.safetensors", "a.npz", "a.caffemodel"):
        with open(tmp_path / name, "wb") as file:
            file.truncate(1 << 41)
        with pytest.raises(WeightsError, match="too large"):
            read_values(tmp_path / name, network)
    os.mkfifo(tmp_path / "pipe.pth")
    for path in (tmp_path, tmp_path / "pipe.pth", tmp_path / "none.pth", Path("/dev/zero"), tmp_path / ("x" * 5000)):
        with pytest.raises(WeightsError):
            read_values(path, network)
