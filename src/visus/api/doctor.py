"""Checks whether visus works on this machine."""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visus.engine.run_folder import environment
from visus.ops.memory_reuse import reuse_memory

PACKAGES = ("numpy", "pillow", "simplejpeg", "onnxruntime", "pydantic", "faster-coco-eval")
TRAINING = ("torch", "torchvision", "opencv-python-headless", "safetensors", "scikit-learn")
"""Packages of the extra for training: all of them, or none."""
LOW_DISK = 5_000_000_000
"""Bytes of free disk below which a training with checkpoints may not fit."""


@dataclass(frozen=True, slots=True)
class Examination:
    """The results of the checks; prints as a list.

    Args:
        versions: of Python, visus and the packages that matter.
        devices: names that ``--device`` takes, with what each is.
        bfloat16: by the same names, whether the device computes bfloat16 itself.
        freed_memory: what becomes of memory between two steps.
        cores: processors that this process may use.
        memory: free bytes.
        disk: free bytes where runs are written.
        self_test: what the tiny training said.
        problems: what does not work; empty when all does.
    """

    versions: dict[str, str]
    devices: dict[str, str]
    bfloat16: dict[str, str]
    freed_memory: str
    cores: int
    memory: int | None
    disk: int
    self_test: str
    problems: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        """Whether all checks passed."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "versions": self.versions,
            "devices": self.devices,
            "bfloat16": self.bfloat16,
            "freed_memory": self.freed_memory,
            "cores": self.cores,
            "free_memory_bytes": self.memory,
            "free_disk_bytes": self.disk,
            "self_test": self.self_test,
            "problems": list(self.problems),
            "healthy": self.healthy,
        }

    def __str__(self) -> str:
        lines = ["versions: " + ", ".join(f"{name} {version}" for name, version in self.versions.items())]
        lines += [f"device {name}: {what}" for name, what in self.devices.items()]
        lines += [f"bfloat16 on {name}: {how}" for name, how in self.bfloat16.items()]
        lines.append(f"freed memory: {self.freed_memory}")
        memory = "unknown" if self.memory is None else f"{self.memory / 1e9:.1f} GB"
        lines.append(f"{self.cores} cores, {memory} of memory free, {self.disk / 1e9:.1f} GB of disk free")
        lines.append(f"self-test: {self.self_test}")
        if "torch" not in self.versions:
            lines.append('it predicts with exported models; for training: pip install "visus[train]"')
        lines += [f"PROBLEM: {problem}" for problem in self.problems]
        lines.append("all is well" if self.healthy else f"{len(self.problems)} problem(s)")
        return "\n".join(lines)


def examine() -> Examination:
    """Looks at versions, devices, memory and disk, and trains a tiny network for a few steps."""
    problems: list[str] = []
    versions = {"python": platform.python_version(), **_versions(problems)}
    devices, self_test, memory = {"cpu": platform.machine()}, "not run: visus is installed without training", None
    bfloat16: dict[str, str] = {}
    freed_memory = reuse_memory()
    if "torch" in versions:
        import torch

        from visus.engine.memory import free_memory
        from visus.engine.precision import bfloat16_in_words
        from visus.engine.runtime import available_devices

        devices = {name: _device(name) for name in available_devices()}
        bfloat16 = {name: bfloat16_in_words(torch.device(name)) for name in devices}
        memory = free_memory()
        try:
            self_test = _self_test()
        except Exception as error:  # whatever is broken here is the finding
            self_test = f"failed: {type(error).__name__}: {error}"
            problems.append(f"the self-test {self_test}")
    disk = shutil.disk_usage(Path.cwd()).free
    if disk < LOW_DISK:
        problems.append(f"little disk is free here: {disk / 1e9:.1f} GB; a training with checkpoints may need more")
    return Examination(
        versions=versions,
        devices=devices,
        bfloat16=bfloat16,
        freed_memory=freed_memory,
        cores=_cores(),
        memory=memory,
        disk=disk,
        self_test=self_test,
        problems=tuple(problems),
    )


def _device(name: str) -> str:
    """A device in words."""
    if name.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(name)
    return str(environment()["processor"]) if name == "cpu" else "Apple GPU"


def _versions(problems: list[str]) -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version
    from importlib.util import find_spec

    versions = {}
    names = ("visus", *TRAINING, *PACKAGES) if find_spec("torch") else ("visus", *PACKAGES)
    for package in names:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            problems.append(f"the package {package} is not installed")
    return versions


def _cores() -> int:
    import os

    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _self_test() -> str:
    """Trains 40 steps on built-in digits, saves and reloads the model, and reports its accuracy."""
    import numpy as np
    import torch
    from safetensors.torch import load_file, save_file

    from visus.api.create import create
    from visus.data.reading.opening import open_data

    samples = open_data("digits").split("train")[:320]
    pixels = np.stack([sample.image.load()[0] for sample in samples])
    images = torch.nn.functional.interpolate(torch.from_numpy(pixels)[:, None] / 255.0, size=(28, 28))
    labels = torch.tensor([sample.target("classification").index for sample in samples])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = create("mnist_cnn")
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for step in range(40):
        rows = slice(step * 32 % 320, step * 32 % 320 + 32)
        loss = torch.nn.functional.cross_entropy(network(images[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    network.eval()
    with torch.inference_mode():
        answers = network(images)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "self-test.safetensors"
        save_file(network.state_dict(), file)
        again = create("mnist_cnn").eval()
        again.load_state_dict(load_file(file))
        with torch.inference_mode():
            same = bool(torch.equal(again(images), answers))
    accuracy = float((answers.argmax(1) == labels).float().mean())
    if accuracy < 0.8 or not same:
        raise RuntimeError(f"accuracy {accuracy:.2f} after 40 steps (0.8 expected), saved file equal: {same}")
    return f"40 steps on handwritten digits reach {accuracy:.0%} on those images; the saved file gives the same answers"
