"""Predicting a folder of photos through Python: speed, growth of memory and decodings, beside another state of visus.

Photos of 2000 x 1500 are answered by a small network and all answers are kept, as ``visus.load(...).predict(folder)``
gives them. Each round is a process of its own; rounds of the two states alternate.

    python benchmarks/predicting.py [--images 60] [--rounds 3] [--other PATH/src]

``--other`` names the ``src`` folder of the state to compare with; without it only this one is measured. Ratios are the
images a second of this state by those of the other one, the median of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

SIZE = (1500, 2000)
MODEL = "cats_dogs_cnn"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--other", type=Path, default=None)
    parser.add_argument("--worker", nargs=2, type=Path, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        print(json.dumps(measure(*options.worker)))
        return
    with tempfile.TemporaryDirectory() as folder:
        model, photos = Path(folder) / "model.safetensors", Path(folder) / "photos"
        write_model(model)
        write_photos(photos, options.images)
        states = {"this": Path(__file__).parents[1] / "src"} | ({"other": options.other} if options.other else {})
        rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in states}
        for number in range(options.rounds):
            order = list(states.items())
            for name, source in order if number % 2 else order[::-1]:
                rounds[name].append(run(source, model, photos))
    print("state  images/s  cpu s/image  decodings/image  growth of memory in MB")
    for name, entries in rounds.items():
        middle = {key: statistics.median(entry[key] for entry in entries) for key in entries[0]}
        print(
            f"{name:5}  {middle['speed']:8.1f}  {middle['cpu']:11.4f}  {middle['decodings']:15.2f}"
            f"  {middle['growth']:10.1f}"
        )
    if "other" in rounds:
        ratios = [a["speed"] / b["speed"] for a, b in zip(rounds["this"], rounds["other"], strict=True)]
        print(f"this / other: {statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} - {max(ratios):.2f})")


def write_model(path: Path) -> None:
    """An untrained network as a model file, which every state reads."""
    from visus.engine.model_card import ModelInfo
    from visus.engine.model_file import save_model
    from visus.models.building import build
    from visus.models.catalog import find
    from visus.structures import Preprocessing

    card = find(MODEL)
    channels, *size = card.input
    info = ModelInfo(
        task="classification",
        model=card.full_name,
        classes=tuple(f"class {k}" for k in range(card.classes)),
        in_channels=channels,
        preprocessing=Preprocessing(size=(size[0], size[1]), fit="crop"),
    )
    save_model(path, build(card), info)


def write_photos(folder: Path, count: int) -> None:
    """JPEGs of soft shapes with some noise, as large as those of photos."""
    from PIL import Image

    folder.mkdir()
    random = np.random.default_rng(0)
    noise = random.normal(0, 6, (*SIZE, 3))
    for number in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (30, 40, 3), dtype=np.uint8))
        soft = np.asarray(coarse.resize(SIZE[::-1], Image.Resampling.BICUBIC))
        pixels = np.clip(soft + np.roll(noise, number, axis=0), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04}.jpg", quality=90)


def run(source: Path, model: Path, photos: Path) -> dict[str, Any]:
    """One round of a state, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(source)}
    command = [sys.executable, __file__, "--worker", str(model), str(photos)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def measure(model: Path, photos: Path) -> dict[str, float]:
    """Images a second, CPU seconds an image, decodings an image, and MB of memory that the answers of a folder hold."""
    import simplejpeg

    import visus

    loaded: Any = visus.load(model, device="cpu")
    files = sorted(photos.iterdir())
    loaded.predict(files[:4])  # warms up
    decode, decodings = simplejpeg.decode_jpeg, []

    def counted(*arguments: Any, **named: Any) -> Any:
        decodings.append(1)
        return decode(*arguments, **named)

    simplejpeg.decode_jpeg = counted
    before, start, cpu = resident(), time.perf_counter(), time.process_time()
    answers = loaded.predict(photos)
    seconds, spent = time.perf_counter() - start, time.process_time() - cpu
    return {
        "speed": len(answers) / seconds,
        "cpu": spent / len(answers),
        "decodings": len(decodings) / len(answers),
        "growth": (resident() - before) / 1e6,
    }


def resident() -> int:
    """Bytes of memory that this process holds (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
