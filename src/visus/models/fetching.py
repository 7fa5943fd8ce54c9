"""Published files of weights in a cache folder that fills itself. Loads no torch."""

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
from visus.models.card import WeightsFile

Progress = Callable[[int, int], None]
"""Called with the bytes that have come and the bytes in all (0 if unknown)."""


def cache_folder() -> Path:
    """The folder for what visus fetches: VISUS_CACHE, else ``visus`` in XDG_CACHE_HOME, else ``~/.cache/visus``."""
    own = os.environ.get("VISUS_CACHE")
    if own:
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "visus"


def fetch(file: WeightsFile, *, progress: Progress | None = None) -> Path:
    """A published file in the cache folder, brought there first if need be; its hash is checked in any case.

    The hash is the card's. Where the card has none, it is the one that the hub states when the file is fetched, and
    that is written beside the file; a ``.safetensors`` file without either, brought by hand, is taken as it is.

    Raises:
        WeightsError: offline, not published for download, or of another hash.
        DiskError: if it cannot be stored.
    """
    path = cache_folder() / "weights" / file.name
    if path.exists():
        return _checked(path, file)
    if not file.url:
        raise WeightsError(
            f"the weights {file.name} must be brought by hand",
            expected=f"{path} with SHA-256 {file.sha256} ({file.licence})",
            got="no such file",
            remedy=f"copy {file.name} into {path.parent}, or name it: --weights FILE, or use --weights none",
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{file.name}.", delete=False) as partial:
            temporary = Path(partial.name)
            try:
                expected = file.sha256 or _stated_hash(file, path)
                found = _download(file, path, partial, progress)
                if not found.startswith(expected):
                    raise WeightsError(
                        f"what came from {file.url} is not the published file",
                        expected=f"SHA-256 {expected}",
                        got=f"SHA-256 {found}",
                        remedy=f"try again, bring the file to {path}, or use --weights none",
                    )
                partial.flush()
                os.fsync(partial.fileno())
                if not file.sha256:
                    _note(path).write_text(expected + "\n", encoding="ascii")
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


def _note(path: Path) -> Path:
    """Where the hash stands that the hub stated."""
    return path.with_name(f"{path.name}.sha256")


def _checked(path: Path, file: WeightsFile) -> Path:
    """A cached file whose hash is the expected one."""
    expected = file.sha256
    if not expected and _note(path).exists():
        expected = _note(path).read_text(encoding="ascii", errors="replace").strip()
    if not expected and path.suffix != ".safetensors":
        raise WeightsError(
            f"nobody states a hash for {path}",
            expected="a .safetensors file, which cannot hold code",
            got=path.suffix or "no suffix",
            remedy=f"delete {path}, and it is fetched again",
        )
    found = _sha256(path)
    if not found.startswith(expected):
        again = ", and it is fetched again" if file.url else f", and bring {file.name}"
        raise WeightsError(
            f"the cached weights {path} are corrupt or not the published ones",
            expected=f"SHA-256 {expected}",
            got=f"SHA-256 {found}",
            remedy=f"delete {path}{again}",
        )
    return path


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: the hub states the hash in its own answer, not in that of the server it points to."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def _stated_hash(file: WeightsFile, path: Path) -> str:
    """The SHA-256 that the Hugging Face hub states for a large file, in the header X-Linked-ETag of its answer."""
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
            f"{file.url} states no SHA-256, so what came could not be checked",
            expected="the header X-Linked-ETag with 64 hexadecimal digits",
            got=stated or "none",
            remedy=f"bring the file to {path}, or use --weights none",
        )
    return stated


def _download(file: WeightsFile, path: Path, to: Any, progress: Progress | None) -> str:
    """Writes a file's bytes and gives their SHA-256."""
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
        f"cannot fetch the published weights {file.name}",
        expected=f"{file.url}, or {path}{hash_}",
        got=str(getattr(error, "reason", error)),
        remedy=f"go online, bring the file to {path}, or start without: --weights none",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
