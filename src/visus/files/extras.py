"""Which extra of visus installs a package that is missing, and the error that says so. Loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from visus.errors import MissingExtraError

EXTRAS: Mapping[str, str] = {
    "torch": "train",
    "torchvision": "train",
    "cv2": "train",
    "safetensors": "train",
    "matplotlib": "train",
    "scipy": "train",
    "sklearn": "train",
    "skimage": "train",
    "onnx": "train",
    "onnxscript": "train",
}
"""Package -> the extra that installs it."""


def require_train(what: str) -> None:
    """Raises MissingExtraError, which names the extra, unless PyTorch is installed.

    Args:
        what: needs it, for the message.
    """
    try:
        there = find_spec("torch") is not None
    except ValueError:  # of a name in sys.modules without a module
        there = False
    if not there:
        raise _missing(what, "torch")


def missing_extra(error: ImportError) -> MissingExtraError | None:
    """What to say of a package that could not be imported; None if no extra of visus has it."""
    package = (error.name or "").partition(".")[0]
    return _missing("this", package) if package in EXTRAS else None


def _missing(what: str, package: str) -> MissingExtraError:
    extra = EXTRAS[package]
    return MissingExtraError(
        f"{what} needs the package {package}, which is not installed",
        expected=f"visus with its extra {extra}",
        got="visus without it, which predicts with exported models",
        remedy=f'pip install "visus[{extra}]"',
    )
