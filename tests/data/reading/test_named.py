"""Named data sets: digits are scikit-learn's, the others come from the cache, or a message says what to put there."""

from __future__ import annotations

import gzip
import pickle
import shutil
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from visus.data.reading.named import NAMED, PUBLISHED, data_cache, open_digits, open_named
from visus.data.reading.opening import open_data
from visus.errors import DataError


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    expected = load_digits()
    dataset = open_digits()
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {
        "train": 1258,
        "val": 180,
        "test": 359,
    }
    found = {sample.id: sample for samples in dataset.splits.values() for sample in samples}
    assert len(found) == 1797
    for index in range(1797):
        sample = found[f"digits/{index:04d}"]
        assert sample.target("classification").index == expected.target[index]
        np.testing.assert_allclose(sample.image.load()[0] / 255 * 16, expected.images[index], atol=0.04)


def test_digits_splits_are_fixed_and_stratified() -> None:
    first, second = open_data("digits", seed=0), open_data("digits", seed=7)
    for split in ("train", "val", "test"):
        assert [s.id for s in first.split(split)] == [s.id for s in second.split(split)]
    counts = np.bincount([s.target("classification").index for s in first.split("test")], minlength=10)
    assert counts.min() >= 34
    assert counts.max() <= 37
    assert first.made_splits == ()
    assert [s.id for s in first.split("test")[:3]] == [s.id for s in open_digits().split("test")[:3]]


def idx_bytes(array: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()
    )


def test_a_filled_cache_needs_neither_network_nor_torchvision(
    tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for split in ("train", "t10k"):
        (folder / f"{split}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(np.zeros((20, 28, 28)))))
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(idx_bytes(np.arange(20) % 2))
    monkeypatch.setenv("VISUS_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "torchvision", None)
    dataset = open_data("mnist")
    assert (dataset.name, dataset.format) == ("mnist", "idx")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 17, "val": 3, "test": 20}


def test_shared_mnist_in_a_cache(tmp_path: Path, offline: None, shared_data: Callable[[str], Path]) -> None:
    shutil.copytree(shared_data("mnist"), tmp_path / "MNIST" / "raw")
    dataset = open_data("mnist", cache=tmp_path)
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {
        "train": 51_000,
        "val": 9_000,
        "test": 10_000,
    }


def test_cifar_in_a_cache(tmp_path: Path, offline: None) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in PUBLISHED["cifar10"].files[:-1]:
        content = {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 1]}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["plane", "car"]}, protocol=2))
    dataset = open_data("cifar10", cache=tmp_path)
    assert sum(len(samples) for samples in dataset.splits.values()) == 12


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_offline_and_uncached_says_what_to_put_where(
    name: str, tmp_path: Path, offline: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match=f"{name} is not in the cache") as caught:
        open_named(name, cache=tmp_path)
    message = str(caught.value)
    assert PUBLISHED[name].files[0] in caught.value.expected
    assert str(tmp_path) in message
    assert all(address in message for address in PUBLISHED[name].archives)
    assert caught.value.exit_code == 4
    assert capsys.readouterr().out == ""


def test_names_and_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert set(NAMED) == {"digits", *PUBLISHED}
    monkeypatch.setenv("VISUS_CACHE", str(tmp_path / "own"))
    assert data_cache() == tmp_path / "own" / "data"
    monkeypatch.delenv("VISUS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert data_cache() == tmp_path / "xdg" / "visus" / "data"
    with pytest.raises(DataError, match="no data set named emnist"):
        open_named("emnist")


def test_addresses_are_those_of_the_loaders() -> None:
    from torchvision.datasets import CIFAR10, CIFAR100, MNIST, FashionMNIST
    from torchvision.datasets.voc import DATASET_YEAR_DICT

    assert {url.rsplit("/", 1)[1] for url in PUBLISHED["mnist"].archives} == {name for name, _ in MNIST.resources}
    assert PUBLISHED["mnist"].archives[0].startswith(MNIST.mirrors[0])
    assert PUBLISHED["fashion_mnist"].archives[0].startswith(FashionMNIST.mirrors[0])
    assert PUBLISHED["cifar10"].archives == (CIFAR10.url,)
    assert PUBLISHED["cifar100"].archives == (CIFAR100.url,)
    assert PUBLISHED["voc2007"].archives == (DATASET_YEAR_DICT["2007"]["url"], DATASET_YEAR_DICT["2007-test"]["url"])
    assert PUBLISHED["voc2012"].archives == (DATASET_YEAR_DICT["2012"]["url"],)
