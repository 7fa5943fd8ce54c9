"""A sequence of phases to kill: a network is trained, its features are cached, and an SVM is fitted to them.

``python phased_fits.py FOLDER=KILL ...`` runs it in a process for each FOLDER, one after another, which kills itself at
KILL: "training", "between", "svm" or "" for nowhere. It prints for each its exit code and the phases that finished.
(The processes are forked, so that torch is imported once.)
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from sklearn.svm import LinearSVC

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))

from tiny_training import TinyLoader, TinyNetwork, TinyTask, ready

from visus.engine.fit import fit
from visus.engine.recipe import Recipe
from visus.engine.run_folder import RunFolder
from visus.engine.tensor_file import read_tensors, write_tensors
from visus.structures import Batch
from visus.tasks.update import task_update
from visus.workflow.phases import Artefact, Context, Phase, read_manifest, run_phases

RECIPE = Recipe(epochs=3, batch_size=6, checkpoint_seconds=0.001, keep="last").with_changes({"optimizer.lr": 0.05})


class Killer:
    """Kills this process at one place, or never."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __call__(self, place: str) -> None:
        if place == self.place:
            os.kill(os.getpid(), signal.SIGKILL)


class DeadlyLoader(TinyLoader):
    """Kills in the middle of the second epoch, if it is to."""

    kill = Killer("")

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for number, batch in enumerate(super().batches(epoch, start), start):
            if (epoch, number) == (1, 4):
                self.kill("training")
            yield batch


def phases(kill: Killer) -> list[Phase]:
    """The three phases; each adds its name to order.txt when it starts."""

    def network(context: Context) -> Artefact:
        note(context, "network")
        torch.manual_seed(0)
        trained, loader = TinyNetwork(), DeadlyLoader()
        loader.kill = kill
        has_begun = (context.folder / "config.yaml").is_file()
        run = RunFolder.open(context.folder) if has_begun else RunFolder.begin(context.folder, RECIPE, command=[])
        fit(trained, [task_update(trained, TinyTask())], loader, RECIPE, to_device=ready, run=run, resume=True)
        run.close()
        write_tensors(context.folder / "network.safetensors", trained.state_dict(), {})
        return Artefact.of("network", "network", context.folder, ["network.safetensors"])

    def features(context: Context) -> Artefact:
        note(context, "features")
        kill("between")
        trained = TinyNetwork().eval()
        trained.load_state_dict(read_tensors(context.artefacts["network"].path("network.safetensors"))[0])
        batches = list(TinyLoader(noise=False).batches(0))
        with torch.inference_mode():
            cached = torch.cat([trained.features(ready(batch).images)[2].flatten(1) for batch in batches])
        np.save(context.folder / "features.npy", cached.numpy())
        np.save(context.folder / "targets.npy", torch.cat([batch.targets for batch in batches]).numpy())
        return Artefact.of("features", "features", context.folder, ["features.npy", "targets.npy"])

    def svm(context: Context) -> Artefact:
        note(context, "svm")
        cache = context.artefacts["features"]
        machine = LinearSVC(random_state=0).fit(np.load(cache.path("features.npy")), np.load(cache.path("targets.npy")))
        np.save(context.folder / "svm.npy", np.concatenate([machine.coef_, machine.intercept_[:, None]], axis=1))
        kill("svm")
        return Artefact.of("svm", "svm", context.folder, ["svm.npy"])

    return [Phase("network", network), Phase("features", features), Phase("svm", svm)]


def note(context: Context, name: str) -> None:
    """Adds a line to order.txt."""
    with open(context.folder.parent / "order.txt", "a", encoding="utf-8") as file:
        file.write(f"{name}\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for argument in sys.argv[1:]:
        folder, _, place = argument.partition("=")
        child = os.fork()
        if child == 0:
            run_phases(phases(Killer(place)), Path(folder))
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        manifests = [read_manifest(Path(folder) / phase.name) for phase in phases(Killer(""))]
        print(json.dumps([code, [found["name"] for found in manifests if found and found["finished"]]]), flush=True)
