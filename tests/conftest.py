"""Fixtures of the whole suite: the shared real data, where it lies beside the clone, and determinism."""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import io
import json
import os
import random
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import settings
from PIL import Image

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=40)
settings.load_profile("ci")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Every test draws the same numbers, whatever ran before it; a hook comes before the fixtures of all scopes."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - libraries may draw from the global generator
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests keep, such as region proposals, does not lie among what the person keeps who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISUS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def cheap_values() -> Any:
    """``with cheap_values(): build(card)``: a network whose large weights are filled, not drawn."""
    from visus.testing.cheap_values import CheapValues

    return CheapValues


@contextlib.contextmanager
def filled_weights() -> Iterator[None]:
    """Context: whoever draws the weights of a network, those of large layers are filled, not drawn.

    Unlike ``CheapValues`` alone it costs the other operators nothing, so that it may stay for whole tests.
    """
    from visus.testing.cheap_values import CheapValues

    cheap = CheapValues()

    def instead_of(draw: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def fill(tensor: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
            if tensor.numel() <= CheapValues.LARGE or tensor.is_meta:
                return draw(tensor, *arguments, **options)
            cheap.begin_at(int(torch.randint(CheapValues.LARGE, (), device="cpu")))  # the same after the same seed
            with cheap:
                return draw(tensor, *arguments, **options)

        return fill

    with pytest.MonkeyPatch.context() as patch:
        for name in ("normal_", "uniform_"):
            patch.setattr(torch.Tensor, name, instead_of(getattr(torch.Tensor, name)))
        yield


@pytest.fixture(scope="module")
def cheap_weights() -> Iterator[None]:
    """The networks that the module's tests build have such weights."""
    with filled_weights():
        yield


@pytest.fixture
def without_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of the test write neither report.html nor plots/ nor samples/, which take most of a tiny training.

    For tests that read none of them; test_verbs.py reads those of ``trained``, for every task.
    """
    monkeypatch.setattr("visus.workflow.reporting.write_run_report", lambda *_, **__: None)


SHARED = Path(os.environ.get("VISUS_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """``shared_data("mnist/train-labels-idx1-ubyte.gz")``: a file or folder of the shared data, or a skip."""

    def find(name: str) -> Path:
        path = SHARED / "data" / name
        if not path.exists():
            pytest.skip(f"needs the shared data: no {name} (set VISUS_SHARED to the folder that holds data/)")
        return path

    return find


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The temporary folder of all workers, as far as there are several."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


@pytest.fixture(scope="session")
def unpacked(shared_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``unpacked("bccd/bccd_voc.tar")``: the folder of an archive of the shared data, unpacked once for all workers."""

    def unpack(name: str) -> Path:
        archive = shared_data(name)
        folder = shared_folder(tmp_path_factory) / "shared-data" / name.replace("/", "-")
        if not folder.exists():
            fresh = tmp_path_factory.mktemp("unpacking")
            with tarfile.open(archive) as tar:
                tar.extractall(fresh, filter="data")
            folder.parent.mkdir(exist_ok=True)
            with contextlib.suppress(OSError):  # another worker was first
                fresh.rename(folder)
        children = list(folder.iterdir())
        return children[0] if len(children) == 1 and children[0].is_dir() else folder

    return unpack


# --- made-up data: a dozen tiny images for each task, and one trained run of each


def paint(path: Path, colour: Sequence[int], *, seed: int, side: int = 32) -> Path:
    """A noisy picture of one colour; no two seeds give the same pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(-40, 40, (side, side, 3))
    Image.fromarray(np.clip(np.asarray(colour) + noise, 0, 255).astype(np.uint8)).save(path)
    return path


COLOURS = {"blue": (30, 40, 200), "green": (40, 190, 50), "red": (210, 40, 30)}


def make_photos(root: Path, sizes: dict[str, int] | None = None, classes: Sequence[str] = tuple(COLOURS)) -> Path:
    """Class folders; sizes: images a class in each split; "" for no splits."""
    seed = 0
    for split, count in (sizes or {"train": 6, "val": 2, "test": 3}).items():
        for name in classes:
            for number in range(count):
                seed += 1
                paint(root / split / name / f"{name}-{number}.png", COLOURS[name], seed=seed)
    return root


def write_boxes(root: Path, counts: dict[str, Sequence[int]] | None = None, side: int = 64) -> Path:
    """YOLO: bright squares of two classes on noise; counts: for each split, the number of objects of each image."""
    counts = counts or {"train": (1, 2, 0, 1, 2, 1, 1, 2), "val": (1, 2, 0), "test": (2, 0, 1)}
    seed = 100
    for split, images in counts.items():
        for number, objects in enumerate(images):
            seed += 1
            file = paint(root / "images" / split / f"{split}-{number}.png", (60, 60, 60), seed=seed, side=side)
            pixels = np.asarray(Image.open(file)).copy()
            lines = []
            for place in range(objects):
                x, y, edge = 4 + 30 * place, 6 + seed % 20, 18 + seed % 6
                pixels[y : y + edge, x : x + edge] = (240, 220, 40) if place == 0 else (40, 220, 240)
                centre = ((x + edge / 2) / side, (y + edge / 2) / side, edge / side, edge / side)
                lines.append(f"{place} " + " ".join(f"{value:.6f}" for value in centre))
            Image.fromarray(pixels).save(file)
            label = root / "labels" / split / f"{split}-{number}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text("\n".join(lines))
    splits = {split: f"images/{split}" for split in counts}
    (root / "data.yaml").write_text(yaml.safe_dump({"path": ".", **splits, "names": ["sun", "sea"]}))
    return root


def make_masks(root: Path, count: int = 12, side: int = 32) -> Path:
    """Pairs of pictures and masks: a bright disc is the object (255)."""
    rows, columns = np.mgrid[:side, :side]
    for number in range(count):
        file = paint(root / "images" / f"cell-{number:02d}.png", (50, 50, 50), seed=200 + number, side=side)
        disc = (rows - 8 - number % 9) ** 2 + (columns - 9 - number % 7) ** 2 < (5 + number % 4) ** 2
        pixels = np.asarray(Image.open(file)).copy()
        pixels[disc] = 230
        Image.fromarray(pixels).save(file)
        (root / "masks").mkdir(exist_ok=True)
        Image.fromarray((disc * 255).astype(np.uint8)).save(root / "masks" / file.name)
    return root


def write_nuclei(folder: Path, count: int = 12) -> Path:
    """Pairs of discs that touch, three to five pairs an image, numbered."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    rows, columns = np.mgrid[:64, :64]
    for number in range(count):
        labels = np.zeros((64, 64), np.uint8)
        for pair in range(3 + number % 3):
            for side in (0, 1):
                disc = (rows - 7 - 12 * pair) ** 2 + (columns - 12 - 8 * side - 4 * (pair % 4)) ** 2 < 20
                labels[disc & (labels == 0)] = 2 * pair + side + 1
        noise = np.random.default_rng(number).integers(0, 60, (64, 64, 3))
        Image.fromarray((noise + 150 * (labels > 0)[..., None]).astype(np.uint8)).save(
            folder / "images" / f"{number}.png"
        )
        Image.fromarray(labels).save(folder / "labels" / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def make_nuclei() -> Callable[[Path], Path]:
    """``make_nuclei(folder)``: instance maps of discs that touch."""
    return write_nuclei


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of tiny pictures, with train, val and test; not to be changed."""
    return make_photos(tmp_path_factory.mktemp("data") / "photos")


@pytest.fixture(scope="session")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny pictures with objects of two classes, some without any; not to be changed."""
    return write_boxes(tmp_path_factory.mktemp("data") / "boxes")


@pytest.fixture(scope="session")
def make_boxes() -> Callable[..., Path]:
    """``make_boxes(folder, {"train": (1, 0, 2)})``: such pictures with so many objects each."""
    return write_boxes


@pytest.fixture(scope="session")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny pictures with binary masks, no splits; not to be changed."""
    return make_masks(tmp_path_factory.mktemp("data") / "masks")


@dataclass(frozen=True)
class Told:
    """How a command line ended: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str


def run_cli(*arguments: Any) -> Told:
    """Runs ``visus ARGUMENTS`` in this process."""
    from visus.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    argv = sys.argv
    sys.argv = ["visus", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(list(map(str, arguments)))
    except SystemExit as end:
        code = end.code
    finally:
        sys.argv = argv
    return Told(0 if code is None else int(code), out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def cli() -> Callable[..., Told]:
    """``cli("train", folder, "--epochs", 1)``: the command line in this process; gives code, out and err."""
    return run_cli


TINY = {
    "classification": "--model lenet5@modern --epochs 2 --batch-size 6",
    "detection": "--model ssd --backbone mobilenet_v1_025 --epochs 1 --batch-size 4 --set size=[64,64] "
    "--set model_options.size=64",
    "segmentation": "--model unet@padded --epochs 1 --batch-size 4 --set model_options.width=4 "
    "--set model_options.depth=2",
}
"""Options of a tiny training of each task."""


@dataclass(frozen=True)
class Trained:
    """A tiny run: the task, its data, its folder, and what the training said."""

    task: str
    data: Path
    path: Path
    told: Told


@pytest.fixture(scope="session")
def trained(
    photos: Path, boxes: Path, masks: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Trained]:
    """``trained("detection")``: a tiny run of a task, trained once for all workers; not to be changed."""
    data = {"classification": photos, "detection": boxes, "segmentation": masks}
    out = shared_folder(tmp_path_factory) / "trained"
    out.mkdir(exist_ok=True)
    made: dict[str, Trained] = {}
    reports = importlib.import_module("visus.workflow.reporting").write_run_report

    def train(task: str) -> Trained:
        """Trains, or reads what another worker was told, whose data are the same."""
        record = out / f"{task}.json"
        with open(out / f"{task}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not record.exists():
                choices = (*TINY[task].split(), "--weights", "none", "--device", "cpu", "--out", out / task)
                with pytest.MonkeyPatch.context() as patch:  # the first test that asks may be one without reports
                    patch.setattr("visus.workflow.reporting.write_run_report", reports)
                    told = run_cli("train", data[task], *choices, "--json")
                assert told.code == 0, told.err
                record.write_text(json.dumps([str(data[task]), told.code, told.out, told.err]))
        place, *said = json.loads(record.read_text())
        return Trained(task, Path(place), (out / task / "latest").resolve(), Told(*said))

    def known(task: str) -> Trained:
        if task not in made:
            made[task] = train(task)
        return made[task]

    return known
