"""Opening data sets: a large COCO file, many class folders and VOC boxes, against other readers in one run.

Each round reads in a process of its own, so that its peak of memory is its own; rounds alternate, and the median of the
ratios counts. supervision and datumaro need an environment of their own (``--peers`` names its Python), since their
OpenCV is another than visus's.

    python -m venv peers && peers/bin/pip install supervision datumaro
    python benchmarks/data.py --peers peers/bin/python [--images 100000] [--boxes 1000000] [--rounds 3]
    python benchmarks/data.py --only folders voc
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CLASSES = 80


# --- the data


def make_coco(root: Path, images: int, boxes: int) -> None:
    """``images/train/*.jpg`` of 64 x 48 pixels and ``annotations.json`` with boxes and rectangles as outlines."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    (root / "images" / "train").mkdir(parents=True)
    entries = []
    for number in range(images):
        name = f"{number:06d}.jpg"
        pixels = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 48), Image.Resampling.NEAREST).save(root / "images" / "train" / name)
        entries.append({"id": number + 1, "file_name": name, "width": 64, "height": 48})
    corners = rng.integers(0, 24, (boxes, 2))
    sides = rng.integers(4, 24, (boxes, 2))
    owners, labels = rng.integers(1, images + 1, boxes), rng.integers(1, CLASSES + 1, boxes)
    annotations = [
        {
            "id": number + 1,
            "image_id": int(owners[number]),
            "category_id": int(labels[number]),
            "bbox": [x, y, w, h],
            "area": w * h,
            "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
            "iscrowd": 0,
        }
        for number, (x, y, w, h) in enumerate(np.concatenate([corners, sides], 1).tolist())
    ]
    categories = [{"id": k + 1, "name": f"class {k}", "supercategory": ""} for k in range(CLASSES)]
    content = {"images": entries, "annotations": annotations, "categories": categories}
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_train.json").write_text(json.dumps(content))


def make_folders(root: Path, images: int, splits: dict[str, float]) -> None:
    """200 class folders of empty files, in each split if there are any: opening looks at names only."""
    for split, share in splits.items():
        for number in range(200):
            folder = root / split / f"class{number:03d}"
            folder.mkdir(parents=True)
            for k in range(round(share * images / 200)):
                (folder / f"{split}{k:05d}.jpg").touch()


def make_voc(root: Path, images: int) -> None:
    """A VOC 2012 set with five boxes an image, class masks with a palette, and photos of about 110 kB, as VOC's are."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    base = root / "VOCdevkit" / "VOC2012"
    for name in ("JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Main", "ImageSets/Segmentation"):
        (base / name).mkdir(parents=True)
    names = [f"2008_{number:06d}" for number in range(images)]
    kinds = ("cat", "dog", "car")
    for name in names:
        pixels = rng.integers(0, 255, (125, 167, 3), dtype=np.uint8)
        photo = Image.fromarray(pixels).resize((500, 375), Image.Resampling.BICUBIC)
        photo.save(base / "JPEGImages" / f"{name}.jpg", quality=85)
        mask = np.zeros((375, 500), np.uint8)
        objects = ""
        for x, y in rng.integers(1, 250, (5, 2)).tolist():
            label = int(rng.integers(0, 3))
            mask[y : y + 100, x : x + 150] = (8, 12, 7)[label]
            box = f"<xmin>{x}</xmin><ymin>{y}</ymin><xmax>{x + 150}</xmax><ymax>{y + 100}</ymax>"
            objects += f"<object><name>{kinds[label]}</name><difficult>0</difficult><bndbox>{box}</bndbox></object>"
        size = "<size><width>500</width><height>375</height><depth>3</depth></size>"
        (base / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><folder>VOC2012</folder><filename>{name}.jpg</filename>{size}{objects}</annotation>"
        )
        indices = Image.fromarray(mask)
        indices.putpalette([value * step % 256 for value in range(256) for step in (128, 64, 32)])
        indices.save(base / "SegmentationClass" / f"{name}.png")
    for kind in ("Main", "Segmentation"):
        for split, part in (("train", names), ("val", names[:1])):
            (base / "ImageSets" / kind / f"{split}.txt").write_text("\n".join(part) + "\n")


# --- the readers: each does its work once


def read_coco_visus(root: Path) -> int:
    from visus.data.inspection.checks import check_before_training
    from visus.data.reading.opening import open_data

    dataset = open_data(root, task="detection")
    check_before_training(dataset, "detection")
    return sum(len(sample.target("detection", masks=False)) for part in dataset.splits.values() for sample in part)


def read_coco_supervision(root: Path) -> int:
    import supervision

    dataset = supervision.DetectionDataset.from_coco(
        images_directory_path=str(root / "images" / "train"),
        annotations_path=str(root / "annotations" / "instances_train.json"),
    )
    return sum(len(item) for item in dataset.annotations.values())


def read_coco_datumaro(root: Path) -> int:
    import datumaro

    dataset = datumaro.Dataset.import_from(str(root), "coco_instances")
    return sum(len(item.annotations) for item in dataset)


def read_coco_pycocotools(root: Path) -> int:
    from pycocotools.coco import COCO

    return len(COCO(str(root / "annotations" / "instances_train.json")).anns)


def read_folders_visus(root: Path) -> int:
    from visus.data.reading.opening import open_data

    return sum(len(part) for part in open_data(root).splits.values())


read_splitfolders_visus = read_folders_visus


def read_folders_walk(root: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(root))


read_splitfolders_walk = read_folders_walk


def read_voc_visus(root: Path) -> int:
    from visus.data.reading.opening import open_data

    samples = open_data(root / "VOCdevkit" / "VOC2012").split("train")
    return sum(len(sample.target("detection")) + int(sample.target("segmentation").map.any()) for sample in samples)


def read_voc_torchvision(root: Path) -> int:
    """Boxes and masks as arrays, as a training needs them; both of torchvision's readers decode the photo with them."""
    import numpy as np
    from torchvision.datasets import VOCDetection, VOCSegmentation

    count = 0
    for _, tree in VOCDetection(str(root), year="2012", image_set="train"):
        objects = tree["annotation"]["object"]
        corners = [[float(item["bndbox"][key]) for key in ("xmin", "ymin", "xmax", "ymax")] for item in objects]
        count += len(np.asarray(corners, np.float32))
    for _, mask in VOCSegmentation(str(root), year="2012", image_set="train"):
        count += int(np.asarray(mask).any())
    return count


READERS: dict[str, Callable[[Path], int]] = {
    name.removeprefix("read_"): value for name, value in list(globals().items()) if name.startswith("read_")
}


# --- measuring


def work(name: str, root: Path) -> None:
    """Reads once and prints what it took; imports are not measured."""
    library = name.partition("_")[2]
    if library == "visus":
        import visus.data.inspection.checks
        import visus.data.reading.opening  # noqa: F401 - not measured
    elif library == "torchvision":
        import torchvision.datasets  # noqa: F401
    elif library != "walk":
        __import__(library)
    if name == "voc_visus":
        import cv2  # noqa: F401 - loaded when the first mask is read
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    count = READERS[name](root)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures = {"wall": seconds, "cpu": cpu, "mb": (after.ru_maxrss - before.ru_maxrss) / 1024}
    version = "" if library in ("visus", "walk") else importlib.metadata.version(library)
    print(json.dumps({"count": count, "version": version, **figures}))


def measure(name: str, root: Path, python: str) -> dict[str, Any]:
    command = [python, __file__, "--work", name, str(root)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{name} failed:\n{result.stderr[-2000:]}")
    measured: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return measured


def make(maker: Callable[..., None], *arguments: Any) -> None:
    """Makes data in a process of its own: the peak of memory of a process starts with that of its parent."""
    process = multiprocessing.get_context("spawn").Process(target=maker, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit("the data could not be made")


def compare(ours: str, theirs: str, root: Path, python: str, rounds: int) -> None:
    pairs = []
    for number in range(rounds):
        order = [(ours, sys.executable), (theirs, python)]
        measured = {name: measure(name, root, which) for name, which in (order if number % 2 else reversed(order))}
        pairs.append((measured[ours], measured[theirs]))
    counts = {pair[0]["count"] for pair in pairs} | {pair[1]["count"] for pair in pairs}
    for key in ("wall", "cpu") if theirs.endswith("walk") else ("wall", "cpu", "mb"):
        ratios = [mine[key] / max(other[key], 1e-9) for mine, other in pairs]
        mine, other = (statistics.median(pair[k][key] for pair in pairs) for k in (0, 1))
        print(
            f"{ours} / {theirs:20} {key:5} {mine:9.2f} {other:9.2f}  ratio {statistics.median(ratios):5.2f} "
            f"({min(ratios):.2f} - {max(ratios):.2f})"
        )
    version = pairs[0][1]["version"]
    print(f"    {theirs.partition('_')[2]} {version}; counts: {', '.join(map(str, sorted(counts)))}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peers", help="the Python that has supervision and datumaro; without it they are left out")
    parser.add_argument("--only", nargs="+", default=["coco", "folders", "voc"], choices=["coco", "folders", "voc"])
    parser.add_argument("--images", type=int, default=100_000, help="of the COCO file")
    parser.add_argument("--boxes", type=int, default=1_000_000)
    parser.add_argument("--folder-images", type=int, default=200_000)
    parser.add_argument("--voc-images", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        work(chosen.work[0], Path(chosen.work[1]))
        return
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        if "coco" in chosen.only:
            make(make_coco, root / "coco", chosen.images, chosen.boxes)
            compare("coco_visus", "coco_pycocotools", root / "coco", sys.executable, chosen.rounds)
            if chosen.peers:
                for peer in ("coco_supervision", "coco_datumaro"):
                    compare("coco_visus", peer, root / "coco", chosen.peers, chosen.rounds)
        if "folders" in chosen.only:
            make(make_folders, root / "folders", chosen.folder_images, {"": 1})
            compare("folders_visus", "folders_walk", root / "folders", sys.executable, chosen.rounds)
            make(make_folders, root / "split", chosen.folder_images, {"train": 0.7, "val": 0.15, "test": 0.15})
            compare("splitfolders_visus", "splitfolders_walk", root / "split", sys.executable, chosen.rounds)
        if "voc" in chosen.only:
            make(make_voc, root / "voc", chosen.voc_images)
            compare("voc_visus", "voc_torchvision", root / "voc", sys.executable, chosen.rounds)


if __name__ == "__main__":
    main()
