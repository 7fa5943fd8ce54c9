"""Damaged and hostile files of every kind end in an exit code for them: never in 70, never without an end.

Each test takes a right file, changes it as a seed says (``mutations``), and gives it to the command line. A few seeds
run in every commit; ``make test-slow`` runs hundreds.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mutations import RIGHT_ENDS, damaged, exit_code, mutated

TESTS = Path(__file__).parents[1]
OPENING = b'{"__metadata__":{"sha256":"'


def _writers() -> dict[str, Callable[[Path], Path]]:
    """What writes the smallest data set of each format, from the battery of formats."""
    spec = importlib.util.spec_from_file_location("format_writers", TESTS / "conformance" / "test_formats.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    writers: dict[str, Callable[[Path], Path]] = module.WRITERS
    return writers


WRITERS = _writers()
LABELLED = sorted(set(WRITERS) - {"class-folders", "images"})
"""The formats with files beside images."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, a stopped run, and their data; not to be changed."""
    folder = shutil.copytree(TESTS / "data_of_earlier_versions", tmp_path_factory.mktemp("hostile") / "runs")
    for config in folder.glob("*/config.yaml"):
        config.write_text(config.read_text().replace("/elsewhere", str(folder)))
    return folder


def opened(path: Path) -> tuple[Any, bytes]:
    """The header and the values of a safetensors file."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def write_with_digest(path: Path, header: Any, values: bytes) -> None:
    """Writes a safetensors file whose digest is right, whatever its header says."""
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    content = bytearray(len(text).to_bytes(8, "little") + text + values)
    if text.startswith(OPENING):
        at = 8 + len(OPENING)
        content[at : at + 64] = b"0" * 64
        content[at : at + 64] = hashlib.sha256(content).hexdigest().encode()
    path.write_bytes(content)


def few(count: int, many: int) -> list[Any]:
    """Seeds: a few for every commit, the others marked slow."""
    return [*range(count), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(count, many))]


def require_right_end(arguments: Sequence[str | Path], changed: object) -> None:
    code, told = exit_code([str(argument) for argument in arguments])
    assert code in RIGHT_ENDS, f"{told}\nof {str(changed)[:2000]}"


@pytest.mark.parametrize("seed", few(6, 400))
def test_cards_of_models(runs: Path, tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    header, values = opened(runs / "finished" / "model.safetensors")
    card = mutated(json.loads(header["__metadata__"]["visus-model"]), draw)
    header["__metadata__"]["visus-model"] = json.dumps(card)
    write_with_digest(tmp_path / "model.safetensors", header, values)
    image = next((runs / "nuclei" / "images").iterdir())
    verb = draw.choice((["predict", tmp_path, image], ["summary", tmp_path]))
    require_right_end(verb, card)


@pytest.mark.parametrize("seed", few(6, 400))
def test_headers_of_models(runs: Path, tmp_path: Path, seed: int) -> None:
    draw = random.Random(1000 + seed)
    header, values = opened(runs / "finished" / "model.safetensors")
    metadata = header.pop("__metadata__")
    tensors = mutated(header, draw)
    changed = {"__metadata__": metadata, **tensors} if isinstance(tensors, dict) else tensors
    write_with_digest(tmp_path / "model.safetensors", changed, values)
    require_right_end(["predict", tmp_path, next((runs / "nuclei" / "images").iterdir())], tensors)


@pytest.mark.parametrize("seed", few(2, 100))
def test_configurations(runs: Path, tmp_path: Path, without_reports: None, seed: int) -> None:
    draw = random.Random(2000 + seed)
    run = shutil.copytree(runs / "stopped", tmp_path / "run")
    config = mutated(yaml.safe_load((run / "config.yaml").read_text()), draw)
    try:
        (run / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
    except UnicodeEncodeError:  # half of a surrogate pair, which no file can hold
        return
    require_right_end(["train", "--resume", run, "--quiet"], config)


@pytest.mark.parametrize("seed", few(1, 100))
def test_checkpoints(runs: Path, tmp_path: Path, without_reports: None, seed: int) -> None:
    draw = random.Random(3000 + seed)
    run = shutil.copytree(runs / "stopped", tmp_path / "run")
    header, values = opened(run / "last.ckpt")
    state: Any = json.loads(header["__metadata__"]["visus-checkpoint"])
    metadata = header.pop("__metadata__")
    if draw.random() < 0.6:
        state = mutated(state, draw)
    else:  # two tensors of one another's names
        one, other = draw.sample(sorted(header), 2)
        header[one], header[other] = header[other], header[one]
    metadata["visus-checkpoint"] = json.dumps(state)
    write_with_digest(run / "last.ckpt", {"__metadata__": metadata, **header}, values)
    require_right_end(["train", "--resume", run, "--quiet"], state)


RUN_FILES = ("config.yaml", "metrics.json", "results.csv", "last.ckpt", "env.json", "command.txt", "model.safetensors")


@pytest.mark.parametrize("seed", few(3, 100))
def test_files_of_runs(runs: Path, tmp_path: Path, without_reports: None, seed: int) -> None:
    draw = random.Random(4000 + seed)
    run = shutil.copytree(runs / "stopped", tmp_path / "run")
    file = run / draw.choice(RUN_FILES)
    content = file.read_bytes() if file.exists() else b"{}"
    file.unlink(missing_ok=True)
    way = draw.randrange(8)
    if way == 0:
        file.mkdir()
    elif way == 1:
        os.mkfifo(file)
    else:
        file.write_bytes(damaged(content, draw))
    require_right_end(["train", "--resume", run, "--quiet"], (file.name, way))


@pytest.mark.parametrize("seed", few(5, 300))
def test_weights(tmp_path: Path, seed: int) -> None:
    draw = random.Random(5000 + seed)
    (tmp_path / "data").mkdir()
    source = WRITERS["class-folders"](tmp_path / "data")
    network = torch.nn.ModuleDict({"conv_1": torch.nn.Conv2d(1, 2, 3)})
    torch.save({"state_dict": network.state_dict(), "epoch": 3}, tmp_path / "a.pth",
               _use_new_zipfile_serialization=draw.random() < 0.7)  # fmt: skip
    file = tmp_path / draw.choice(("a.pth", "a.pth", "a.safetensors", "a.npz", "a.caffemodel", "a.weights"))
    file.write_bytes(damaged((tmp_path / "a.pth").read_bytes(), draw))
    require_right_end(
        ["train", source, "--model", "mnist_cnn", "--weights", file, "--show-recipe", "--quiet"], file.name
    )


@pytest.mark.parametrize("seed", few(1, 40))
@pytest.mark.parametrize("format", LABELLED)
def test_data(tmp_path: Path, format: str, seed: int) -> None:
    draw = random.Random(f"{format} {seed}")
    source = WRITERS[format](tmp_path)
    every = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    files = [path for path in every if path.suffix not in (".png", ".jpg")] or every
    file = draw.choice(files)
    content = file.read_bytes()
    if file.suffix == ".json" and draw.random() < 0.8:
        file.write_bytes(json.dumps(mutated(json.loads(content), draw)).encode())
    else:
        file.write_bytes(damaged(content, draw))
    require_right_end(["data", "check", source], file.read_bytes()[:1500])
