"""Class folders, CSV, IDX, CIFAR and packed JPEGs give the labels that were written."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.dataset import Dataset
from visus.data.formats.published.cifar import read_pickle
from visus.data.formats.published.idx import read_idx
from visus.data.reading.opening import open_data
from visus.errors import DataError, TaskMismatchError


def picture(path: Path, colour: tuple[int, int, int] = (200, 10, 10)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), colour).save(path)
    return path


def labels(dataset: Dataset, split: str) -> list[tuple[str, str]]:
    return [(sample.id, sample.target("classification").name) for sample in dataset.split(split)]


def kinds(dataset: Dataset) -> dict[str, tuple[str, int]]:
    return {finding.kind: (finding.severity, finding.count) for finding in dataset.findings}


def test_class_folders_without_splits(tmp_path: Path) -> None:
    for kind in ("dogs", "cats"):
        for number in range(10):
            picture(tmp_path / kind / f"{number}.jpg")
    dataset = open_data(tmp_path)
    assert (dataset.format, dataset.tasks, dataset.name) == ("class-folders", ("classification",), tmp_path.name)
    assert dataset.classes["classification"] == ("cats", "dogs")
    assert sum(map(len, dataset.splits.values())) == 20
    assert dataset.made_splits == ("val", "test")
    for split in dataset.splits:
        assert all(identity.startswith(name) for identity, name in labels(dataset, split))
    again = open_data(str(tmp_path))
    assert [s.id for s in again.split("train")] == [s.id for s in dataset.split("train")]
    assert [s.id for s in open_data(tmp_path, seed=1).split("train")] != [s.id for s in dataset.split("train")]


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (("train", "val", "test"), ("train", "val", "test")),
        (("Training", "validation", "TESTING"), ("train", "val", "test")),
        (("train", "valid"), ("train", "val")),
    ],
)
def test_class_folders_with_splits(folders: tuple[str, ...], splits: tuple[str, ...], tmp_path: Path) -> None:
    for folder in folders:
        for kind in ("a", "b"):
            picture(tmp_path / folder / kind / "1.png")
    dataset = open_data(tmp_path)
    assert tuple(dataset.splits) == splits
    assert dataset.made_splits == ()
    assert labels(dataset, "train") == [(f"{folders[0]}/a/1.png", "a"), (f"{folders[0]}/b/1.png", "b")]


def test_val_is_split_off_train_where_only_test_is_given(tmp_path: Path) -> None:
    for kind in ("a", "b"):
        for number in range(20):
            picture(tmp_path / "train" / kind / f"{number}.png")
        picture(tmp_path / "test" / kind / "1.png")
    dataset = open_data(tmp_path)
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 34, "val": 6, "test": 2}
    assert dataset.made_splits == ("val",)
    assert not {s.id for s in dataset.split("train")} & {s.id for s in dataset.split("val")}


def test_a_class_called_test_is_a_class(tmp_path: Path) -> None:
    picture(tmp_path / "test" / "1.png")
    picture(tmp_path / "control" / "1.png")
    assert open_data(tmp_path).classes["classification"] == ("control", "test")


def test_class_ids_come_from_train_and_are_never_renumbered(tmp_path: Path) -> None:
    for kind in ("b", "c", "d"):
        picture(tmp_path / "train" / kind / "1.png")
    for kind in ("a", "c"):
        picture(tmp_path / "val" / kind / "1.png")
    dataset = open_data(tmp_path)
    assert dataset.classes["classification"] == ("b", "c", "d")
    assert [(s.id, s.target("classification").index) for s in dataset.split("val")] == [("val/c/1.png", 1)]
    assert kinds(dataset) == {"unknown-class": ("stop", 1), "missing-class": ("note", 2), "unused-image": ("note", 1)}
    assert dataset.findings[0].examples == ("val: a",)


def test_stray_images_and_empty_class_folders_are_noted(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.png")
    picture(tmp_path / "b" / "deeper" / "1.png")
    picture(tmp_path / "stray.png")
    (tmp_path / "c").mkdir()
    (tmp_path / ".cache").mkdir()
    dataset = open_data(tmp_path)
    assert dataset.classes["classification"] == ("a", "b")
    assert kinds(dataset) == {"unlabelled-image": ("repair", 1), "empty-class": ("note", 1)}


@pytest.mark.parametrize("link", ["loop", "back"])
def test_links_that_loop_end(link: str, tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.png")
    picture(tmp_path / "b" / "1.png")
    os.symlink(tmp_path / "a", tmp_path / "a" / link)
    assert sum(map(len, open_data(tmp_path).splits.values())) == 2


@pytest.mark.parametrize(
    "text",
    [
        "path,label\na.png,cat\nb.png,dog\n",
        "filename;class\r\na.png;cat\r\nb.png;dog\r\n",
        "﻿Image\tCategory\textra\na.png\tcat\t1\nb.png\tdog\t2\n",
        "a.png,cat\nb.png,dog\n",
        "id,breed\na,cat\nb,dog\n",
        'file_name,label\n"a.png","cat"\n\n"b.png","dog"\n',
    ],
)
def test_csv_headers_delimiters_and_encodings(text: str, tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    picture(tmp_path / "images" / "b.png")
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8", newline="")
    for source in (tmp_path, tmp_path / "labels.csv"):
        dataset = open_data(source)
        assert dataset.format == "csv"
        assert labels(dataset, "train") == [("images/a.png", "cat"), ("images/b.png", "dog")]


def test_csv_split_column_and_missing_files(tmp_path: Path) -> None:
    lines = ["path,label,split"]
    for number in range(20):
        split = ("train", "validation", "test")[number % 3]
        picture(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{'even' if number % 2 == 0 else 'odd'},{split}")
    (tmp_path / "all.csv").write_text("\n".join([*lines, "gone.png,even,train", "1.png,odd,train", "2.png,,train"]))
    dataset = open_data(tmp_path)
    assert {split: len(found) for split, found in dataset.splits.items()} == {"train": 7, "val": 7, "test": 6}
    assert kinds(dataset) == {
        "duplicate-row": ("note", 1),
        "unlabelled-image": ("repair", 1),
        "missing-image": ("repair", 1),
        "lost-together": ("stop", 2),
    }


def test_csv_with_most_files_missing_stops(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    (tmp_path / "x.csv").write_text("path,label\na.png,1\nb.png,2\nc.png,1\nd.png,2\n")
    assert kinds(open_data(tmp_path))["missing-image"] == ("stop", 2)
    (tmp_path / "x.csv").write_text("path,label\nd.png,1\nc.png,1\n")
    with pytest.raises(DataError, match=r"no image that x\.csv names exists"):
        open_data(tmp_path)


def test_csv_numbers_order_classes_and_gaps_are_noted(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / f"{name}.png")
    rows = "file,class_index,class_name\na.png,7,zebra\nb.png,2,crane\nc.png,9,crane\n"
    (tmp_path / "labels.csv").write_text(rows)
    dataset = open_data(tmp_path)
    assert dataset.classes["classification"] == ("crane (2)", "zebra", "crane (9)")
    assert kinds(dataset) == {"class-id-gap": ("note", 7)}
    listed = "class_index,class_name\n" + "".join(
        f"{i},{ {7: 'zebra', 2: 'crane', 9: 'crane'}.get(i, f'name{i}') }\n" for i in range(12)
    )
    (tmp_path / "classes_all.csv").write_text(listed)
    dataset = open_data(tmp_path)
    assert len(dataset.classes["classification"]) == 12
    assert {s.id: s.target("classification").index for s in dataset.split("train")} == {
        "a.png": 7,
        "b.png": 2,
        "c.png": 9,
    }


def test_csv_by_split_files_and_too_many_tables(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / f"{name}.png")
    for name in ("train_labels", "test_labels"):
        (tmp_path / f"{name}.csv").write_text("path,label\na.png,x\nb.png,y\n")
    assert set(open_data(tmp_path).splits) == {"train", "test"}
    (tmp_path / "more.csv").write_text("path,label\na.png,x\nb.png,y\n")
    with pytest.raises(DataError, match="several tables") as caught:
        open_data(tmp_path)
    assert "more.csv" in caught.value.got


def test_csv_conflicts_ragged_rows_and_odd_splits(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / f"{name}.png")
    table = tmp_path / "t.csv"
    table.write_text("path,label\na.png,x\nb.png,y\na.png,y\n")
    assert kinds(open_data(tmp_path))["conflicting-labels"] == ("stop", 1)
    table.write_text("path,label\na.png,x\nb.png,y\nb.png,y,z\n")
    with pytest.raises(DataError, match="row 4"):
        open_data(tmp_path)
    table.write_text("path,label,split\na.png,x,train\nb.png,y,elsewhere\n")
    with pytest.raises(DataError, match="unknown split"):
        open_data(tmp_path)


def test_captions_are_known_and_no_task(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.jpg")
    (tmp_path / "captions.csv").write_text("image,split,caption\na.jpg,train,A red square .\na.jpg,train,Red .\n")
    dataset = open_data(tmp_path)
    assert (dataset.format, dataset.tasks) == ("captions", ())
    assert len(dataset.split("train")) == 1
    for task in (None, "classification"):
        with pytest.raises(TaskMismatchError, match="no labels that a task can learn from"):
            dataset.choose_task(task)
    with pytest.raises(TaskMismatchError):
        open_data(tmp_path, task="classification")


def idx_bytes(array: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()
    )


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("inside", ["", "raw"])
def test_idx(zipped: bool, inside: str, tmp_path: Path) -> None:
    images = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / inside).mkdir(exist_ok=True)
    for split in ("train", "t10k"):
        for kind, array in (("images-idx3", images), ("labels-idx1", np.asarray([1, 0]))):
            data = idx_bytes(array)
            path = tmp_path / inside / f"{split}-{kind}-ubyte{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(data) if zipped else data)
    dataset = open_data(tmp_path)
    assert dataset.format == "idx"
    assert labels(dataset, "test") == [("test/00000", "1"), ("test/00001", "0")]
    np.testing.assert_array_equal(dataset.split("test")[1].image.load()[2], images[1])


def write_idx(folder: Path, prefix: str, *kinds: str) -> None:
    arrays = {"images-idx3": np.zeros((2, 3, 4)), "labels-idx1": np.asarray([1, 0])}
    for kind in kinds:
        (folder / f"{prefix}train-{kind}-ubyte").write_bytes(idx_bytes(arrays[kind]))


def test_idx_files_of_two_sets_are_not_mixed(tmp_path: Path) -> None:
    write_idx(tmp_path, "kmnist-", "images-idx3")
    write_idx(tmp_path, "", "labels-idx1")
    with pytest.raises(DataError, match=r"kmnist-train-images-idx3-ubyte has no file of labels") as caught:
        open_data(tmp_path)
    assert caught.value.expected == "kmnist-train-labels-idx1-ubyte"
    assert caught.value.got == "train-labels-idx1-ubyte"


def test_several_idx_sets_in_one_folder_are_refused(tmp_path: Path) -> None:
    for prefix in ("emnist-digits-", "emnist-letters-"):
        write_idx(tmp_path, prefix, "images-idx3", "labels-idx1")
    with pytest.raises(DataError, match="holds 2 data sets"):
        open_data(tmp_path)
    for path in tmp_path.glob("emnist-digits-*"):
        path.unlink()
    assert len(open_data(tmp_path).split("train")) == 2


def test_damaged_idx_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x-images-idx3-ubyte"
    whole = idx_bytes(np.zeros((2, 3, 4)))
    for data in (whole[:-1], whole + b"1", b"", b"\0\0\x0d\x01\0\0\0\1" + bytes(8), whole[:6], b"hello there"):
        path.write_bytes(data)
        with pytest.raises(DataError) as caught:
            read_idx(path)
        assert str(path) in caught.value.problem
    zipped = path.with_suffix(".gz")
    zipped.write_bytes(gzip.compress(whole)[:-4])
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(zipped)


def write_cifar(folder: Path) -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3072), np.uint8)
    for index, name in enumerate(("data_batch_1", "data_batch_2", "test_batch")):
        content = {"data": pixels, "labels": [0, 1, 1, index % 2], "batch_label": name}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["plane", "car"]}, protocol=2))
    return pixels


def test_cifar10(tmp_path: Path) -> None:
    pixels = write_cifar(tmp_path)
    dataset = open_data(tmp_path)
    assert (dataset.format, dataset.classes["classification"]) == ("cifar", ("plane", "car"))
    assert sum(len(dataset.split(s)) for s in ("train", "val")) == 8
    assert labels(dataset, "test")[0] == ("test_batch/00000", "plane")
    np.testing.assert_array_equal(dataset.split("test")[2].image.load(), pixels[2].reshape(3, 32, 32))


def test_cifar100(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3072), np.uint8)
    for name in ("train", "test"):
        content = {"data": pixels, "fine_labels": [1, 0], "coarse_labels": [0, 0]}
        (tmp_path / name).write_bytes(pickle.dumps(content, protocol=2))
    meta = {"fine_label_names": ["apple", "fish"], "coarse_label_names": ["thing"]}
    (tmp_path / "meta").write_bytes(pickle.dumps(meta, protocol=2))
    assert labels(open_data(tmp_path), "test") == [("test/00000", "fish"), ("test/00001", "apple")]


class Attack:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.mark),))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_cifar_pickles_run_nothing(protocol: int, tmp_path: Path) -> None:
    write_cifar(tmp_path)
    mark = tmp_path / "was-run"
    (tmp_path / "data_batch_2").write_bytes(pickle.dumps({"data": Attack(mark)}, protocol=protocol))
    with pytest.raises(DataError, match="data_batch_2") as caught:
        open_data(tmp_path)
    assert "mkdir" in caught.value.got
    assert not mark.exists()


@pytest.mark.parametrize(
    "name", ["builtins eval", "os system", "numpy load", "numpy.f2py compile", "functools partial"]
)
def test_cifar_reader_names_only_arrays(name: str, tmp_path: Path) -> None:
    path = tmp_path / "batch"
    path.write_bytes(b"c" + name.replace(" ", "\n").encode() + b"\n.")
    with pytest.raises(DataError, match="safely"):
        read_pickle(path)


def test_cifar_with_wrong_arrays(tmp_path: Path) -> None:
    write_cifar(tmp_path)
    for content in ({"data": np.zeros((2, 10), np.uint8), "labels": [0, 0]}, {"labels": [0]}, [1, 2], {"data": 3}):
        (tmp_path / "data_batch_1").write_bytes(pickle.dumps(content, protocol=2))
        with pytest.raises(DataError, match="data_batch_1"):
            open_data(tmp_path)


def test_packed_jpegs(tmp_path: Path) -> None:
    files = []
    for colour in ((255, 0, 0), (0, 0, 255), (0, 255, 0)):
        stream = io.BytesIO()
        Image.new("RGB", (16, 8), colour).save(stream, "JPEG")
        files.append(stream.getvalue())
    arrays = {
        "data": np.frombuffer(b"".join(files), np.uint8),
        "offsets": np.cumsum([0, *map(len, files)]),
        "labels": np.asarray([0, 1, 0], np.uint8),
        "is_train": np.asarray([True, True, False]),
        "classes": np.asarray(["warm", "cold"]),
    }
    path = tmp_path / "packed.npz"
    np.savez(path, **arrays)
    dataset = open_data(path)
    assert dataset.format == "jpeg-npz"
    assert labels(dataset, "test") == [("00002", "warm")]
    assert dataset.split("test")[0].image.load()[:, 4, 8].tolist() == pytest.approx([0, 255, 0], abs=3)
    np.savez(path, **{**arrays, "labels": np.asarray([0, 1, 2])})
    with pytest.raises(DataError, match="do not fit"):
        open_data(path)
    np.savez(path, **{**arrays, "labels": np.asarray([{}, 1, 2], object)})
    with pytest.raises(DataError, match="cannot read"):
        open_data(path)
