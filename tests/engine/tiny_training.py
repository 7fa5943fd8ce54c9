"""A training that takes a second: stand-ins for a loader, a task and a network, and a script to kill.

As a script: ``python tiny_training.py RUN_FOLDER [name=value ...]`` trains or resumes there. Each step appends one
byte to RUN_FOLDER/steps0 (by rank), so that a test can count the steps that were really done. With ``--serve`` it
imports torch once and forks such trainings on demand, which saves seconds each time.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from visus.data.augmentation.preparing import Preparer
from visus.data.augmentation.settings import Augmentation
from visus.data.loading.loader import Loader
from visus.data.pixels.images import ArrayImage
from visus.engine.device_batches import to_device
from visus.engine.fit import TrainingResult, Validation, fit
from visus.engine.recipe import Recipe
from visus.engine.run_folder import RunFolder
from visus.engine.runtime import Runtime, open_runtime, seed_generators
from visus.errors import VisusError
from visus.structures import Batch, Label, Placement, Preprocessing, Sample
from visus.tasks.classification import Classification
from visus.tasks.update import Update, task_update

CLASSES = ("a", "b", "c")
PREPROCESSING = Preprocessing(size=(8, 8), fit="stretch", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
AUGMENTATION = Augmentation(mirror=0.5, rotation=10, shift=0.1, zoom=0.1, brightness=0.2)


class TinyNetwork(nn.Module):
    """Convolution, BatchNorm, dropout, linear: one of each thing that makes resuming hard."""

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(8 * 16, 3)
        self.channels = {2: 8}
        self.head = ("fc",)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        return {2: functional.max_pool2d(self.norm(self.conv(images)).relu(), 2)}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        return self.fc(self.dropout(features[2].flatten(1)))

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


class TinyTask:
    """Classification by cross-entropy."""

    name = "classification"
    classes = CLASSES

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return {"cross_entropy": functional.cross_entropy(model(batch.images), batch.targets)}


class Pair(nn.Module):
    """A generator, a critic, and a teacher that never learns; all with BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 192))
        self.critic = nn.Sequential(nn.Linear(192, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 1))
        self.teacher = nn.Sequential(nn.Linear(192, 8), nn.BatchNorm1d(8)).requires_grad_(False).eval()


class CriticLoss(nn.Module):
    """Real images are real, made ones are not; the generator only makes them."""

    def __init__(self, pair: Pair) -> None:
        super().__init__()
        self.pair = pair

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        real = batch.images.flatten(1)
        made = self.pair.generator(torch.randn(len(batch), 4)).detach()
        soft = functional.softplus
        return {"real": soft(-self.pair.critic(real)).mean(), "made": soft(self.pair.critic(made)).mean()}


class GeneratorLoss(CriticLoss):
    """The critic takes made images for real, and the teacher sees in them what it sees in real ones."""

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        made = self.pair.generator(torch.randn(len(batch), 4))
        seen, real = self.pair.teacher(made), self.pair.teacher(batch.images.flatten(1))
        return {"made": functional.softplus(-self.pair.critic(made)).mean(), "seen": (seen - real).abs().mean()}


class ToyGAN:
    """No targets, two updates a step, each with an optimiser of its own; a part that stays as it is."""

    def network(self) -> Pair:
        return Pair()

    def collate(self, prepared: Any) -> Batch:
        return replace(Classification(CLASSES).collate(prepared), targets=None)

    def updates(self, network: Pair) -> list[Update]:
        return [
            Update(CriticLoss(network), [network.critic], name="critic"),
            Update(GeneratorLoss(network), [network.generator], name="generator", lr=0.5),
        ]


class Captioner(nn.Module):
    """Each word from the image and the word before it."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(5, 8)
        self.image = nn.Linear(192, 8)
        self.dropout = nn.Dropout(0.2)
        self.next = nn.Linear(8, 5)

    def forward(self, images: Tensor, words: Tensor) -> Tensor:
        return self.next(self.dropout(self.image(images.flatten(1))[:, None] + self.words(words)))  # [N, T, 5]


class ToyCaptioner:
    """Dict targets, one of them nested: the words of a sentence, and how often each image counts."""

    def network(self) -> Captioner:
        return Captioner()

    def collate(self, prepared: Any) -> Batch:
        batch = Classification(CLASSES).collate(prepared)
        words = torch.stack([batch.targets, batch.targets + 1, batch.targets + 2], 1)  # [N, 3]
        named = [f"class {int(label)}" for label in batch.targets]
        return replace(batch, targets={"sentence": {"words": words}, "weights": torch.ones(len(batch)), "said": named})

    def losses(self, network: Captioner, batch: Batch) -> dict[str, Tensor]:
        words = batch.targets["sentence"]["words"]
        logits = network(batch.images, words[:, :-1])
        loss = functional.cross_entropy(logits.transpose(1, 2), words[:, 1:], reduction="none").mean(1)
        assert len(batch.targets["said"]) == len(batch)
        return {"words": (loss * batch.targets["weights"]).mean()}

    def updates(self, network: Captioner) -> list[Update]:
        return [task_update(network, self)]


TOYS = {"gan": ToyGAN, "captioner": ToyCaptioner}


class TinyLoader:
    """Random images of three classes, shuffled and given fresh noise in each epoch, from (seed, epoch, index) alone."""

    def __init__(
        self, count: int = 60, batch_size: int = 6, *, seed: int = 0, rank: int = 0, world: int = 1, noise: bool = True
    ) -> None:
        generator = torch.Generator().manual_seed(7)
        self.targets = torch.arange(count) % 3
        base = torch.randint(0, 200, (3, 3, 8, 8), generator=generator)
        images = base[self.targets] + torch.randint(0, 55, (count, 3, 8, 8), generator=generator)
        self.images = images.to(torch.uint8)
        self.batch_size, self.seed, self.rank, self.world, self.noise = batch_size, seed, rank, world, noise

    def __len__(self) -> int:
        return len(self.images) // self.world // self.batch_size

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(self.seed * 1000 + epoch)
        order = torch.randperm(len(self.images), generator=generator)[self.rank :: self.world]
        for number in range(start, len(self)):
            rows = order[number * self.batch_size : (number + 1) * self.batch_size]
            images = self.images[rows]
            if self.noise:
                images = torch.stack([self._augmented(epoch, int(row)) for row in rows])
            ids = [f"image-{int(row)}.png" for row in rows]
            yield Batch(images, self.targets[rows], [Placement.identity((8, 8))] * len(rows), ids)

    def _augmented(self, epoch: int, row: int) -> Tensor:
        generator = torch.Generator().manual_seed((self.seed * 1000 + epoch) * 100_000 + row)
        noise = torch.randint(-20, 21, (3, 8, 8), generator=generator)
        return (self.images[row].int() + noise).clamp(0, 255).to(torch.uint8)


def make_samples(count: int = 60) -> list[Sample]:
    """The loader's images, as samples."""
    loader = TinyLoader(count)
    return [
        Sample(
            f"image-{i}.png", ArrayImage(image.permute(1, 2, 0).numpy()), {"classification": Label(CLASSES, int(label))}
        )
        for i, (image, label) in enumerate(zip(loader.images, loader.targets, strict=True))
    ]


