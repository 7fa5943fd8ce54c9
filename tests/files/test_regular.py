"""Only regular files are opened, after a look at their size."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from visus.errors import DataError, WeightsError
from visus.files.regular import is_regular, open_regular, read_regular


def test_bytes_of_a_file_and_of_a_link_to_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert read_regular(tmp_path / "a", limit=3) == b"abc"
    assert read_regular(tmp_path / "link", limit=3) == b"abc"
    with open_regular(tmp_path / "a", limit=3) as file:
        assert file.read(2) == b"ab"


def test_what_is_no_regular_file_is_named_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer for ever
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(tmp_path)  # a socket's path may have 108 bytes
        server.bind("socket")
        os.chdir(here)
        for path, kind in (
            (tmp_path, "a folder"),
            (tmp_path / "pipe", "a pipe"),
            (tmp_path / "socket", "a socket"),
            (Path("/dev/zero"), "a device"),
        ):
            with pytest.raises(WeightsError, match=kind):
                read_regular(path, limit=10, error=WeightsError)
            assert not is_regular(path)


@pytest.mark.parametrize("name", ["x" * 5000, "/".join(["y" * 200] * 40), "with\0zero"])
def test_names_that_no_system_takes(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="cannot be read") as error:
        read_regular(tmp_path / name, limit=10)
    assert len(str(error.value)) < 1000
    assert not is_regular(tmp_path / name)


def test_size_is_looked_at_first_and_again_while_reading(tmp_path: Path) -> None:
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(DataError, match=r"1,099,511,627,776 bytes"):
        read_regular(tmp_path / "sparse", limit=1 << 20)
    assert Path("/proc/self/status").stat().st_size == 0  # made up when it is read
    with pytest.raises(DataError, match="too large"):
        read_regular(Path("/proc/self/status"), limit=10)


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        read_regular(tmp_path / "none", limit=10)
