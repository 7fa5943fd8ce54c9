"""Every data format through the battery of ``visus.testing``, with the smallest data set of each."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from visus.data.formats.listing import Listing
from visus.data.formats.readers import FORMATS
from visus.data.formats.reading import Format, Reading
from visus.testing import FORMAT_CHECKS, ConformanceError, FormatCase, check_format

COUNT = 4
"""Images of each data set."""


def pixels(seed: int) -> NDArray[np.uint8]:
    """[24,32,3]: no two seeds give the same picture."""
    return np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8)


def save(path: Path, array: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def images(folder: Path) -> list[str]:
    """Pictures in a folder, and their file names."""
    return [save(folder / f"{number}.png", pixels(number)).name for number in range(COUNT)]


def class_folders(root: Path) -> Path:
    for number in range(COUNT):
        save(root / ("cats", "dogs")[number % 2] / f"{number}.png", pixels(number))
    return root


def csv_labels(root: Path) -> Path:
    rows = [f"images/{name},{('cat', 'dog')[k % 2]}" for k, name in enumerate(images(root / "images"))]
    (root / "labels.csv").write_text("image,label\n" + "\n".join(rows) + "\n")
    return root


def csv_multilabel(root: Path) -> Path:
    rows = [f"images/{name},{k % 2},{k // 2},1" for k, name in enumerate(images(root / "images"))]
    (root / "labels.csv").write_text("image,cat,dog,sofa\n" + "\n".join(rows) + "\n")
    return root


def csv_landmarks(root: Path) -> Path:
    rows = [f"images/{name},{3 + k},5,{20 + k},7" for k, name in enumerate(images(root / "images"))]
    (root / "points.csv").write_text("image,left_x,left_y,right_x,right_y\n" + "\n".join(rows) + "\n")
    return root


def csv_boxes(root: Path) -> Path:
    rows = [f"images/{name},32,24,cell,{2 + k},3,{12 + k},15" for k, name in enumerate(images(root / "images"))]
    (root / "boxes.csv").write_text("filename,width,height,class,xmin,ymin,xmax,ymax\n" + "\n".join(rows) + "\n")
    return root


def wider_face(root: Path) -> Path:
    names = images(root / "WIDER_train" / "images" / "0--Parade")
    faces = [f"0--Parade/{name}\n1\n{2 + k} 3 10 12 0 0 0 0 0 0\n" for k, name in enumerate(names)]
    (root / "wider_face_train_bbx_gt.txt").write_text("".join(faces))
    return root


def csv_pixels(root: Path) -> Path:
    rows = [f"{k % 2},{','.join(map(str, pixels(k)[:8, :8, 0].flatten()))}" for k in range(COUNT)]
    header = "label," + ",".join(f"pixel{i}" for i in range(64))
    (root / "digits.csv").write_text(header + "\n" + "\n".join(rows) + "\n")
    return root


def hugging_face(root: Path) -> Path:
    rows = [{"file_name": name, "label": ("cat", "dog")[k % 2]} for k, name in enumerate(images(root))]
    (root / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


def idx(root: Path) -> Path:
    for stem in ("train", "t10k"):
        grey = np.stack([pixels(number)[:, :24, 0] for number in range(COUNT)])
        data = struct.pack(">IIII", 0x803, *grey.shape) + grey.tobytes()
        labels = struct.pack(">II", 0x801, COUNT) + bytes(number % 2 for number in range(COUNT))
        (root / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(data, mtime=0))
        (root / f"{stem}-labels-idx1-ubyte").write_bytes(labels)
    return root


def cifar(root: Path) -> Path:
    for index, name in enumerate(("data_batch_1", "test_batch")):
        rows = np.random.default_rng(index).integers(0, 256, (COUNT, 3072), np.uint8)
        content = {"data": rows, "labels": [number % 2 for number in range(COUNT)], "batch_label": name}
        (root / name).write_bytes(pickle.dumps(content, protocol=2))
    (root / "batches.meta").write_bytes(pickle.dumps({"label_names": ["plane", "car"]}, protocol=2))
    return root


def svhn(root: Path) -> Path:
    for split in ("train", "test"):
        digits = np.random.default_rng(len(split)).integers(0, 256, (32, 32, 3, COUNT), np.uint8)
        labels = np.arange(1, COUNT + 1, dtype=np.uint8)[:, None]
        savemat(root / f"{split}_32x32.mat", {"X": digits, "y": labels})
        data = (root / f"{split}_32x32.mat").read_bytes()
        (root / f"{split}_32x32.mat").write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + data[116:])  # without the time
    return root


def mpii(root: Path) -> Path:
    entries = np.empty((1, COUNT), [("image", object), ("annorect", object)])
    for k, name in enumerate(images(root / "images")):
        points = np.empty((1, 2), [("x", object), ("y", object), ("id", object)])
        points[0, 0], points[0, 1] = (3 + k, 5, 9), (20, 7, 0)
        entries[0, k] = ({"name": name}, {"scale": 1.5, "annopoints": {"point": points}})
    path = root / "mpii_human_pose_v1_u12_1.mat"
    savemat(path, {"RELEASE": {"annolist": entries, "img_train": np.ones((1, COUNT))}})
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + path.read_bytes()[116:])  # without the time
    return root


def jpeg_npz(root: Path) -> Path:
    files = []
    for number in range(COUNT):
        buffer = io.BytesIO()
        Image.fromarray(pixels(number)).save(buffer, "JPEG")
        files.append(np.frombuffer(buffer.getvalue(), np.uint8))
    offsets = np.cumsum([0, *map(len, files)])
    labels = np.arange(COUNT) % 2
    path = root / "packed.npz"
    np.savez(path, data=np.concatenate(files), offsets=offsets, labels=labels, classes=np.asarray(["cat", "dog"]))
    return path


def arrays_npz(root: Path) -> Path:
    pixels = np.random.default_rng(3).integers(0, 255, (12, 24, 32, 3), dtype=np.uint8)
    numbers = np.arange(12, dtype=np.uint8)[:, None] % 2
    np.savez(root / "data.npz", train_images=pixels, train_labels=numbers)
    return root


def coco(root: Path) -> Path:
    entries = [
        {"id": k, "file_name": name, "height": 24, "width": 32} for k, name in enumerate(images(root / "images"))
    ]
    boxes = [
        {
            "id": k,
            "image_id": k,
            "category_id": 3,
            "bbox": [2 + k, 3, 10, 12],
            "segmentation": [[2 + k, 3, 12 + k, 3, 12 + k, 15, 2 + k, 15]],
        }
        for k in range(COUNT)
    ]
    content = {"images": entries, "annotations": boxes, "categories": [{"id": 3, "name": "cell"}]}
    (root / "annotations.json").write_text(json.dumps(content))
    return root


def voc(root: Path) -> Path:
    (root / "Annotations").mkdir()
    for k, name in enumerate(images(root / "JPEGImages")):
        box = f"<xmin>{2 + k}</xmin><ymin>3</ymin><xmax>{12 + k}</xmax><ymax>15</ymax>"
        (root / "Annotations" / f"{Path(name).stem}.xml").write_text(
            f"<annotation><filename>{name}</filename><size><width>32</width><height>24</height><depth>3</depth></size>"
            f"<object><name>cell</name><bndbox>{box}</bndbox></object></annotation>"
        )
    return root


def yolo(root: Path) -> Path:
    for split in ("train", "val"):
        for name in images(root / "images" / split):
            label = root / "labels" / split / f"{Path(name).stem}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text("0 0.5 0.5 0.25 0.5\n")
    (root / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/val\nnames: [cell]\n")
    return root


def masks(root: Path) -> Path:
    for k, name in enumerate(images(root / "images")):
        mask = np.zeros((24, 32), np.uint8)
        mask[4 : 12 + k, 5:20] = 1
        mask[15:20, 2:30] = 2
        save(root / "masks" / name, mask)
    (root / "classes.txt").write_text("sky\nroad\ncar\n")
    return root


def class_masks(root: Path) -> Path:
    for k, name in enumerate(images(root / "images")):
        for row, label in ((2, "vessel"), (6 + k, "nucleus")):
            mask = np.zeros((24, 32), np.uint8)
            mask[row : row + 9, 4:20] = 255
            save(root / "masks" / label / name, mask)
    return root


def instance_maps(root: Path) -> Path:
    for k, name in enumerate(images(root / "images")):
        mask = np.zeros((24, 32), np.uint8)
        for number in range(2 + k):
            mask[3 : 3 + 4 + k, 1 + 5 * number : 5 + 5 * number] = number + 1
        save(root / "labels" / name, mask)
    return root


def labelme(root: Path) -> Path:
    for k, name in enumerate(images(root)):
        shape = {"label": "cell", "shape_type": "polygon", "points": [[2 + k, 3], [12 + k, 3], [12 + k, 15]]}
        content = {"version": "6.3.1", "flags": {}, "shapes": [shape], "imagePath": name, "imageData": None}
        (root / f"{k}.json").write_text(json.dumps(content))
    return root


def cvat(root: Path) -> Path:
    box = '<box label="cell" xtl="{}" ytl="3" xbr="12" ybr="15"/>'
    entries = [
        f'<image id="{k}" name="{name}" width="32" height="24">{box.format(2 + k)}</image>'
        for k, name in enumerate(images(root / "images"))
    ]
    (root / "annotations.xml").write_text(f"<annotations><version>1.1</version>{''.join(entries)}</annotations>")
    return root


def label_studio(root: Path) -> Path:
    tasks = []
    for k, name in enumerate(images(root / "images")):
        value = {"x": 10 + k, "y": 10, "width": 20, "height": 30, "rotation": 0, "rectanglelabels": ["cell"]}
        result = {"id": "a", "type": "rectanglelabels", "from_name": "box", "to_name": "image", "value": value}
        annotation = {"id": k, "completed_by": 1, "result": [result], "was_cancelled": False}
        tasks.append({"id": k, "data": {"image": f"/data/upload/1/{name}"}, "annotations": [annotation]})
    (root / "project-1-at-2026-01-01.json").write_text(json.dumps(tasks))
    return root


def via(root: Path) -> Path:
    content = {}
    for k, name in enumerate(images(root)):
        shape = {"name": "rect", "x": 2 + k, "y": 3, "width": 10, "height": 12}
        region = {"shape_attributes": shape, "region_attributes": {"class": "cell"}}
        content[f"{name}100"] = {"filename": name, "size": 100, "regions": [region], "file_attributes": {}}
    (root / "via_region_data.json").write_text(json.dumps(content))
    return root


def nifti(root: Path) -> Path:
    nibabel = pytest.importorskip("nibabel")
    for k in range(3):
        values = np.random.default_rng(k).integers(0, 900, (32, 24, 4)).astype(np.int16)
        labels = np.zeros(values.shape, np.uint8)
        labels[4 : 9 + k, 3:9] = 1
        for name, array in ((f"images/{k}.nii", values), (f"labels/{k}.nii", labels)):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), root / name)
    return root


def coco_panoptic(root: Path) -> Path:
    entries, labels = [], []
    for k, name in enumerate(images(root / "images")):
        numbers = np.zeros((24, 32, 3), np.uint8)
        numbers[...] = (7, 0, 0)
        numbers[3:15, 2 + k : 12 + k] = (1, 2, 0)  # 1 + 2 * 256
        save(root / "panoptic" / f"{k}.png", numbers)
        segments = [
            {"id": 7, "category_id": 3, "bbox": [0, 0, 32, 24], "area": 1, "iscrowd": 0},
            {"id": 513, "category_id": 1, "bbox": [2 + k, 3, 10, 12], "area": 120, "iscrowd": 0},
        ]
        entries.append({"id": k, "file_name": name, "width": 32, "height": 24})
        labels.append({"image_id": k, "file_name": f"{k}.png", "segments_info": segments})
    categories = [{"id": 1, "name": "cell", "isthing": 1}, {"id": 3, "name": "ground", "isthing": 0}]
    (root / "panoptic.json").write_text(
        json.dumps({"images": entries, "annotations": labels, "categories": categories})
    )
    return root


def object_masks(root: Path) -> Path:
    for k, name in enumerate(images(root / "images")):
        for number in range(2 + k):
            mask = np.zeros((24, 32), np.uint8)
            mask[3 : 7 + k, 1 + 5 * number : 5 + 5 * number] = 255
            save(root / "masks" / Path(name).stem / f"{number}.png", mask)
    return root


def supervisely(root: Path) -> Path:
    (root / "ds0" / "ann").mkdir(parents=True)
    for k, name in enumerate(images(root / "ds0" / "img")):
        points = {"exterior": [[2 + k, 3], [11, 14]], "interior": []}
        item = {"classTitle": "cell", "geometryType": "rectangle", "points": points, "tags": []}
        content = {"size": {"height": 24, "width": 32}, "tags": [], "objects": [item]}
        (root / "ds0" / "ann" / f"{name}.json").write_text(json.dumps(content))
    (root / "meta.json").write_text(json.dumps({"classes": [{"title": "cell", "shape": "rectangle"}], "tags": []}))
    return root


def create_ml(root: Path) -> Path:
    entries = []
    for k, name in enumerate(images(root)):
        place = {"x": 12 + k, "y": 10, "width": 8, "height": 6}
        entries.append({"image": name, "annotations": [{"label": "cell", "coordinates": place}]})
    (root / "annotations.json").write_text(json.dumps(entries))
    return root


def kitti(root: Path) -> Path:
    (root / "training" / "label_2").mkdir(parents=True)
    for k, name in enumerate(images(root / "training" / "image_2")):
        line = f"Car 0.00 0 -1.57 {2 + k}.00 3.00 12.00 15.00 1.5 1.6 3.7 1.0 1.7 9.0 -1.6\n"
        (root / "training" / "label_2" / f"{Path(name).stem}.txt").write_text(line)
    return root


def dota(root: Path) -> Path:
    (root / "train" / "labelTxt").mkdir(parents=True)
    for k, name in enumerate(images(root / "train" / "images")):
        line = f"imagesource:GoogleEarth\ngsd:0.1\n{2 + k} 3 12 3 12 15 {2 + k} 15 plane 0\n"
        (root / "train" / "labelTxt" / f"{Path(name).stem}.txt").write_text(line)
    return root


def pts(root: Path) -> Path:
    for k, name in enumerate(images(root)):
        points = f"version: 1\nn_points: 2\n{{\n{3 + k} 5\n20 7.5\n}}\n"
        (root / f"{Path(name).stem}.pts").write_text(points)
    return root


def captions(root: Path) -> Path:
    rows = [f"images/{name},A picture of noise number {k}." for k, name in enumerate(images(root / "images"))]
    (root / "captions.csv").write_text("image,caption\n" + "\n".join(rows) + "\n")
    return root


def plain_images(root: Path) -> Path:
    images(root)
    return root


WRITERS: dict[str, Callable[[Path], Path]] = {
    "class-folders": class_folders,
    "csv": csv_labels,
    "csv-multilabel": csv_multilabel,
    "csv-landmarks": csv_landmarks,
    "csv-boxes": csv_boxes,
    "csv-pixels": csv_pixels,
    "wider-face": wider_face,
    "hugging-face": hugging_face,
    "idx": idx,
    "cifar": cifar,
    "svhn": svhn,
    "jpeg-npz": jpeg_npz,
    "arrays-npz": arrays_npz,
    "coco": coco,
    "coco-panoptic": coco_panoptic,
    "voc": voc,
    "yolo": yolo,
    "masks": masks,
    "class-masks": class_masks,
    "instance-maps": instance_maps,
    "nifti": nifti,
    "labelme": labelme,
    "cvat": cvat,
    "label-studio": label_studio,
    "via": via,
    "supervisely": supervisely,
    "create-ml": create_ml,
    "kitti": kitti,
    "dota": dota,
    "pts": pts,
    "mpii": mpii,
    "object-masks": object_masks,
    "captions": captions,
    "images": plain_images,
}


def test_every_format_has_a_data_set_here() -> None:
    assert set(WRITERS) == {format.name for format in FORMATS}


@pytest.mark.parametrize("check", FORMAT_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
def test_format(format: Format, check: Callable[[FormatCase], None], tmp_path: Path) -> None:
    check(FormatCase(format, WRITERS[format.name], tmp_path))


# --- the battery itself fails where it should


def broken(read: Callable[[Listing], Reading] | None = None, recognise: bool | None = None) -> Format:
    whole = next(format for format in FORMATS if format.name == "class-folders")
    return Format(
        whole.name,
        whole.title,
        whole.recognise if recognise is None else (lambda listing: recognise),
        read or whole.read,
    )


def test_a_reader_that_claims_every_folder_is_found(tmp_path: Path) -> None:
    with pytest.raises(ConformanceError, match="empty folder"):
        check_format(broken(recognise=True), class_folders, tmp_path)


def test_a_reader_that_recognises_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from visus.data.reading import opening

    others = tuple(format for format in FORMATS if format.name != "class-folders")
    monkeypatch.setattr(opening, "all_formats", lambda: (*others, broken(recognise=False)))
    with pytest.raises(ConformanceError):
        check_format(broken(recognise=False), class_folders, tmp_path)


def test_a_reader_that_fails_on_damage_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from visus.data.reading import opening

    whole = next(format for format in FORMATS if format.name == "csv")

    def read(listing: Listing) -> Reading:
        for path in listing.files_with(".csv"):
            path.read_text().splitlines()[3]  # an IndexError where the file was cut
        return whole.read(listing)

    careless = Format(whole.name, whole.title, whole.recognise, read)
    monkeypatch.setattr(opening, "all_formats", lambda: tuple(careless if f.name == "csv" else f for f in FORMATS))
    with pytest.raises(IndexError):
        check_format(careless, csv_labels, tmp_path)


def test_a_reader_that_leaves_a_file_behind_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from visus.data.reading import opening

    whole = next(format for format in FORMATS if format.name == "class-folders")

    def read(listing: Listing) -> Reading:
        (listing.root / "cache.bin").write_bytes(b"0")
        return whole.read(listing)

    littering = Format(whole.name, whole.title, whole.recognise, read)
    monkeypatch.setattr(
        opening, "all_formats", lambda: tuple(littering if f.name == whole.name else f for f in FORMATS)
    )
    with pytest.raises(ConformanceError, match="leaves the files"):
        check_format(littering, class_folders, tmp_path)
