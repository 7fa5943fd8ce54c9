"""Checks that a metric gets as many predictions as targets."""

from __future__ import annotations

from collections.abc import Sized

from visus.errors import ShapeError


def require_pairs(predictions: Sized, targets: Sized) -> None:
    """Raises ShapeError unless there is one prediction for each target."""
    if len(predictions) != len(targets):
        raise ShapeError(
            "a metric needs one prediction for each target", expected=str(len(targets)), got=str(len(predictions))
        )
