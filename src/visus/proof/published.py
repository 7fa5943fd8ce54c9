"""The published facts: layer tables and exact counts, shipped with the package."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml

from visus.errors import UsageError


def fact(id_: str) -> dict[str, Any]:
    """One entry of ``facts/*.yaml``: the paper, the input, the counts and, where it was published, the layer table.

    Raises:
        UsageError: if there is no fact of this id.
    """
    known = all_facts()
    if id_ not in known:
        raise UsageError(f"no published fact {id_}", expected=" or ".join(known), got=id_)
    return known[id_]


def all_facts() -> dict[str, dict[str, Any]]:
    """Every entry by its id."""
    folder = files("visus.proof") / "facts"
    texts = [file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.endswith(".yaml")]
    return {entry["id"]: entry for text in texts for entry in yaml.safe_load(text)["architectures"]}
