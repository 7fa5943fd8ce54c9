"""Fixtures of the whole suite: the shared real data, where it lies beside the clone, and determinism."""

from __future__ import annotations

import contextlib
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=40)
settings.load_profile("ci")

SHARED = Path(os.environ.get("VISUS_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """``shared_data("mnist/train-labels-idx1-ubyte.gz")``: a file or folder of the shared data, or a skip."""

    def find(name: str) -> Path:
        path = SHARED / "data" / name
        if not path.exists():
            pytest.skip(f"needs the shared data: no {name} (set VISUS_SHARED to the folder that holds data/)")
        return path

    return find


@pytest.fixture(scope="session")
def unpacked(shared_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``unpacked("bccd/bccd_voc.tar")``: the folder of an archive of the shared data, unpacked once for all workers."""

    def unpack(name: str) -> Path:
        archive = shared_data(name)
        base = tmp_path_factory.getbasetemp()
        if os.environ.get("PYTEST_XDIST_WORKER"):
            base = base.parent
        folder = base / "shared-data" / name.replace("/", "-")
        if not folder.exists():
            fresh = tmp_path_factory.mktemp("unpacking")
            with tarfile.open(archive) as tar:
                tar.extractall(fresh, filter="data")
            folder.parent.mkdir(exist_ok=True)
            with contextlib.suppress(OSError):  # another worker was first
                fresh.rename(folder)
        children = list(folder.iterdir())
        return children[0] if len(children) == 1 and children[0].is_dir() else folder

    return unpack
