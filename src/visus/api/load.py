"""Loads a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from visus.workflow.exported_model import ExportedModel
    from visus.workflow.model import Model


def load(
    path: str | Path, *, device: str = "auto", model: str | None = None, quiet: bool = False
) -> Model | ExportedModel:
    """Loads a trained model, ready to predict.

    Args:
        path: a model file (``model.safetensors``), a run folder that holds one, or a file of weights that authors
            released, such as ``yolov3.weights``: its edition is found by what it holds, and said on standard error.
            Loading never runs code. Or an exported file (``model.onnx``), which needs no PyTorch.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps"; an exported model computes on the CPU.
        model: of a released file that several networks fit: the name of its model or edition.
        quiet: do not say which edition it is, and why.

    Raises:
        WeightsError: if the file is missing, corrupt, foreign, or of another network; or a released file fits several
            editions that differ, or no whole network.
        UsageError: if there is no such device.
        MissingExtraError: if PyTorch or a runtime is needed and not installed; names what installs it.
    """
    from visus.workflow.loading import load_answering

    return load_answering(path, device=device, model=model, quiet=quiet)
