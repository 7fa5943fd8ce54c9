"""Reads files of weights as tensors or arrays by name, and finds the state in what trainers wrap around it.

Loading never runs code: safetensors, numpy arrays without pickles, or ``torch.load(weights_only=True)``. Sizes are
looked at before anything is unpacked, and are held against the network that is to be filled.
"""

from __future__ import annotations

import argparse
import os
import pickletools
import re
import warnings
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from visus.errors import WeightsError
from visus.files.arrays import read_arrays, require_unpacked_size
from visus.files.regular import GIB, file_size
from visus.models.caffe_file import SUFFIXES, read_caffe
from visus.models.keras_file import read_keras

_ANYHOW, _RATIO = GIB, 16
"""A file may hold so many bytes, and so many times the network's own size more: a training's checkpoint has the states
of an optimiser and averaged weights beside the weights, in up to 64 bits."""

_WRAPPINGS = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params", "parameters"),
    *("module", "backbone", "student", "teacher", "generator"),
    *("ema", "model_ema", "ema_state_dict", "state_dict_ema", "ema_model", "params_ema", "ema_state", "shadow"),
)
"""Under what names trainers save a network's state, in the order in which one is taken where a file has several."""

_PREFIXES = (
    *("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.", "student.", "teacher."),
    *("_forward_module.", "ema_model.", "ema.", "generator.", "_fsdp_wrapped_module.", "wrapped."),
)
"""What wrappers put before every name: DataParallel, torch.compile, Lightning ..."""

_DEEPEST = 4
_NUMBERS = frozenset({"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"})  # pickle's opcodes


@dataclass(frozen=True, slots=True)
class Values:
    """The values of a file.

    Args:
        by_name: tensors or arrays.
        taken_off: the wrappings and prefixes that were around them, outermost first.
    """

    by_name: Mapping[str, Any]
    taken_off: tuple[str, ...] = ()


def size_limit(network: nn.Module) -> int:
    """The most bytes of a file of weights for a network, packed or unpacked."""
    return limit_for(sum(value.numel() for value in network.state_dict().values()))


def limit_for(values: int) -> int:
    """The most bytes of a file of weights for a network of so many values, packed or unpacked."""
    return _ANYHOW + _RATIO * 4 * values


def read_values(path: Path, network: nn.Module) -> Values:
    """Reads the values of a file for a network: :func:`read_all`, without the prefixes that wrappers put before names.

    Args:
        path: the file.
        network: that is to be filled, whole or in its backbone: its size limits that of the file, and a prefix that its
            own names have is not taken off.

    Raises:
        WeightsError: as :func:`read_all` does.
    """
    return without_prefixes(read_all(path, size_limit(network)), tuple(network.state_dict()))


def read_all(path: Path, limit: int) -> Values:
    """Reads the values of a file by name, as tensors or arrays.

    Args:
        path: ``.safetensors``, ``.npz``, ``.caffemodel``, or what ``torch.save`` wrote.
        limit: the most bytes that it may have, packed or unpacked.

    Raises:
        WeightsError: if there is no such file, it cannot be read safely, or it holds no weights.
    """
    require_weights_file(path, limit)
    if path.suffix == ".npz":
        return Values(read_arrays(path, limit=limit, expected=_EXPECTED, error=WeightsError))
    if path.name.endswith(SUFFIXES):
        return Values(read_caffe(path))
    if path.suffix == ".h5":
        return Values(read_keras(path, limit=limit))
    try:
        if path.suffix == ".safetensors":
            return Values(_required(load_file(path), path, limit))
        content = _loaded(path, limit)
    except WeightsError:
        raise
    except Exception as error:  # a pickle is a program: whatever it raises, the file is what is wrong
        raise _unreadable(path, error) from None
    state, wrappings = _unwrapped(content, path)
    return Values(_required(state, path, limit), wrappings)


def require_weights_file(path: Path, limit: int) -> None:
    """Raises WeightsError unless a path names a regular file of at most ``limit`` bytes."""
    if not os.path.exists(path):  # of names that are too long, Path.exists raises
        raise WeightsError(
            f"there is no weights file {str(path)[:300]}", remedy="check the path, or use --weights none"
        )
    file_size(path, limit=limit, expected=_EXPECTED, error=WeightsError)


