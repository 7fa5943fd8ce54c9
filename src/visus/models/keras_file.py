"""Reads Keras's ``.h5`` files: the values of every layer, by the layer's name and their number in it.

Three layouts. Weights of Keras 1 and 2, and today's applications: a group a layer, listed in the attribute
``layer_names``, whose attribute ``weight_names`` lists its arrays in order. Whole models: the same below the group
``model_weights``. Keras 3's ``.weights.h5``: below ``layers`` a group a layer, named after its class, with the arrays
``vars/0``, ``vars/1`` ... and the layer's own name as an attribute.

Only values are read: neither the description of the model nor links, which can lead to other files. Needs h5py, the
extra ``keras``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.errors import MissingExtraError, WeightsError
from visus.files.regular import open_regular

_EXPECTED = "Keras's .h5 of weights or of a whole model"
_MOST = 100_000
"""Arrays of a file."""


def read_keras(path: Path, *, limit: int) -> dict[str, NDArray[Any]]:
    """Reads the arrays of a file as "layer/0", "layer/1" ..., in the order of the file's layers.

    Args:
        path: the file.
        limit: the most bytes of the file, and of all arrays together.

    Raises:
        MissingExtraError: without h5py.
        WeightsError: if there is no such file, it cannot be read safely, or it is none of Keras.
    """
    try:
        import h5py
    except ImportError:
        raise MissingExtraError(
            f"{path.name} is an HDF5 file, as Keras writes it, which needs h5py",
            expected="the extra keras",
            got="not installed",
            remedy="pip install 'visus[keras]'",
        ) from None

    open_regular(path, limit=limit, expected=_EXPECTED, error=WeightsError).close()
    try:
        with h5py.File(path, "r") as file:
            places = dict(_places(file))
            total = sum(dataset.size * dataset.dtype.itemsize for dataset in places.values())
            if total > limit:
                raise WeightsError(
                    f"{path.name} holds far more than the network needs",
                    expected=f"at most {limit:,} bytes",
                    got=f"{total:,} bytes",
                )
            arrays = {name: np.asarray(dataset[()]) for name, dataset in places.items()}
    except (OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"cannot read the weights file {path}",
            expected=_EXPECTED,
            got=(str(error).strip("'\"").splitlines() or [type(error).__name__])[0][:200],
            remedy="download the file again: it is truncated, or none of Keras",
        ) from None
    if not arrays:
        raise WeightsError(
            f"{path.name} does not hold the weights of a network",
            expected=_EXPECTED,
            got="no layer with values",
            remedy="save them with model.save_weights(FILE)",
        )
    return arrays


def _places(file: Any) -> Iterator[tuple[str, Any]]:
    """The arrays by our names. Only those that lie in this file: visititems follows no link out of it."""
    import h5py

    found: dict[str, Any] = {}
    others: set[str] = set()  # that count steps, or are seeds
    names: dict[str, str] = {}  # of Keras 3's layers, by the path of their arrays

    def visit(place: str, item: Any) -> None:
        if len(found) + len(others) > _MOST:
            raise ValueError(f"more than {_MOST:,} arrays")
        if isinstance(item, h5py.Dataset):
            if item.is_virtual or item.external:
                raise ValueError(f"{place[:80]} has its values in another file")
            if item.dtype.kind == "f":
                found[place] = item
            else:
                others.add(place)
        elif place.startswith("layers/") and place.endswith("/vars") and "name" in item.attrs:
            names[place] = _text(item.attrs["name"])

    file.visititems(visit)
    top = "model_weights/" if "model_weights" in file else ""
    group = file["model_weights"] if top else file
    if layers := _listed(group.attrs, "layer_names"):
        for layer in layers:
            for number, name in enumerate(_listed(group[layer].attrs, "weight_names")):
                if (place := f"{top}{layer}/{name}") not in others:
                    yield f"{layer}/{number}", found[place]
        return
    for place in sorted(names, key=_in_number):
        numbers = sorted(int(one.rpartition("/")[2]) for one in found if one.startswith(f"{place}/"))
        for number in numbers:
            yield f"{names[place]}/{number}", found[f"{place}/{number}"]


def _listed(attributes: Mapping[str, Any], name: str) -> list[str]:
    """The texts of an attribute; long lists are in parts, NAME0, NAME1 ..."""
    if name in attributes:
        return [_text(one) for one in attributes[name]]
    texts: list[str] = []
    for number in itertools.count():
        if f"{name}{number}" not in attributes:
            return texts
        texts += [_text(one) for one in attributes[f"{name}{number}"]]
    return texts


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _in_number(name: str) -> list[tuple[str, int]]:
    """conv2d, conv2d_1, conv2d_2, conv2d_10: in the order in which Keras counted them."""
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D+)(\d*)", name)]
