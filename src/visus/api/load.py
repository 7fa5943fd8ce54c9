"""Loads a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from visus.workflow.model import Model


def load(path: str | Path, *, device: str = "auto") -> Model:
    """Loads a trained model, ready to predict.

    Args:
        path: a model file (``model.safetensors``) or a run folder that holds one. Loading never runs code.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".

    Raises:
        WeightsError: if the file is missing, corrupt, foreign, or of another network.
        UsageError: if there is no such device.
    """
    from visus.workflow.loading import load_model

    return load_model(path, device=device)
