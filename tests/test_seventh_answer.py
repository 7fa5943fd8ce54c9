"""A seventh kind of answer, written outside of visus: how many discs an image shows.

The package below brings a value, a task card, a task, a network and a data format, and edits nothing in visus. Its data
are opened and checked; its network trains by two updates a step, of which one looks at a frozen part; a killed training
goes on; its answers are predicted, saved, reported and explained; and all four batteries of ``visus.testing`` hold it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file

import visus
from visus.testing import check_format, check_network, check_task, check_value

CARDS = '''
"""The value, the task's card, the network's card and the format; loads no torch."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from visus.data.formats.reading import ALL, Format, Reading
from visus.data.pixels.images import FileImage
from visus.engine.recipe import Optimizer, Recipe
from visus.errors import DataError, ShapeError
from visus.models.card import Card
from visus.structures import Preprocessing, Sample, TargetState
from visus.structures.task_cards import TaskCard
from visus.structures.values.base import BaseValue


@dataclass(frozen=True, slots=True, eq=False)
class Count(BaseValue):
    """How many objects an image shows; it names no classes."""

    unit: ClassVar[str] = "objects"
    located: ClassVar[bool] = False

    number: float
    classes: tuple[str, ...] = ()
    image: object = None

    def undo(self, placement):
        return replace(self, image=None)

    def moved(self, move):
        return self

    def draw(self, image=None):
        from PIL import Image, ImageDraw

        pixels = self.pixels(image)
        if pixels is None:
            raise ShapeError("a count is drawn on its image", expected="an image", got="none", remedy="draw(image)")
        picture = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
        ImageDraw.Draw(picture).text((1, 1), self.words(), fill=(255, 255, 0))
        return picture

    def words(self):
        return f"about {self.number:.1f} discs"

    def to_dict(self):
        return {"count": float(self.number)}

    def examined(self, size, classes):
        return TargetState(counts=np.zeros(0, np.int64), empty=self.number == 0)

    def content(self):
        return float(self.number)


def recognise(listing):
    return not listing.is_file and (listing.root / "counts.txt").is_file()


def read(listing):
    samples = {}
    for line in (listing.root / "counts.txt").read_text(errors="replace").splitlines():
        try:
            split, name, number = line.split()
            target = Count(float(number))
        except ValueError:
            raise DataError("a line of counts.txt is no count", expected="SPLIT FILE NUMBER", got=line) from None
        file = listing.root / name
        if not file.is_file():
            raise DataError(f"{name} of counts.txt is not there", expected="an image file", got="nothing")
        samples.setdefault(split, []).append(Sample(name, FileImage(file), {"counting": target}))
    return Reading({"counting": ()}, samples)


def recipe(card, facts, *, pretrained):
    return Recipe(source="the counting package", epochs=3, batch_size=4, optimizer=Optimizer(name="adam", lr=5e-3))


TASK = TaskCard(
    name="counting", title="how many discs", value=Count, builder="discs.task:Counting", names="", unit="objects",
    least_classes=0, default_model="countnet",
)
NETWORK = Card(
    name="countnet", edition="paper", task="counting", builder="discs.network:countnet", title="CountNet", year=2026,
    paper="none", input=(3, 32, 32), classes=0, parameters=249, own_data="discs.cards:recipe",
    preprocessing=Preprocessing(size=(32, 32), fit="stretch", mean=(0.5,) * 3, std=(0.5,) * 3),
)
FORMAT = Format("counts", "counts.txt: a split, a file and a number a line", recognise, read)
'''

NETWORK = '''
"""A student and a head that learn, and a teacher that must stay as it is."""

import os
import signal

import torch
from torch import nn
from visus.models.codecs import OnePassCodec

from discs.cards import Count


class CountCodec(OnePassCodec):
    def encode(self, targets, device):
        return torch.tensor([target.number for target in targets], device=device)

    def terms(self, outputs, encoded):
        return {"squared": (outputs[:, 0] - encoded).square().mean()}

    def decode(self, outputs):
        return [Count(float(number)) for number in outputs[:, 0]]


