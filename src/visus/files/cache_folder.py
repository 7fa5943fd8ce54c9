"""The folder for what can be had again: downloaded weights and data sets, and region proposals."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """VISUS_CACHE, else ``visus`` in XDG_CACHE_HOME, else ``~/.cache/visus``."""
    folder = os.environ.get("VISUS_CACHE")
    if folder:
        return Path(folder).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "visus"
