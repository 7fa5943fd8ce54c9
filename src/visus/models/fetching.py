"""Downloads published files of weights into a cache folder. Loads no torch."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from visus.errors import DiskError, WeightsError
from visus.files.cache_folder import cache_folder
from visus.models.card import WeightsFile

DownloadProgress = Callable[[int, int], None]
"""Called with the bytes that have come and the bytes in all (0 if unknown)."""


def fetch(file: WeightsFile, *, progress: DownloadProgress | None = None) -> Path:
    """The path of a published file in the cache folder; downloads the file if it is missing, and checks its hash.

    The hash is the card's. Where the card has none, the hub states the hash at the download, and a small file beside
    the weights keeps it. A ``.safetensors`` file with neither hash, which a person copied there, is taken unchecked.

    Raises:
        WeightsError: offline, not published for download, or of another hash.
        DiskError: if it cannot be stored.
    """
    path = cache_folder() / "weights" / file.name
    if path.exists():
        return _verify(path, file)
    if not file.url:
        raise WeightsError(
            f"the weights {file.name} have no download address",
            expected=f"{path} with SHA-256 {file.sha256} ({file.licence})",
            got="no such file",
            remedy=f"copy {file.name} into {path.parent}, or name it: --weights FILE, or use --weights none",
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{file.name}.", delete=False) as partial:
            temporary = Path(partial.name)
            try:
                expected = file.sha256 or _request_hash(file, path)
                actual = _download(file, path, partial, progress)
                if not actual.startswith(expected):
                    raise WeightsError(
                        f"the file from {file.url} is not the published one",
                        expected=f"SHA-256 {expected}",
                        got=f"SHA-256 {actual}",
                        remedy=f"try again, copy the file to {path}, or use --weights none",
                    )
                partial.flush()
                os.fsync(partial.fileno())
                if not file.sha256:
                    _hash_file(path).write_text(expected + "\n", encoding="ascii")
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise DiskError(
            f"cannot store {file.name} in {path.parent}",
            got="the disk is full" if error.errno == errno.ENOSPC else str(error),
            remedy="free some space, or set VISUS_CACHE to another folder",
        ) from None
    return path


def _hash_file(path: Path) -> Path:
    """The file that keeps the hash which the hub stated."""
    return path.with_name(f"{path.name}.sha256")


def _verify(path: Path, file: WeightsFile) -> Path:
    """The path of a cached file; raises WeightsError if its hash is not the expected one."""
    expected = file.sha256
    if not expected and _hash_file(path).exists():
        expected = _hash_file(path).read_text(encoding="ascii", errors="replace").strip()
    if not expected and path.suffix != ".safetensors":
        raise WeightsError(
            f"the hash of {path} is unknown",
            expected="a .safetensors file, which cannot hold code",
            got=path.suffix or "no suffix",
            remedy=f"delete {path}; visus then downloads it again",
        )
    actual = sha256_of(path)
    if not actual.startswith(expected):
        again = "; visus then downloads it again" if file.url else f", and copy {file.name} there"
        raise WeightsError(
            f"the cached weights {path} are corrupt or not the published ones",
            expected=f"SHA-256 {expected}",
            got=f"SHA-256 {actual}",
            remedy=f"delete {path}{again}",
        )
    return path


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: only the hub's own answer states the hash."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def _request_hash(file: WeightsFile, path: Path) -> str:
    """The SHA-256 of a large file as the Hugging Face hub states it in the header X-Linked-ETag."""
    request = urllib.request.Request(file.url, method="HEAD")
    try:
        with urllib.request.build_opener(_StayHere).open(request, timeout=30) as answer:
            headers = answer.headers
    except HTTPError as error:
        if error.code not in (301, 302, 303, 307, 308):
            raise _unreachable(file, path, error) from None
        headers = error.headers
    except (URLError, ConnectionError, TimeoutError) as error:
        raise _unreachable(file, path, error) from None
    stated = (headers.get("X-Linked-ETag") or headers.get("ETag") or "").strip('W/"')
    if not re.fullmatch(r"[0-9a-f]{64}", stated):
        raise WeightsError(
            f"{file.url} states no SHA-256, so the file cannot be checked",
            expected="the header X-Linked-ETag with 64 hexadecimal digits",
            got=stated or "none",
            remedy=f"copy the file to {path}, or use --weights none",
        )
    return stated


def _download(file: WeightsFile, path: Path, to: Any, progress: DownloadProgress | None) -> str:
    """Downloads a file into ``to`` and returns its SHA-256."""
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(file.url, timeout=30) as answer:
            total = int(answer.headers.get("Content-Length") or 0)
            done = 0
            while chunk := answer.read(1 << 20):
                to.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, total)
    except (URLError, ConnectionError, TimeoutError) as error:
        raise _unreachable(file, path, error) from None
    return digest.hexdigest()


def _unreachable(file: WeightsFile, path: Path, error: Exception) -> WeightsError:
    hash_ = f" with SHA-256 {file.sha256}" if file.sha256 else ""
    return WeightsError(
        f"cannot download the published weights {file.name}",
        expected=f"{file.url}, or {path}{hash_}",
        got=str(getattr(error, "reason", error)),
        remedy=f"go online, copy the file to {path}, or start without: --weights none",
    )


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