def stage(channels):
    return nn.Sequential(nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())


class CountNet(nn.Module):
    head = ("count",)

    def __init__(self, in_channels):
        super().__init__()
        self.student = stage(in_channels)
        self.teacher = stage(in_channels).requires_grad_(False).eval()
        self.count = nn.Linear(8, 1)
        self.codec = CountCodec()
        self.steps = 0

    def forward(self, images):
        if self.student.training:
            self.steps += 1
            if self.steps == int(os.environ.get("DISCS_KILL_AT", 0)):
                os.kill(os.getpid(), signal.SIGKILL)
        return self.count(self.student(images).mean((2, 3)))


def countnet(*, classes: int, in_channels: int) -> nn.Module:
    return CountNet(in_channels)
'''

TASK = '''
"""What the number means, and the two updates of a step."""

import torch
from torch import nn
from visus.tasks.codec_task import CodecTask
from visus.tasks.task import PrimaryMetric
from visus.tasks.update import TaskLoss, Update


class CountMetric:
    def __init__(self):
        self.errors = []

    def update(self, predictions, targets):
        self.errors += [abs(p.number - t.number) for p, t in zip(predictions, targets, strict=True)]

    def compute(self):
        near = [error < 0.5 for error in self.errors]
        return {
            "near": sum(near) / len(near) if near else None,
            "mean_error": sum(self.errors) / len(near) if near else None,
        }


class Mimic(nn.Module):
    """The student's maps are to look a little like the teacher's."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, batch):
        images = batch.images
        return {"distance": 0.01 * (self.network.student(images) - self.network.teacher(images)).square().mean()}


class Counting(CodecTask):
    name = "counting"
    primary = PrimaryMetric("near", "counts right to one half")

    def updates(self, network, recipe):
        counted = Update(TaskLoss(network, self), [network.student, network.count], name="count")
        mimicked = Update(Mimic(network), [network.student], name="mimic", lr=0.1)
        return [counted, mimicked]

    def metrics(self, samples=None):
        return CountMetric()

    def image_quality(self, prediction, target):
        return 1.0 - abs(prediction.number - target.number)

    def score(self, network, outputs, prediction):
        return outputs[:, 0]
'''

ENTRIES = """[visus.tasks]
counting = discs.cards:TASK

[visus.models]
countnet = discs.cards:NETWORK

[visus.formats]
counts = discs.cards:FORMAT
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as pip leaves it in a folder of packages."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "discs").mkdir()
    for name, text in {"__init__": "", "cards": CARDS, "network": NETWORK, "task": TASK}.items():
        (folder / "discs" / f"{name}.py").write_text(text)
    facts = folder / "discs-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: discs\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(ENTRIES)
    return folder


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package's cards, with the package where Python finds it."""
    monkeypatch.syspath_prepend(str(site))
    import discs.cards

    return discs.cards


def write_discs(root: Path) -> Path:
    """Pictures of up to three discs, and counts.txt."""
    lines = []
    for split, count in (("train", 16), ("val", 4), ("test", 4)):
        (root / split).mkdir(parents=True)
        for number in range(count):
            noise = np.random.default_rng(100 * len(split) + number).integers(0, 60, (32, 32, 3))
            picture = Image.fromarray(noise.astype(np.uint8))
            for disc in range(number % 4):
                x = 1 + 10 * disc
                ImageDraw.Draw(picture).ellipse((x, 8, x + 8, 16), fill=(230, 200, 60))
            picture.save(root / split / f"{number}.png")
            lines.append(f"{split} {split}/{number}.png {number % 4}")
    (root / "counts.txt").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_discs(tmp_path_factory.mktemp("data") / "discs")


