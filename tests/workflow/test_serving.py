"""``visus serve`` of an exported model, in a process in which nothing of PyTorch can be imported."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from onnx_files import write_pooling_network
from visus.answers.classification import SoftmaxReader
from visus.engine.exported_card import ExportedCard, ExportedInput
from visus.engine.model_card import ModelInfo
from visus.errors import MissingExtraError, UsageError
from visus.structures import Preprocessing
from visus.workflow.serving import ServeRequest, load_served, named, read_token, require_packages

BLOCKED = "torch", "torchvision", "cv2", "matplotlib", "sklearn", "skimage", "scipy", "onnx"
PROGRAM = f"""
import sys
for name in {BLOCKED}:
    sys.modules[name] = None
from visus.cli.main import main
main(sys.argv[1:])
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A network that answers with the strongest colour."""
    info = ModelInfo("classification", "resnet18@paper", ("red", "green", "blue"), 3, Preprocessing((8, 10), "stretch"))
    card = ExportedCard(
        info, SoftmaxReader().to_dict(), {"logits": "one value a class"}, ExportedInput((8, 10)), 20, "0" * 64
    )
    weights, bias = np.eye(3, dtype=np.float32) * 4, np.zeros(3, np.float32)
    return write_pooling_network(tmp_path / "colours.onnx", weights, bias, card.to_metadata(), size=(8, 10))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.new("RGB", (30, 20), (240, 30, 40)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@contextmanager
def served(*arguments: Any, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server without PyTorch, and its address."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "serve", *map(str, arguments), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        try:
            told = ""
            while "visus serves" not in told:
                assert process.stderr is not None
                line = process.stderr.readline()
                assert line, told
                told += line
            yield process, re.findall(r"http://[\d.:]+/", told)[0]
        finally:
            process.kill()


def ask(address: str, path: str, data: bytes | None = None, **headers: str) -> Any:
    request = urllib.request.Request(address + path, data, {"content-type": "image/png", **headers})
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read().decode()
    return json.loads(text) if path != "metrics" else text


def test_without_torch_it_answers_as_predict_does_and_ends_with_a_signal(
    model: Path, photo: Path, cli: Any, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with served(model, VISUS_TOKEN="a secret", HOME=str(home), XDG_CACHE_HOME="") as (process, address):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(address, "predict", photo.read_bytes())
        bearer = {"authorization": "Bearer a secret"}
        answer = ask(address, f"predict?name={photo}", photo.read_bytes(), **bearer)
        with pytest.raises(urllib.error.HTTPError, match="422"):
            ask(address, "explain", photo.read_bytes(), **bearer)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    told = cli("predict", model, photo, "--json")
    wanted = json.loads(told.out)
    wanted["predictions"][0]["image"] = photo.name
    assert answer == wanted
    assert list(home.rglob("*")) == []  # neither visus nor onnxruntime leaves anything behind


@pytest.mark.slow
def test_workers_share_the_port_and_their_counts_and_are_started_again(model: Path, photo: Path) -> None:
    with served(model, "--workers", 2) as (process, address):
        for _ in range(12):
            assert ask(address, "predict", photo.read_bytes())["predictions"][0]["label"] == "red"
        text = ask(address, "metrics")
        assert 'visus_requests_total{path="/predict",code="200"} 12' in text
        assert "visus_workers 2" in text
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        for _ in range(12):  # those that come to the dead one's socket wait for the next
            ask(address, "predict", photo.read_bytes())
        assert 'visus_requests_total{path="/predict",code="200"} 24' in ask(address, "metrics")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@pytest.mark.slow
def test_workers_that_cannot_begin_end_the_server_with_their_code(tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"no model")
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, "serve", str(tmp_path / "no.onnx"), "--port", "0", "--workers", "2"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 5
    assert "Traceback" not in ended.stderr


def test_models_are_named_after_their_run_folder_or_file(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "cells-ssd"
    run.mkdir(parents=True)
    (tmp_path / "runs" / "latest").symlink_to(run)
    odd = tmp_path / "a=b c.onnx"
    odd.write_bytes(b"")
    given = [run, run / "model.safetensors", tmp_path / "runs" / "latest", "mine=x/y.onnx", "z.onnx", odd]
    names = [name for name, _ in named(given)]
    assert names == ["cells-ssd", "cells-ssd", "cells-ssd", "mine", "z", "a-b-c"]
    assert named(["mine=x/y.onnx"]) == (("mine", "x/y.onnx"),)


def test_two_models_of_one_name_are_refused(model: Path) -> None:
    with pytest.raises(UsageError, match="two models"):
        load_served(ServeRequest((("a", str(model)), ("a", str(model)))))
    with pytest.raises(UsageError, match="by this name"):
        load_served(ServeRequest((("a/b", str(model)),)))


def test_a_token_comes_from_a_file_and_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a secret\n")
    assert read_token(file) == "a secret"
    for wrong in ("", "\n", "a\nb"):
        file.write_text(wrong)
        with pytest.raises(UsageError, match="holds no token"):
            read_token(file)


def test_without_the_extra_it_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "uvicorn" else object())
    with pytest.raises(MissingExtraError, match=r"visus\[serve\]"):
        require_packages()


def test_wrong_usage_is_told_before_anything_is_loaded(cli: Any, tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = cli("serve", tmp_path / "no.onnx", "--port", taken.getsockname()[1])
    assert (told.code, "is taken" in told.err) == (2, True)
    assert cli("serve", tmp_path / "no.onnx", "--port", 0).code == 5
    assert cli("serve", tmp_path / "no.onnx", "--origin").code == 2
