"""PyTorch and a process that cannot import it answer alike, to the last bit, from the same raw outputs.

A small network of each kind predicts images by its task. Its raw outputs are saved as arrays and its reader as JSON;
another interpreter, in which importing torch and what else is heavy fails, reads them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tiny_backbone import TinyBackbone
from visus.answers import maps
from visus.answers.maps import MapReader
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.cats_dogs_cnn import cats_dogs_cnn
from visus.models.codecs import ClassifierCodec, arrays_of
from visus.models.landmarks.regressor import landmarks
from visus.models.localization.localizer import localizer
from visus.models.protocols import ReadableCodec
from visus.models.segmentation.unet import unet, unet_padded
from visus.structures import Batch, Placement
from visus.tasks.multilabel_classification import MultiLabelClassification
from visus.tasks.table import make_task

READ = """
import json, sys
from dataclasses import fields
for name in ("torch", "torchvision", "cv2", "scipy", "sklearn", "skimage", "matplotlib"):
    sys.modules[name] = None
import numpy as np
from visus.answers.table import READERS, reader_from

folder = sys.argv[1]
outputs, found = np.load(f"{folder}/outputs.npz"), {}
for case in json.load(open(f"{folder}/cases.json")):
    reader = reader_from(case["reader"])
    named = {name: outputs[f"{case['name']}/{name}"] for name in reader.names}
    for number, value in enumerate(reader.read(named, tuple(case["size"]))):
        for field in fields(value):
            entry = getattr(value.named(tuple(case["classes"])), field.name)
            if entry is not None:
                found[f"{case['name']}/{number}/{field.name}"] = entry
np.savez(f"{folder}/answers.npz", **found)
for place in READERS.values():
    __import__(place.partition(":")[0])
"""


class Shares(ClassifierCodec):
    """A codec of one's own that computes scores with PyTorch."""

    def terms(self, outputs: Tensor, encoded: Tensor) -> dict[str, Tensor]:
        return {}

    def decode(self, outputs: Tensor) -> Tensor:
        return outputs.sigmoid() / outputs.sigmoid().sum(1, keepdim=True)


class Pointwise(nn.Module):
    """The mean of each channel, through a linear layer, as an answer of its own codec."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.codec = nn.Linear(3, 4), Shares()

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images.mean((2, 3)))


@dataclass(frozen=True)
class Case:
    """A network, and how its task is made.

    Args:
        task: its name.
        network: makes it.
        images: [C,H,W] of an image.
        classes: K.
    """

    task: str
    network: Callable[[], nn.Module]
    images: tuple[int, int, int]
    classes: int = 3

    def made(self) -> tuple[Any, nn.Module, Batch]:
        """The task, the network in eval mode, and a batch of two images."""
        torch.manual_seed(0)
        network = self.network().eval()
        names = ("left_eye", "right_eye", "nose", "d", "e", "f", "g", "h", "i", "j")[: self.classes]
        if self.task == "multilabel_classification":
            task: Any = MultiLabelClassification(names, thresholds=[0.3, 0.5, 0.51])
        else:
            task = make_task(self.task, names)
        size = self.images[1:]
        batch = Batch(torch.randn(2, *self.images), None, [Placement.identity(size)] * 2, ["0", "1"])
        return task, network, batch


CASES = {
    "logits": Case("classification", lambda: build(find("lenet5@modern"), classes=3), (1, 32, 32)),
    "penalties": Case("classification", lambda: build(find("lenet5")), (1, 32, 32), 10),
    "margins": Case("classification", lambda: build(find("dsn"), classes=3), (3, 32, 32)),
    "one logit": Case("classification", lambda: cats_dogs_cnn(classes=2, in_channels=1, size=(46, 46)), (1, 46, 46), 2),
    "scores": Case("classification", Pointwise, (3, 8, 8), 4),
    "label sets": Case("multilabel_classification", lambda: build(find("lenet5@modern"), classes=3), (1, 32, 32)),
    "one box": Case("localization", lambda: localizer(classes=3, backbone=TinyBackbone(), width=8), (3, 40, 56)),
    "a box a class": Case(
        "localization",
        lambda: localizer(classes=10, backbone=TinyBackbone(), width=8, loss="squared", boxes="per_class"),
        (3, 40, 56),
        10,
    ),
    "points": Case("landmarks", lambda: landmarks(classes=3, backbone=TinyBackbone(), width=8), (3, 40, 56)),
    "map": Case("segmentation", lambda: unet_padded(classes=3, in_channels=1, width=2), (1, 48, 64)),
    "masks": Case("multilabel_segmentation", lambda: unet_padded(classes=3, in_channels=1, width=2), (1, 48, 64)),
}

WITHOUT_BORDER = Case("segmentation", lambda: unet(classes=3, in_channels=1, width=2), (1, 188, 204))
"""Its network answers for the centre of what it sees, so that its task shows it mirrored borders."""


def entries(value: Any) -> dict[str, np.ndarray]:
    """The fields of a value that say something, as arrays."""
    found = {field.name: getattr(value, field.name) for field in fields(value)}
    return {name: np.asarray(entry) for name, entry in found.items() if entry is not None}


def test_another_interpreter_without_torch_answers_alike(tmp_path: Path) -> None:
    outputs, cases, answers = {}, [], {}
    for name, case in CASES.items():
        task, network, batch = case.made()
        codec = task.codec(network)
        assert isinstance(codec, ReadableCodec)
        with torch.no_grad():
            answers[name] = task.predict(network, batch)
            named = arrays_of(codec.named_outputs(network(batch.images)))
        assert all(len(array) == 2 and array.dtype == np.float32 for array in named.values())
        reader = codec.reader(network)
        assert set(reader.names) == set(named)
        outputs |= {f"{name}/{output}": array for output, array in named.items()}
        entry = {"name": name, "reader": reader.to_dict(), "size": case.images[1:], "classes": task.classes}
        cases.append(entry)
    np.savez(tmp_path / "outputs.npz", **outputs)
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    result = subprocess.run([sys.executable, "-c", READ, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    found = np.load(tmp_path / "answers.npz")
    for entry in cases:
        name = entry["name"]
        kinds = set()
        for number, value in enumerate(answers[name]):
            for field, expected in entries(value).items():
                np.testing.assert_array_equal(found[f"{name}/{number}/{field}"], expected, err_msg=f"{name} {field}")
            kinds.add(str(entries(value)))
        assert len(kinds) == 2, f"{name}: the two images have the same answer"


@pytest.mark.parametrize("case", [CASES["map"], CASES["masks"], WITHOUT_BORDER])
def test_pieces_are_alike_too(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    for constant, value in (("TILE", 64), ("STEP", 16), ("CONTEXT", 16), ("BLEND", 8)):
        monkeypatch.setattr(maps, constant, value)
    task, network, _ = case.made()
    codec = task.codec(network)
    images = torch.randn(2, 1, 100, 150)
    batch = Batch(images, None, [Placement.identity((100, 150))] * 2, ["0", "1"])
    seen = []

    def run(given: np.ndarray) -> dict[str, np.ndarray]:
        seen.append(given.shape)
        return arrays_of(codec.named_outputs(network(torch.from_numpy(given))))

    with torch.no_grad():
        answers = task.predict(network, batch)
        reader = codec.reader(network)
        assert isinstance(reader, MapReader)
        found = reader.answers(run, images.numpy())
    assert len(seen) == 6
    for one, other in zip(answers, found, strict=True):
        for field, expected in entries(one).items():
            np.testing.assert_array_equal(entries(other.named(task.classes))[field], expected)
