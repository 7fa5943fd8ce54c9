"""Proposals are kept by what an image holds, computed once, and computed again when an entry is damaged."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.augmentation.preparing import Preparer
from visus.data.pixels.images import ArrayImage, BytesImage, FileImage
from visus.data.proposals.cache import ProposalCache, content_key
from visus.data.proposals.computing import Proposer
from visus.data.proposals.filling import fill, missing
from visus.errors import DataError, DiskError
from visus.structures import Preprocessing, Proposals, ProposalSettings, Sample

PIXELS = np.random.default_rng(0).integers(0, 255, (12, 20, 3), dtype=np.uint8)


def saved(folder: Path, name: str, pixels: np.ndarray = PIXELS) -> FileImage:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / name)
    return FileImage(folder / name)


def entries(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("scores", [None, np.asarray([0.5, 0.1, -3], np.float32)])
def test_what_is_kept_is_found_again(tmp_path: Path, scores: np.ndarray | None) -> None:
    cache = ProposalCache("any", tmp_path)
    boxes = np.asarray([[0, 0, 5.5, 7], [1, 2, 3, 4], [0, 0, 20, 12]], np.float32)
    assert cache.find("abcd") is None
    cache.keep("abcd", Proposals(boxes, (12, 20), scores))
    found = cache.find("abcd")
    assert found is not None
    np.testing.assert_array_equal(found.boxes, boxes)
    assert found.size == (12, 20)
    assert (found.scores is None) == (scores is None)
    if scores is not None:
        np.testing.assert_array_equal(found.scores, scores)
    assert ProposalCache("other", tmp_path).find("abcd") is None
    assert [path.name for path in entries(tmp_path)] == ["abcd"]  # nothing half-written is left


def test_no_proposal_is_an_entry_too(tmp_path: Path) -> None:
    cache = ProposalCache("any", tmp_path)
    cache.keep("ab", Proposals.empty((3, 4)))
    found = cache.find("ab")
    assert found is not None
    assert len(found) == 0


@pytest.mark.parametrize("where", [0, 20, 60, -1])
def test_a_damaged_entry_counts_as_missing(tmp_path: Path, where: int) -> None:
    cache = ProposalCache("any", tmp_path)
    cache.keep("abcd", Proposals(np.ones((9, 4), np.float32), (12, 20)))
    (path,) = entries(tmp_path)
    content = bytearray(path.read_bytes())
    content[where] ^= 255
    path.write_bytes(content)
    assert cache.find("abcd") is None
    path.write_bytes(content[: len(content) // 2])
    assert cache.find("abcd") is None
    path.write_bytes(b"")
    assert cache.find("abcd") is None


def test_an_image_is_known_by_what_it_holds(tmp_path: Path) -> None:
    here, there = saved(tmp_path / "a", "one.png"), saved(tmp_path / "b", "two.png")
    assert content_key(here) == content_key(there)
    assert content_key(here) == content_key(BytesImage(here.path.read_bytes(), "x"))
    other = PIXELS.copy()
    other[0, 0, 0] ^= 1
    assert content_key(saved(tmp_path, "c.png", other)) != content_key(here)
    assert content_key(FileImage(here.path, ((0, 9),))) != content_key(here)
    assert content_key(ArrayImage(PIXELS)) == content_key(ArrayImage(PIXELS.copy()))
    assert content_key(ArrayImage(PIXELS)) != content_key(ArrayImage(other))
    assert content_key(ArrayImage(PIXELS[:6])) != content_key(ArrayImage(PIXELS.reshape(6, 40, 3)))
    with pytest.raises(DataError, match="no file"):
        content_key(FileImage(tmp_path / "none.png"))


def test_proposals_are_computed_once(search, tmp_path: Path) -> None:
    image = saved(tmp_path, "a.png")
    proposer = Proposer.of(ProposalSettings(count=3))
    assert proposer.find(image) is None
    first, again = proposer(image), proposer(image)
    assert search.calls == 1
    assert len(first) == 3
    np.testing.assert_array_equal(first.boxes, again.boxes)
    more = Proposer.of(ProposalSettings(count=9))(image)  # another count needs no computing
    assert len(more) == 4
    assert search.calls == 1
    Proposer.of(ProposalSettings(mode="single"))(image)  # another mode does
    assert search.calls == 2


def test_a_damaged_entry_is_computed_again(search, tmp_path: Path) -> None:
    image = saved(tmp_path, "a.png")
    proposer = Proposer.of(ProposalSettings())
    proposer(image)
    (path,) = entries(proposer.cache.folder)
    path.write_bytes(path.read_bytes()[:-3])
    assert len(proposer(image)) == 4
    assert search.calls == 2
    proposer(image)
    assert search.calls == 2


def test_a_folder_that_cannot_be_written_is_named(search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VISUS_CACHE", str(tmp_path / "file"))
    with pytest.raises(DiskError, match="VISUS_CACHE"):
        Proposer.of(ProposalSettings())(saved(tmp_path, "a.png"))


@pytest.mark.parametrize("workers", [1, 2])
def test_many_images_are_filled_and_only_the_missing_are_computed(search, tmp_path: Path, workers: int) -> None:
    random = np.random.default_rng(1)
    samples = []
    for number in range(6):
        pixels = random.integers(0, 255, (8, 10, 3), dtype=np.uint8)
        samples.append(Sample(f"{number}", saved(tmp_path, f"{number}.png", pixels)))
    proposer = Proposer.of(ProposalSettings())
    proposer(samples[2].image)
    (tmp_path / "4.png").write_bytes(b"no image")
    (tmp_path / "5.png").unlink()
    told = []
    lacking = missing(samples, proposer)
    assert [sample.id for sample in lacking] == ["0", "1", "3", "4", "5"]
    failed = fill(lacking, proposer, workers=workers, progress=lambda done, count: told.append((done, count)))
    assert sorted(failed) == ["4", "5"]
    assert search.calls == 4
    assert told == [(number, 5) for number in range(1, 6)]
    assert [sample.id for sample in missing(samples, proposer)] == ["4", "5"]
    assert sorted(fill(samples, proposer, workers=workers)) == ["4", "5"]
    assert search.calls == 4
    assert not [path for path in entries(proposer.cache.folder) if path.suffix == ".tmp"]


def test_a_network_is_given_those_of_the_sample_else_those_that_are_kept(search, tmp_path: Path) -> None:
    way = Preprocessing(size=(24, 40), fit="stretch", proposals=ProposalSettings(count=2))
    image = saved(tmp_path, "a.png")
    prepare = Preparer("detection", way, None, 0)
    for _ in range(2):
        item = prepare(Sample("a", image), 0, 0)
        assert item.proposals is not None
        np.testing.assert_allclose(item.proposals.boxes, [[0, 0, 20, 12], [20, 0, 40, 12]])
        assert search.calls == 1
    own = Proposals(np.asarray([[1, 2, 3, 4]], np.float32), (12, 20))
    item = prepare(Sample("a", image, proposals=own), 0, 0)
    assert item.proposals is not None
    np.testing.assert_allclose(item.proposals.boxes, [[2, 4, 6, 8]])
    assert search.calls == 1
    nothing = prepare(Sample("a", image, proposals=Proposals.empty((12, 20))), 0, 0)
    assert nothing.proposals is not None
    assert len(nothing.proposals) == 0


def test_the_cache_lies_in_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUS_CACHE", str(tmp_path))
    folder = Proposer.of(ProposalSettings(mode="quality")).cache.folder
    assert folder.parent == tmp_path / "proposals"
    assert "quality" in folder.name
    assert os.listdir(tmp_path) == []