def ready(batch: Batch) -> Batch:
    return replace(batch, images=batch.images.float() / 127.5 - 1)


def accuracy() -> Validation:
    """The share of right answers over the loader's own images."""

    def scores(network: nn.Module) -> dict[str, float]:
        time.sleep(float(os.environ.get("TINY_VALIDATION", "0")))
        with torch.inference_mode():
            right = [
                network(ready(batch).images).argmax(1) == batch.targets for batch in TinyLoader(noise=False).batches(0)
            ]
        return {"accuracy": float(torch.cat(right).float().mean())}

    return Validation(scores, "accuracy")


def make_network(seed: int = 0, **options: Any) -> TinyNetwork:
    seed_generators(seed)
    return TinyNetwork(**options)


class CountingLoss(nn.Module):
    """An update's losses that leave a byte for each step, and take some time."""

    def __init__(self, losses: nn.Module, file: Path, seconds: float) -> None:
        super().__init__()
        self.losses = losses
        self._file, self._seconds = file, seconds
        self._calls, self._bad = 0, int(os.environ.get("TINY_NAN", "0"))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        if self.training and len(batch) > 1:
            with open(self._file, "ab") as file:
                file.write(b".")
            time.sleep(self._seconds)
            self._calls += 1
            if self._calls == self._bad:
                return {name: value * float("nan") for name, value in self.losses(batch).items()}
        return self.losses(batch)


def train(
    folder: Path, recipe: Recipe, *, runtime: Runtime | None = None, count: int = 60, seconds: float = 0.0
) -> TrainingResult:
    """Trains or resumes in a folder, with the real loader and augmentation."""
    runtime = runtime or Runtime()
    run = RunFolder(folder)
    network: nn.Module = make_network(recipe.seed)
    task: Any = Classification(CLASSES)
    updates = [task_update(network, task)]
    if kind := os.environ.get("TINY_KIND"):
        task = TOYS[kind]()
        network = task.network()
        updates = task.updates(network)
    counting = CountingLoss(updates[0].losses, folder / f"steps{runtime.rank}", seconds)
    updates[0] = replace(updates[0], losses=counting)
    size = recipe.batch_size // runtime.world
    loader = Loader(
        make_samples(count),
        Preparer("classification", PREPROCESSING, recipe.augmentation, recipe.seed),
        task.collate,
        batch_size=size,
        shuffle=True,
        seed=recipe.seed,
        workers=int(os.environ.get("TINY_WORKERS", "0")),
        rank=runtime.rank,
        world=runtime.world,
    )
    return fit(
        network,
        updates,
        loader,
        recipe,
        to_device=to_device(PREPROCESSING, runtime.device, channels_last=recipe.channels_last),
        runtime=runtime,
        run=run,
        validation=None if kind else accuracy(),
        resume=True,
        classes=CLASSES,
    )


def main(arguments: list[str]) -> int:
    folder, *changes = arguments
    seconds = float(os.environ.get("TINY_SECONDS", "0"))
    recipe = Recipe(epochs=3, batch_size=6, ema=0.9, augmentation=AUGMENTATION).with_changes(changes)
    try:
        with open_runtime("cpu", threads=1) as runtime:
            count = int(os.environ.get("TINY_COUNT", "60"))
            train(Path(folder), recipe, runtime=runtime, count=count, seconds=seconds)
    except VisusError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def serve() -> None:
    """Reads requests from standard input, one JSON list a line, and answers each with a line.

    ["start", arguments, environment, file for standard error] forks a training and answers its process id;
    ["poll", id] answers its exit code (negative: the signal that killed it), or null while it lives.
    """
    torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)  # the first optimiser imports much
    for line in sys.stdin:
        request = json.loads(line)
        if request[0] == "start":
            answer: int | None = os.fork()
            if answer == 0:
                os.dup2(os.open(request[3], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
                os.environ.update(request[2])
                os._exit(main(request[1]))
        else:
            pid, status = os.waitpid(request[1], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        sys.exit(main(sys.argv[1:]))
