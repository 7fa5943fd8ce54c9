"""Chooses the arithmetic of a training: bfloat16 only where the device computes it itself."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from visus.engine.recipe import Recipe

_X86 = ("amx_bf16", "avx512_bf16")
_ARM = ("bf16",)
_CPUINFO = Path("/proc/cpuinfo")

SLOWER_CONVOLUTION = 2.8
SLOWER_DEPTHWISE = 48
"""Times that bfloat16 takes of float32 on a processor with AVX-512, but without AVX512_BF16 and AMX: a 3x3 convolution
and a depthwise one. ``benchmarks/precision.py`` measures them on any machine."""


def processor_instructions(cpuinfo: Path = _CPUINFO) -> tuple[str, ...]:
    """The instructions by which the processor computes bfloat16, such as ("amx_bf16", "avx512_bf16"); () without any.

    Where the system has no such list, PyTorch is asked.

    Args:
        cpuinfo: Linux's list of the processor's abilities.
    """
    try:
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return _asked_of_torch()
    names = next(
        (line.partition(":")[2].split() for line in lines if line.lower().startswith(("flags", "features"))), []
    )
    return tuple(name for name in (*_X86, *_ARM) if name in names)


def _asked_of_torch() -> tuple[str, ...]:
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return ()  # PyTorch knows no such question of others
    known = {"amx_bf16": "_is_amx_tile_supported", "avx512_bf16": "_is_avx512_bf16_supported"}
    asked = {name: getattr(torch.cpu, question, None) for name, question in known.items()}
    return tuple(name for name, question in asked.items() if question is not None and question())


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a device computes bfloat16 itself, rather than by float32 and roundings.

    CUDA: from compute capability 8.0 on. Apple's GPUs: never said to.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and bool(processor_instructions())


def bfloat16_in_words(device: torch.device) -> str:
    """Whether a device computes bfloat16 itself, and by what, for people."""
    if not computes_bfloat16(device):
        return f"not by itself; {_slower()}" if device.type == "cpu" else "not by itself"
    return f"by itself ({', '.join(processor_instructions())})" if device.type == "cpu" else "by itself"


def with_precision(recipe: Recipe, device: torch.device) -> tuple[Recipe, str]:
    """The recipe with a precision in place of "auto", and what is to be told of it; "" if nothing.

    Args:
        recipe: of a training. A precision that it names stays.
        device: on which it trains.
    """
    native = computes_bfloat16(device)
    if recipe.precision == "auto":
        chosen = "bfloat16" if native else "float32"
        why = f"{device.type} computes bfloat16 {'itself' if native else 'not by itself'}"
        return recipe.model_copy(update={"precision": chosen}), f"precision: {chosen}, because {why}"
    if recipe.precision == "bfloat16" and not native:
        told = f"warning: this {device.type} does not compute bfloat16 itself"
        return recipe, f"{told}: {_slower()}; --set precision=auto" if device.type == "cpu" else told
    return recipe, ""


def _slower() -> str:
    return (
        f"a 3x3 convolution took {SLOWER_CONVOLUTION} times as long as in float32 on such a processor, a depthwise one "
        f"{SLOWER_DEPTHWISE} times"
    )