def test_its_data_are_opened_and_checked(installed: Any, data: Path, cli: Callable[..., Any]) -> None:
    dataset = visus.open_data(data)
    assert (dataset.format, dataset.tasks, dataset.classes["counting"]) == ("counts", ("counting",), ())
    assert dataset.split("train")[3].target("counting").number == 3
    told = cli("data", "check", data)
    assert told.code == 0, told.err
    assert "counting" in told.out


def test_a_killed_training_goes_on_to_the_same_bits(site: Path, installed: Any, data: Path, tmp_path: Path) -> None:
    whole = visus.train(data, weights="none", device="cpu", out=tmp_path / "whole", quiet=True)
    paths = [str(site), str(Path(visus.__file__).parents[1])]
    words = ["train", str(data), "--weights", "none", "--device", "cpu", "--out", str(tmp_path / "killed")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "DISCS_KILL_AT": "7"}
    killed = subprocess.run([sys.executable, "-m", "visus", *words], capture_output=True, env=environment, timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (folder,) = (path for path in (tmp_path / "killed").iterdir() if not path.is_symlink())
    assert not (folder / "model.safetensors").exists()
    resumed = visus.resume(folder, quiet=True)
    first, second = (load_file(run.path / "model.safetensors") for run in (whole, resumed))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def run(site: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> visus.Run:
    """A training long enough to learn to count."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        changes = {"epochs": 60, "optimizer.lr": 0.03, "keep": "last"}
        out = tmp_path_factory.mktemp("runs")
        return visus.train(data, weights="none", device="cpu", changes=changes, out=out, quiet=True)


def test_both_updates_train_and_the_frozen_part_stays(installed: Any, run: visus.Run) -> None:
    rows = (run.path / "results.csv").read_text().splitlines()
    assert {"loss.count.squared", "loss.mimic.distance"} <= set(rows[0].split(","))
    network = run.load(device="cpu").network
    assert int(network.student[1].num_batches_tracked) > 0
    assert int(network.teacher[1].num_batches_tracked) == 0
    assert torch.equal(network.teacher[1].running_mean, torch.zeros(8))
    column = rows[0].split(",").index("loss.count.squared")
    first, last = (float(row.split(",")[column]) for row in (rows[1], rows[-1]))
    assert last < 0.25 * first


def test_it_predicts_saves_reports_and_explains(
    installed: Any, run: visus.Run, data: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    told = cli("predict", run.path, data / "test", "--save", tmp_path / "out", "--device", "cpu")
    assert told.code == 0, told.err
    assert "about" in told.out
    table = (tmp_path / "out" / "predictions.csv").read_text().splitlines()
    assert table[0] == "image,count"
    assert len(table) == 5
    answers = json.loads((tmp_path / "out" / "predictions.json").read_text())["predictions"]
    assert all(abs(answer["count"] - number) < 1 for number, answer in enumerate(answers))
    assert Image.open(tmp_path / "out" / "3.png").size == (32, 32)
    told = cli("evaluate", run.path, "--split", "test", "--json", "--device", "cpu")
    assert told.code == 0, told.err
    assert json.loads(told.out)["metrics"]["mean_error"] < 1
    told = cli("explain", run.path, data / "test" / "3.png", "--save", tmp_path / "why", "--device", "cpu")
    assert told.code == 0, told.err
    assert list((tmp_path / "why").glob("*.png"))
    page = (run.path / "report.html").read_text()
    assert "counts right to one half" in page
    assert "what speaks for about 3." in page  # the heat map of the image with three discs
    assert page.count("<figcaption>truth<") >= 4
    assert "counting" in (run.path / "data_report.html").read_text()


def test_the_batteries_hold_for_it(installed: Any, tmp_path: Path) -> None:
    check_value(installed.Count(2.0), installed.Count(1.6))
    check_format(installed.FORMAT, write_discs, tmp_path / "format")
    check_network(installed.NETWORK)
    check_task("counting", write_discs, "countnet", tmp_path / "task", changes={"batch_size": 4})
