"""Trains every one-stage detector on the same images, and compares scores and times.

All on the same backbone and input size, but for the first YOLO's tiny form, which has its own.

    python benchmarks/detectors.py DATA --weights MOBILENET_V2.npz [--seeds 0 1 2] [--models yolov3] [--turn]

Trains each (a run folder that is there already is judged again, not trained again) and prints a row of a Markdown table
for it: mAP at IoU 0.5 and COCO's mAP on the test images, parameters, multiply-adds and milliseconds of one image, and
the minutes of its training. With several seeds a row is their mean, with the least and the largest.
"""

from __future__ import annotations

import argparse
import csv
import statistics
from pathlib import Path

import visus
from visus.api.run import Run

SIZE = (320, 416)  # BCCD's 480 x 640 scaled by 0.65, with a border of 8 pixels
MODELS = {
    "ssd": {"model_options.size": list(SIZE)},
    "retinanet": {"model_options.width": 64},  # 256 channels would be ten times the work of everything else here
    "yolov2": {},
    "yolov3_tiny": {},
    "yolov3": {},
    "yolov1_tiny": {"size": None},
}
ALONE = ("yolov1_tiny",)  # takes no backbone and no other size than its own, 448 x 448: it starts from random weights
TURNS = {"augmentation.quarter_turns": True, "augmentation.flip": 0.5}  # what a microscope sees has no upper side


def trained(model: str, seed: int, options: argparse.Namespace) -> Run:
    """Trains a detector if it has no finished run, and returns its run."""
    name = f"{Path(options.data).name}-{model}-{seed}"
    folder = Path(options.out) / name
    if (folder / "model.safetensors").is_file():
        return Run.open(folder)
    changes = {"size": list(SIZE), "evaluate_every": 4} | MODELS[model] | (TURNS if options.turn else {})
    return visus.train(
        options.data,
        model=model,
        backbone=None if model in ALONE else options.backbone,
        weights="none" if model in ALONE else options.weights,
        epochs=options.epochs,
        batch_size=8,
        seed=seed,
        changes=changes,
        name=name,
        out=options.out,
    )


def minutes(run: Run) -> float:
    """The minutes of all epochs, with their validations."""
    with (run.path / "results.csv").open(encoding="utf-8") as file:
        return sum(float(row["seconds"]) for row in csv.DictReader(file)) / 60


def spread(values: list[float], digits: int = 1) -> str:
    """The mean as text; of several values also the least and the largest."""
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data")
    parser.add_argument("--backbone", default="mobilenet_v2@tf")
    parser.add_argument("--weights", default="default")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--turn", action="store_true", help="mirror at both axes, turn by 180 degrees")
    parser.add_argument("--out", default="runs")
    options = parser.parse_args()
    print("| detector | mAP@0.5, % | COCO mAP, % | parameters | GMACs | ms/image | minutes |")
    print("|---|---|---|---|---|---|---|")
    for model in options.models:
        runs = [trained(model, seed, options) for seed in options.seeds]
        loaded = [run.load() for run in runs]
        judged = [visus.evaluate(each, split="test", quiet=True) for each in loaded]
        cost = loaded[0].summary()
        print(
            f"| `{model}` "
            f"| {spread([100 * each.metrics['map50'] for each in judged])} "
            f"| {spread([100 * each.metrics['map'] for each in judged])} "
            f"| {cost.parameters / 1e6:.1f} M | {cost.macs / 1e9:.2f} "
            f"| {spread([1000 * sum(1 / rate for rate in each.speed.values()) for each in judged], 0)} "
            f"| {spread([minutes(run) for run in runs], 0)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
