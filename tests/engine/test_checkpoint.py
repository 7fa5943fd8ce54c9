"""A checkpoint is the old one or the new one, and a damaged one is never taken for whole."""

from __future__ import annotations

import builtins
import errno
import os
import random
import resource
import shutil
import subprocess
import sys

import pytest
import torch

from visus.engine import disk
from visus.engine.checkpoint import BEST, CORRUPT, LAST, PREVIOUS, Checkpoints, Snapshot
from visus.engine.disk import write_atomically, write_text
from visus.errors import DiskError, WeightsError


def snapshot(step):
    generator = torch.Generator().manual_seed(step)
    tensors = {
        "model/weight": torch.randn(5, 7, generator=generator),
        "generators/0": torch.arange(9, dtype=torch.uint8),
    }
    return Snapshot(tensors, {"position": {"step": step}, "loss": 0.1 + step / 3})


def same(one, other):
    return one.state == other.state and all(torch.equal(one.tensors[n], v) for n, v in other.tensors.items())


@pytest.fixture
def saved(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in range(3):
        checkpoints.save(snapshot(step))
    checkpoints.save_best(snapshot(1))
    return checkpoints


def test_the_last_two_and_the_best_are_kept(saved):
    assert {path.name for path in saved.folder.iterdir()} == {LAST, PREVIOUS, BEST}
    assert same(saved.load(), snapshot(2))
    assert same(saved.load_best(), snapshot(1))
    shutil.copy(saved.folder / PREVIOUS, saved.folder / LAST)
    assert same(saved.load(), snapshot(1))


def test_none_yet(tmp_path):
    assert Checkpoints(tmp_path).load() is None
    assert Checkpoints(tmp_path).load_best() is None


def test_no_damage_goes_unnoticed_and_the_previous_one_steps_in(saved):
    whole = {name: (saved.folder / name).read_bytes() for name in (LAST, PREVIOUS)}
    chance = random.Random(3)
    for number in range(300):
        for name, content in whole.items():
            (saved.folder / name).write_bytes(content)
        damaged = bytearray(whole[LAST])
        if number % 3 == 0:
            damaged = damaged[: chance.randrange(len(damaged))]
        else:
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        (saved.folder / LAST).write_bytes(damaged)
        assert same(saved.load(), snapshot(1))
        # It has taken the last one's name, so that the next save cannot push a damaged one into its place.
        assert (saved.folder / LAST).read_bytes() == whole[PREVIOUS]
        assert (saved.folder / CORRUPT).read_bytes() == bytes(damaged)


def test_both_damaged_is_an_error(saved):
    for name in (LAST, PREVIOUS):
        (saved.folder / name).write_bytes(b"x" * 500)
    with pytest.raises(WeightsError):
        saved.load()


def test_a_kill_between_the_two_renames(saved):
    os.replace(saved.folder / LAST, saved.folder / PREVIOUS)
    assert same(saved.load(), snapshot(2))


def test_a_model_file_is_no_checkpoint(saved):
    from visus.engine.tensor_file import write_tensors

    write_tensors(saved.folder / LAST, {"w": torch.zeros(2)}, {"visus-model": "{}"})
    (saved.folder / PREVIOUS).unlink()
    with pytest.raises(WeightsError):
        saved.load()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("at", ["write", "fsync"])
def test_a_disk_that_fails_leaves_the_old_files(saved, monkeypatch, number, at):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    if at == "fsync":
        monkeypatch.setattr(disk.os, "fsync", fail)
    else:
        real = builtins.open

        def opening(path, mode="r", *rest, **named):
            file = real(path, mode, *rest, **named)
            if "w" not in mode:
                return file
            return FailingFile(file, fail)

        monkeypatch.setattr(disk, "open", opening, raising=False)
    for save in (saved.save, saved.save_best):
        with pytest.raises(DiskError) as caught:
            save(snapshot(9))
        assert caught.value.exit_code == 74
    monkeypatch.undo()
    assert {path.name for path in saved.folder.iterdir()} == {LAST, PREVIOUS, BEST}
    assert same(saved.load(), snapshot(2))


class FailingFile:
    """Fails at its second write, with half of the content on the disk."""

    def __init__(self, file, fail):
        self.file, self.fail, self.writes = file, fail, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, data):
        self.writes += 1
        if self.writes == 2:
            self.fail()
        return self.file.write(data)


def test_too_little_space_is_noticed_before_the_first_byte(saved, monkeypatch):
    usage = shutil.disk_usage(saved.folder)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DiskError, match="is full"):
        saved.save(snapshot(9))
    assert same(saved.load(), snapshot(2))


def test_a_real_limit_on_file_size(tmp_path):
    """The system itself refuses to write on, in the middle of a file."""
    code = (
        "import sys, resource; from pathlib import Path; from visus.engine.disk import write_atomically, write_text\n"
        "from visus.errors import DiskError\n"
        f"path = Path({str(tmp_path / 'file')!r}); write_text(path, 'old')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))\n"
        "try: write_atomically(path, lambda file: file.write(bytes(1_000_000)))\n"
        "except DiskError as error: print(error); sys.exit(error.exit_code)"
    )
    assert resource.RLIMIT_FSIZE is not None
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 74, done.stderr
    assert "expected: free space on the disk" in done.stdout
    assert (tmp_path / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_is_not_ours(tmp_path):
    with pytest.raises(DiskError):
        write_text(tmp_path / "nowhere" / "file", "text")
    (tmp_path / "file").touch()
    with pytest.raises(DiskError):
        write_text(tmp_path / "file" / "inside", "text")


def test_an_error_of_the_writer_itself_passes_through(tmp_path):
    def fill(file):
        file.write(b"half")
        raise KeyError("mine")

    with pytest.raises(KeyError):
        write_atomically(tmp_path / "file", fill)
    assert list(tmp_path.iterdir()) == []
