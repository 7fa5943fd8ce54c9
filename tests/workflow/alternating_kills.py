"""Trainings of four steps that kill themselves: ``python alternating_kills.py DATA FOLDER=PLACE ...``.

PLACE: "1", "2", "3" or "4", in the middle of this step; "proposals", while they are computed; "" for nowhere. Each runs
in a process of its own, which is forked, so that torch is imported once; prints the exit code of each.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

import visus
from visus.engine.session import Session
from visus.workflow import alternating, reporting

MODEL = "faster_rcnn+mobilenet_v1_025"
CHANGES = {
    "size": [64, 64],
    "fit": "stretch",
    "epochs": 2,
    "batch_size": 2,
    "checkpoint_seconds": 0.001,
    "model_options.width": 8,
    "model_options.rpn_width": 8,
    "model_options.anchors": [[16, 16], [24, 24]],
}
STEPS = {("proposals", False): "1", ("regions", False): "2", ("proposals", True): "3", ("regions", True): "4"}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def prepare_to_die(place: str) -> None:
    """Kills this process at the third training step of a phase, or when proposals are written."""
    begin_step, write_arrays = Session.begin_step, alternating.write_arrays

    def deadly_step(session: Session, batches: Any) -> None:
        recipe = session.recipe
        step = STEPS[recipe.model_options["learns"], "backbone." in recipe.frozen]
        if step == place and session.position.step == 2:
            die()
        begin_step(session, batches)

    def deadly_write(*arguments: Any) -> None:
        if place == "proposals":
            die()
        write_arrays(*arguments)

    Session.begin_step = deadly_step  # type: ignore[method-assign]
    alternating.write_arrays = deadly_write


def train(data: Path, out: Path) -> None:
    visus.train(
        data,
        model=MODEL,
        weights="none",
        recipe="faster-rcnn-4-step",
        changes=CHANGES,
        out=out,
        name="f",
        quiet=True,
        workers=0,
        device="cpu",
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    reporting.write_run_report = lambda *_, **__: None  # type: ignore[assignment]
    for argument in sys.argv[2:]:
        folder, _, place = argument.partition("=")
        child = os.fork()
        if child == 0:
            prepare_to_die(place)
            train(Path(sys.argv[1]), Path(folder))
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
