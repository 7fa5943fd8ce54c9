"""bfloat16 is chosen where the device computes it itself, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from visus.engine import precision
from visus.engine.model_file import read_info
from visus.engine.precision import bfloat16_in_words, computes_bfloat16, processor_instructions, with_precision
from visus.engine.recipe import Recipe
from visus.errors import RecipeError

CPU = torch.device("cpu")
WITH = ("amx_bf16", "avx512_bf16")

LISTS = {
    "processor\t: 0\nmodel name\t: Intel(R) Xeon(R)\nflags\t\t: fpu avx512f avx512_bf16 amx_bf16 amx_tile\n": WITH,
    "processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16\n": ("avx512_bf16",),
    "processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_vnni avx512_fp16\n": (),  # emulates it, slowly
    "processor\t: 0\nFeatures\t: fp asimd bf16 i8mm\n": ("bf16",),  # ARM
    "processor\t: 0\nFeatures\t: fp asimd ebf16_no\n": (),
    "": (),
}


@pytest.mark.parametrize(("text", "expected"), LISTS.items())
def test_the_processor_is_asked(text: str, expected: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert processor_instructions(tmp_path / "cpuinfo") == expected


def test_where_there_is_no_list_torch_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = tmp_path / "nowhere"
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert processor_instructions(nowhere) == ("avx512_bf16",)
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    assert processor_instructions(nowhere) == ()
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert processor_instructions(nowhere) == ()


def test_torch_says_of_this_processor_what_its_list_says() -> None:
    """An oracle where both are there."""
    asked = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    if asked is None or not Path("/proc/cpuinfo").exists():
        pytest.skip("needs Linux and a PyTorch that knows the processor")
    assert asked() == ("avx512_bf16" in processor_instructions())


def test_cuda_is_asked_for_its_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    for capability, expected in (((9, 0), True), ((8, 0), True), ((7, 5), False)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, found=capability: found)
        assert computes_bfloat16(torch.device("cuda:0")) is expected
    assert not computes_bfloat16(torch.device("mps"))


@pytest.mark.parametrize("found", [WITH, ()])
def test_auto_takes_bfloat16_only_where_it_is_native(found: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "processor_instructions", lambda: found)
    recipe, told = with_precision(Recipe(precision="auto"), CPU)
    assert recipe.precision == ("bfloat16" if found else "float32")
    assert told.startswith(f"precision: {recipe.precision}, because cpu")
    for name in ("float32", "float16"):
        given = Recipe.from_dict({"precision": name})
        assert with_precision(given, CPU) == (given, "")


def test_bfloat16_that_is_emulated_is_warned_of_with_its_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "processor_instructions", lambda: ())
    recipe, told = with_precision(Recipe(precision="bfloat16"), CPU)
    assert recipe.precision == "bfloat16"  # as asked
    assert "warning" in told
    assert "2.8 times" in told
    assert "48 times" in told
    assert bfloat16_in_words(CPU).startswith("not by itself")
    monkeypatch.setattr(precision, "processor_instructions", lambda: WITH)
    assert with_precision(Recipe(precision="bfloat16"), CPU)[1] == ""
    assert bfloat16_in_words(CPU) == "by itself (amx_bf16, avx512_bf16)"


def test_the_default_is_float32_and_other_words_are_refused() -> None:
    assert Recipe().precision == "float32"
    with pytest.raises(RecipeError, match="precision"):
        Recipe.from_dict({"precision": "best"})


def test_a_training_says_what_it_took_and_warns(
    photos: Path, tmp_path: Path, without_reports: None, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Any]
) -> None:
    monkeypatch.setattr(precision, "processor_instructions", lambda: ())
    common = ("train", photos, "--model", "lenet5@modern", "--epochs", 1, "--batch-size", 6, "--out", tmp_path)
    common += ("--device", "cpu", "--weights", "none")
    told = cli(*common, "--set", "precision=auto", "--name", "a")
    assert told.code == 0, told.err
    assert "precision: float32, because cpu computes bfloat16 not by itself" in told.err
    assert read_info(tmp_path / "a").recipe["precision"] == "float32"
    assert "precision: auto" in (tmp_path / "a" / "config.yaml").read_text()  # what was asked, for another machine
    told = cli(*common, "--set", "precision=bfloat16", "--name", "b")
    assert "does not compute bfloat16 itself" in told.err
    assert "48 times" in (tmp_path / "b" / "log.txt").read_text()
