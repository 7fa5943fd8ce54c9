"""The files that labelling tools wrote (tests/data/formats_of_tools), laid out with small random images."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from visus.data.dataset import Dataset
from visus.data.reading.opening import open_data
from visus.structures import Sample

EXPORTS = Path(__file__).parents[1] / "data" / "formats_of_tools"
SIZE = (48, 64)
"""(height, width) of the images that were labelled."""


def draw(root: Path, names: Sequence[str], size: tuple[int, int] = SIZE) -> Path:
    """Writes images of these names; no two are alike."""
    for seed, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)).save(path)
    return root


def lay_out(tool: str, root: Path, names: Sequence[str]) -> Path:
    """Copies the files of a tool, and writes images of these names beside them."""
    shutil.copytree(EXPORTS / tool, root, dirs_exist_ok=True)
    return draw(root, names)


def samples(dataset: Dataset) -> dict[str, Sample]:
    """The samples of all splits by their names."""
    return {sample.id: sample for part in dataset.splits.values() for sample in part}


def objects(source: Path) -> dict[str, list[Any]]:
    """From image to its objects: [class, x1, y1, x2, y2], rounded to 1/100."""
    found = {}
    for name, sample in samples(open_data(source)).items():
        target = sample.target("detection")
        found[name] = [
            [target.classes[label], *(round(float(value), 2) for value in box)]
            for label, box in zip(target.labels.tolist(), target.boxes, strict=True)
        ]
    return found


def kinds(dataset: Dataset) -> dict[str, str]:
    """From the kind of each finding to its severity."""
    return {finding.kind: finding.severity for finding in dataset.findings}
