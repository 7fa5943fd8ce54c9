"""A task, a network and a data format of a package that is installed beside visus, which is not edited."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import visus
from visus.data.reading.opening import open_data
from visus.errors import ExtensionError
from visus.models.card import Card
from visus.models.catalog import find
from visus.structures.extensions import extensions
from visus.structures.task_cards import TASKS, TaskCard, task_card, task_names

CARDS = '''
from dataclasses import replace
from visus.data.formats.reading import ALL, Format, Reading
from visus.data.pixels.images import FileImage
from visus.models.card import Card
from visus.structures import Label, Preprocessing, Sample
from visus.structures.task_cards import TaskCard

TASK = TaskCard(
    name="warmth", title="warm or cold", value=Label, builder="toypack.task:Warmth", unit="pictures", least_classes=2,
    derive="toypack.cards:warm", default_model="toynet",
)
NET = Card(
    name="toynet", edition="paper", task="warmth", builder="toypack.network:toynet", title="Toy", year=2026,
    paper="none", input=(3, 16, 16), classes=2, parameters=8,
    preprocessing=Preprocessing(size=(16, 16), fit="stretch", mean=(0.5,) * 3, std=(0.5,) * 3),
)
NAMES = ("cold", "warm")


def warm(dataset):
    """Red is warm."""
    def told(sample):
        label = sample.targets["classification"]
        return replace(sample, targets={**sample.targets, "warmth": Label(NAMES, int(label.name == "red"))})
    splits = {name: [told(sample) for sample in samples] for name, samples in dataset.splits.items()}
    return replace(dataset, splits=splits, classes={**dataset.classes, "warmth": NAMES})


def recognise(listing):
    return any(path.name == "warmth.txt" for path in listing.root.iterdir())


def read(listing):
    lines = (listing.root / "warmth.txt").read_text().split()
    samples = [
        Sample(name, FileImage(listing.root / name), {"warmth": Label(NAMES, int(name.startswith("w")))})
        for name in lines
    ]
    return Reading({"warmth": NAMES}, {ALL: samples})


FORMAT = Format("warmth-list", "a list of files", recognise, read)
'''
TASK = """
from visus.tasks.classification import Classification


class Warmth(Classification):
    name = "warmth"
"""
NETWORK = """
from torch import nn


class ToyNet(nn.Module):
    channels = {1: 3}
    head = ("fc",)

    def __init__(self, classes, in_channels):
        super().__init__()
        self.fc = nn.Linear(in_channels, classes)

    def features(self, images):
        return {1: images}

    def from_features(self, features, size):
        return self.fc(features[1].mean((2, 3)))

    def forward(self, images):
        return self.from_features(self.features(images), images.shape[2:])


def toynet(*, classes: int, in_channels: int) -> nn.Module:
    return ToyNet(classes, in_channels)
"""
ENTRIES = """[visus.tasks]
warmth = toypack.cards:TASK

[visus.models]
toynet = toypack.cards:NET

