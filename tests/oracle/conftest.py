"""Whose weights a comparison is of does not matter: those of large layers are filled, not drawn."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def _any_weights(cheap_weights: None) -> None:
    """For the networks of other libraries, too."""
