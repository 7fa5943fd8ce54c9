"""The files of keras.applications on the cards of the networks that they fit. Loads no torch."""

from __future__ import annotations

from visus.models.card import Conversion, ReleasedFile


def conversion(function: str) -> tuple[Conversion, ...]:
    """How files of Keras are read by a function of :mod:`visus.models.classification.keras_weights`.

    One conversion serves whole files and those without the last layer: nothing else may be missing.
    """
    return (Conversion(f"visus.models.classification.keras_weights:{function}", is_partial=True, suffix=".h5"),)


def released(module: str, whole: str, without_last: str) -> tuple[ReleasedFile, ...]:
    """The two files of a network, with and without its last layer, as a module of keras.applications names them."""
    source = f"github.com/keras-team/keras, keras/src/applications/{module}.py"
    return (
        ReleasedFile(whole, "ImageNet-1k", source=source),
        ReleasedFile(without_last, "ImageNet-1k", is_partial=True, source=source),
    )