[visus.formats]
warmth = toypack.cards:FORMAT
"""


def install(folder: Path, name: str, entries: str, files: dict[str, str]) -> Path:
    """What pip leaves in site-packages."""
    package = folder / name
    package.mkdir(parents=True)
    for file, text in {"__init__.py": "", **files}.items():
        (package / file).write_text(text)
    facts = folder / f"{name}-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(entries)
    return folder


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = install(tmp_path / "site", "toypack", ENTRIES, {"cards.py": CARDS, "task.py": TASK, "network.py": NETWORK})
    monkeypatch.syspath_prepend(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == "toypack"]:
        monkeypatch.delitem(sys.modules, name)
    return folder


def run(site: Path, *words: str, code: int = 0) -> str:
    paths = [str(site), str(Path(visus.__file__).parents[1])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, "-m", "visus", *words], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_tables_hold_what_is_installed(site: Path) -> None:
    assert task_names()[-1] == "warmth"
    assert task_card("warmth").title == "warm or cold"
    assert find("toynet").full_name == "toynet@paper"
    assert "toynet" in {card.name for card in visus.list_models(task="warmth")}


def test_nothing_is_left_where_nothing_is_installed() -> None:
    assert task_names() == tuple(card.name for card in TASKS)


def test_a_format_of_another_package_is_read(site: Path, tmp_path: Path) -> None:
    (tmp_path / "listed").mkdir()
    for number in range(12):
        kind = "warm" if number % 2 else "cold"
        Image.new("RGB", (20, 20), (200, number, 30)).save(tmp_path / "listed" / f"{kind}{number}.png")
    names = sorted(path.name for path in (tmp_path / "listed").iterdir())
    (tmp_path / "listed" / "warmth.txt").write_text("\n".join(names))
    dataset = open_data(tmp_path / "listed")
    assert dataset.format == "warmth-list"
    assert dataset.tasks == ("warmth",)
    assert sum(map(len, dataset.splits.values())) == 12


@pytest.mark.usefixtures("without_reports")
def test_the_command_line_trains_and_resumes_an_installed_task(
    site: Path, photos: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    """Processes of their own know the package from their environment alone, as any terminal does."""
    assert "toynet" in run(site, "models")
    out = tmp_path / "runs"
    training = ("train", str(photos), "--task", "warmth", "--epochs", "1", "--out", str(out), "--name", "one")
    assert "epochs" in run(site, *training, "--show-recipe")
    assert cli(*training, "--quiet").code == 0
    card = json.loads((out / "one" / "model.json").read_text())
    assert (card["task"], card["model"], card["classes"]) == ("warmth", "toynet@paper", ["cold", "warm"])
    told = cli("evaluate", out / "one", "--data", photos, "--json")
    assert 0 <= json.loads(told.out)["metrics"]["accuracy"] <= 1
    (out / "one" / "model.safetensors").unlink()
    assert cli("train", "--resume", out / "one", "--quiet").code == 0
    assert (out / "one" / "model.safetensors").exists()


def test_help_never_looks_at_other_packages(site: Path) -> None:
    (site / "toypack" / "cards.py").write_text("raise RuntimeError('loaded')")
    assert "Train" in run(site, "train", "--help")


@pytest.mark.parametrize(
    ("entries", "text", "said"),
    [
        ("[visus.tasks]\na = brokenpack.cards:TASK\n", "raise RuntimeError('no such luck')", "no such luck"),
        ("[visus.tasks]\na = brokenpack.cards:TASK\n", "raise SystemExit(3)", "SystemExit"),
        ("[visus.tasks]\na = brokenpack.cards:MISSING\n", "", "MISSING"),
        ("[visus.tasks]\na = brokenpack.cards:TASK\n", "TASK = 3", "TaskCard"),
        (
            "[visus.tasks]\na = brokenpack.cards:TASK\n",
            "from visus.structures.task_cards import TASKS\nTASK = TASKS[0]",
            "a name that is taken",
        ),
    ],
)
def test_a_broken_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entries: str, text: str, said: str
) -> None:
    monkeypatch.syspath_prepend(str(install(tmp_path / "site", "brokenpack", entries, {"cards.py": text})))
    for name in [name for name in sys.modules if name.partition(".")[0] == "brokenpack"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ExtensionError, match="brokenpack") as caught:
        task_card("poetry")
    assert said in str(caught.value)
    assert "pip uninstall brokenpack" in caught.value.remedy
    assert task_card("detection").name == "detection"  # visus's own need no other package


def test_two_packages_cannot_add_the_same_name(tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    again = "from toypack.cards import NET"
    entries = "[visus.models]\nz = otherpack:NET\n"
    monkeypatch.syspath_prepend(str(install(tmp_path / "second", "otherpack", entries, {"__init__.py": again})))
    with pytest.raises(ExtensionError, match="otherpack adds toynet"):
        extensions("visus.models", Card, ())


def test_a_tuple_of_cards_is_as_good_as_one(site: Path) -> None:
    (site / "toypack" / "cards.py").write_text(CARDS + "\nTASK = (TASK, replace(TASK, name='coolness'))\n")
    assert [card.name for card in extensions("visus.tasks", TaskCard, ())] == ["warmth", "coolness"]
