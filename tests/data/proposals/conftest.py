"""A stand-in for selective search, which counts how often it is asked; and a cache folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from visus.data.proposals import computing
from visus.structures import ImageSource, Proposals, ProposalSettings


class Search:
    """Proposes the quarters of an image; a file beside the cache counts its calls in all processes."""

    def __init__(self, log: Path) -> None:
        self.log = log
        log.touch()

    @property
    def calls(self) -> int:
        return len(self.log.read_text())

    def __call__(self, image: ImageSource, settings: ProposalSettings) -> Proposals:
        height, width = image.size()
        image.load()
        with self.log.open("a") as log:
            log.write("x")
        x, y = width / 2, height / 2
        boxes = [[0, 0, x, y], [x, 0, width, y], [0, y, x, height], [x, y, width, height]]
        scores = None if settings.mode == "single" else np.asarray([4, 3, 2, 1], np.float32)
        return Proposals(np.asarray(boxes, np.float32), (height, width), scores)


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Search:
    """In place of selective search."""
    monkeypatch.setenv("VISUS_CACHE", str(tmp_path / "cache"))
    found = Search(tmp_path / "calls")
    monkeypatch.setattr(computing, "compute", found)
    return found
