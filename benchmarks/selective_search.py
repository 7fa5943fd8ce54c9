"""Selective search: recall of its boxes and its time, against OpenCV's ximgproc in one run.

OpenCV's needs an environment of its own, as opencv-contrib-python-headless and opencv-python-headless overwrite each
other; ``--peer`` names its Python. It gets the pixels that visus decoded, through a pipe, and answers with its boxes
and the CPU time of its search alone. Both search every image as it is, one after the other, with one thread; which
comes first alternates.

    python -m venv peer && peer/bin/pip install opencv-contrib-python-headless
    python benchmarks/selective_search.py DATA... --peer peer/bin/python [--every 10] [--mode fast] [--count 2000]

For each data set of boxes: recall at IoU 0.5, 0.7 and 0.9, the average best overlap of an object, boxes an image, for
both with up to ``--count`` boxes and with fewer; and the ratio of the times, as a median over images with an interval
that holds it 19 times in 20. Goals: recall at IoU 0.5 within a point of OpenCV's, at no more than 1.5 times its CPU
time.
"""

from __future__ import annotations

import argparse
import os
import struct
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import skimage
from numpy.typing import NDArray

import visus
from paired import ratio
from visus.ops.iou import pairwise_iou
from visus.ops.selective_search import MODES, selective_search

Boxes = NDArray[np.float32]

PEER = """
import struct, sys, time
import cv2, numpy as np
cv2.setNumThreads(1)
switch = {"single": "switchToSingleStrategy", "fast": "switchToSelectiveSearchFast",
          "quality": "switchToSelectiveSearchQuality"}[sys.argv[1]]
to, back = sys.stdin.buffer, sys.stdout.buffer
back.write(cv2.__version__.encode() + b"\\n")
back.flush()
while head := to.read(8):
    height, width = struct.unpack("<II", head)
    rgb = np.frombuffer(to.read(height * width * 3), np.uint8).reshape(height, width, 3)
    image = np.ascontiguousarray(rgb[..., ::-1])
    began = time.process_time()
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(image)
    getattr(search, switch)()
    found = search.process()
    seconds = time.process_time() - began
    boxes = np.asarray(found, np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    back.write(struct.pack("<dI", seconds, len(boxes)) + boxes.tobytes())
    back.flush()
"""


class Peer:
    """OpenCV's selective search in a process of its own."""

    def __init__(self, python: str, mode: str) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        environment.pop("PYTHONPATH", None)
        self.process = subprocess.Popen(
            [python, "-c", PEER, mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.to, self.back = self.process.stdin, self.process.stdout
        self.version = self.back.readline().decode().strip()
        if not self.version:
            raise SystemExit(f"{python} has no OpenCV with ximgproc: pip install opencv-contrib-python-headless")

    def search(self, image: NDArray[np.uint8]) -> tuple[Boxes, float]:
        """Boxes [P,4] xyxy and CPU seconds."""
        self.to.write(struct.pack("<II", *image.shape[:2]) + image.tobytes())
        self.to.flush()
        seconds, count = struct.unpack("<dI", self.back.read(12))
        return np.frombuffer(self.back.read(16 * count), np.float32).reshape(count, 4), seconds

    def close(self) -> None:
        self.to.close()
        self.process.wait()


@dataclass
class Found:
    """What one of the two found in the images of a data set."""

    boxes: list[Boxes] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def line(self, name: str, truths: Sequence[Boxes], count: int) -> str:
        kept = [boxes[:count] for boxes in self.boxes]
        pairs = [(truth, boxes) for truth, boxes in zip(truths, kept, strict=True) if len(truth)]
        best = np.concatenate([pairwise_iou(truth, boxes).max(1, initial=0) for truth, boxes in pairs])
        recalls = "  ".join(f"{100 * (best >= overlap).mean():5.1f} %" for overlap in (0.5, 0.7, 0.9))
        number = np.mean([len(boxes) for boxes in kept])
        return f"{name:6} {count:5} at most {number:6.0f} an image   {recalls}   {best.mean():.3f}"


def compare(path: str, peer: Peer, options: argparse.Namespace) -> None:
    """Searches the images of a data set with both, and prints a table."""
    data = visus.open_data(path)
    samples = [sample for split in data.splits.values() for sample in split][:: options.every]
    ours, theirs, truths = Found(), Found(), []
    for number, sample in enumerate(samples):
        image = np.ascontiguousarray(sample.image.load().transpose(1, 2, 0))
        truths.append(sample.target("detection", masks=False).boxes)
        for turn in ((0, 1), (1, 0))[number % 2]:
            if turn:
                boxes, seconds = peer.search(image)
                theirs.boxes.append(boxes)
                theirs.seconds.append(seconds)
            else:
                began = time.process_time()
                found = selective_search(image, mode=options.mode, seed=number, longest=None)
                ours.seconds.append(time.process_time() - began)
                ours.boxes.append(found.boxes)
    objects = sum(map(len, truths))
    print(f"{data.name}: {len(samples)} images, {objects} objects")
    print("                                     recall at 0.5      0.7      0.9   best overlap")
    for count in sorted({options.count, 500, 200}, reverse=True):
        print(theirs.line("OpenCV", truths, count))
        print(ours.line("visus", truths, count))
    times = ratio(np.asarray(ours.seconds), np.asarray(theirs.seconds))
    share = sum(ours.seconds) / sum(theirs.seconds)
    print(
        f"CPU time an image: OpenCV {times.theirs:.2f} s, visus {times.ours:.2f} s: {times.median:.2f} of it "
        f"[{times.low:.2f}, {times.high:.2f}]; {share:.2f} of it over all images",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", help="data sets with boxes")
    parser.add_argument("--peer", required=True, help="a Python with opencv-contrib-python-headless")
    parser.add_argument("--every", type=int, default=1, help="only every so many images")
    parser.add_argument("--mode", choices=sorted(MODES), default="fast")
    parser.add_argument("--count", type=int, default=2000, help="boxes an image")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    selective_search(np.zeros((9, 9, 3), np.uint8))  # loads what the first search loads
    peer = Peer(options.peer, options.mode)
    print(f"mode {options.mode}, 1 thread, scikit-image {skimage.__version__}, OpenCV {peer.version} (contrib)")
    for path in options.data:
        compare(path, peer, options)
    peer.close()


if __name__ == "__main__":
    main()
