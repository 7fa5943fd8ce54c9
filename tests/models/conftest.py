"""What a network computes is asked for any weights: those of large layers are filled, not drawn."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def _any_weights(cheap_weights: None) -> None:
    """In every module of this folder and of those in it."""