def _loaded(path: Path, limit: int) -> Any:
    """What ``torch.save`` wrote, with plain values and tensors only."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            require_unpacked_size(archive, limit)
    else:
        _require_storages(path)
    # An argparse.Namespace, which torchvision's and timm's trainers save as "args", holds plain values only.
    with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True)


def _require_storages(path: Path) -> None:
    """Checks a file from before PyTorch 1.6, whose storages get their room before their values are looked for.

    Raises:
        ValueError: if the storages ask for far more room than the file's own size.
    """
    size, asked = path.stat().st_size, 0
    with open(path, "rb") as file:
        for _ in range(4):  # magic number, version, machine, content
            largest = -1
            for opcode, argument, _place in pickletools.genops(file):
                if opcode.name == "BINPERSID":
                    if largest < 0:
                        raise ValueError("a storage without a size")
                    # The size is among the last numbers, with the shape of the tensor before it.
                    asked, largest = asked + largest, -1
                elif opcode.name in _NUMBERS:
                    largest = max(largest, int(str(argument)))
    if asked > size + _ANYHOW:
        raise ValueError(f"tensors of {asked:,} values in a file of {size:,} bytes")


def _unwrapped(content: Any, path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Finds the state in what a trainer saved: the state itself, or within known or unmistakable wrappings."""
    wrappings: list[str] = []
    outermost = content
    for _ in range(_DEEPEST + 1):
        if isinstance(content, Mapping):
            # What modules add to their state for themselves is no weight.
            content = {name: value for name, value in content.items() if not str(name).endswith("_extra_state")}
            if content and all(isinstance(value, Tensor) for value in content.values()):
                return {str(name): value for name, value in content.items()}, tuple(wrappings)
            inner = {name: value for name, value in content.items() if isinstance(value, Mapping) and value}
            known = [name for name in _WRAPPINGS if name in inner]
            states = [name for name, value in inner.items() if all(isinstance(one, Tensor) for one in value.values())]
            if known or len(states) == 1:
                chosen = known[0] if known else states[0]
                wrappings.append(str(chosen))
                content = inner[chosen]
                continue
        break
    held = ", ".join(str(name)[:40] for name in list(outermost)[:8]) if isinstance(outermost, Mapping) else ""
    raise WeightsError(
        f"{path} does not hold the weights of a network",
        expected="tensors by name, or a trainer's checkpoint with such in " + ", ".join(_WRAPPINGS[:6]) + " ...",
        got=f"a mapping of {held}" if held else type(outermost).__name__,
        remedy="save network.state_dict()",
    )


def without_prefixes(values: Values, own: Collection[str]) -> Values:
    """Takes off prefixes that all names have, and that the names of the network to be filled do not begin with."""
    state, taken_off = values.by_name, list(values.taken_off)
    while True:
        # AveragedModel counts the averaged steps beside the module's names.
        names = [name for name in state if name != "n_averaged"]
        prefix = next((one for one in _PREFIXES if names and all(name.startswith(one) for name in names)), None)
        if prefix is None or any(name.startswith(prefix) for name in own):
            return Values(state, tuple(taken_off))
        state = {name.removeprefix(prefix): state[name] for name in names}
        taken_off.append(f"{prefix}*")


def _required(state: dict[str, Any], path: Path, limit: int) -> dict[str, Any]:
    """Checks that tensors have values of their own, before one is copied."""
    for name, tensor in state.items():
        if tensor.is_meta or tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
            kind = "without values" if tensor.is_meta else f"of the kind {tensor.layout}, {tensor.dtype}"
            raise WeightsError(
                f"{path.name} holds a tensor {kind}",
                expected="dense tensors of real numbers",
                got=name[:200],
                remedy="save network.state_dict() of a network with values",
            )
    total = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if total > limit:  # a view can show one value as often as it likes
        raise WeightsError(
            f"{path.name} holds far more than the network needs",
            expected=f"at most {limit:,} bytes",
            got=f"{total:,} bytes",
        )
    return state


_EXPECTED = ".safetensors, .npz, .caffemodel, .weights, .h5, or a .pth of tensors only"


def _unreadable(path: Path, error: Exception) -> WeightsError:
    text = str(error)
    if foreign := re.search(r"(?:GLOBAL|global|class|type) ([\w.]+\.\w+)", text):
        return WeightsError(
            f"cannot read the weights file {path}: it holds more than tensors",
            expected="tensors by name, and plain values beside them",
            got=f"an object of {foreign[1][:100]}, which could run code as it is read",
            remedy="where it was made, save the weights alone: torch.save(network.state_dict(), FILE)",
        )
    if "TorchScript" in text or "torch.jit" in text:
        got = "a TorchScript archive, which holds code"
    else:
        got = re.sub(r"\x1b\[[0-9;]*m", "", (text.splitlines() or [""])[0])[:200] or type(error).__name__
    return WeightsError(
        f"cannot read the weights file {path}",
        expected=_EXPECTED,
        got="content that is not read safely" if "weights_only" in got or "Weights only" in got else got,
        remedy="download the file again: it is truncated, or not a file of weights",
    )
