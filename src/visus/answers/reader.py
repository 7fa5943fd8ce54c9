"""The base class of readers: raw outputs in, one value an image out. Loads no torch.

A reader is data: a frozen dataclass of plain fields, which an exported file keeps as JSON. PyTorch and every engine
that runs an exported network answer through the same readers.

Letters: N images, C channels, H x W pixels.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError, WeightsError

Array = NDArray[np.float32]
"""float32, the images first."""

Outputs = Mapping[str, Array]
"""The raw outputs of a network by name; those tensors alone that depend on the images."""


class Reader(ABC):
    """Reads the raw outputs of one kind of network.

    Subclasses are frozen dataclasses whose fields are numbers, text, truth values, tuples of these, or dataclasses of
    the same sort. Their ``__post_init__`` raises WeightsError for values that cannot be.

    Attributes:
        kind: the name of the reader in an exported file; see :data:`visus.answers.table.READERS`.
    """

    kind: ClassVar[str]

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The names of the outputs that :meth:`read` needs."""

    @abstractmethod
    def read(self, outputs: Outputs, size: tuple[int, int]) -> list[Any]:
        """One value an image, in network pixels; the values name their classes by number ("0", "1" ...).

        Args:
            outputs: by name.
            size: (height, width) of the network's input.

        Raises:
            ShapeError: if an output is missing or has another shape.
        """

    def answers(
        self, run: Callable[[Array], Outputs], images: Array, *, input_size: tuple[int, int] | None = None
    ) -> list[Any]:
        """One value an image, in pixels of the images.

        Args:
            run: the network: normalised images [N,C,H,W] -> its raw outputs.
            images: [N,C,H,W], normalised.
            input_size: the only (height, width) of input that the network takes; None: any, or what the reader says.

        Raises:
            ShapeError: if the network does not take images of this size, or its outputs do not fit.
        """
        size = (images.shape[2], images.shape[3])
        if input_size is not None and size != tuple(input_size):
            raise ShapeError(
                "the network takes images of one size",
                expected=f"{input_size[0]}x{input_size[1]}",
                got=f"{size[0]}x{size[1]}",
                remedy=f"scale or pad the images to {input_size[0]}x{input_size[1]}",
            )
        return self.read(run(images), size)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: "kind" and the fields."""
        from pydantic import TypeAdapter

        values: dict[str, Any] = TypeAdapter(type(self)).dump_python(self, mode="json")
        return {"kind": self.kind, **values}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The reader of what :meth:`to_dict` gave, without "kind".

        Raises:
            WeightsError: if a field is missing, unknown, of another type, or has a value that cannot be.
        """
        from pydantic import TypeAdapter, ValidationError

        try:
            # As JSON, so that lists become tuples, and nothing else becomes what it is not.
            reader = TypeAdapter(cls).validate_json(json.dumps(dict(values)), strict=True)
        except (ValidationError, TypeError, ValueError, RecursionError) as error:
            reason = error.errors()[0] if isinstance(error, ValidationError) else None
            got = f"{'.'.join(map(str, reason['loc']))}: {reason['msg']}" if reason else str(error)
            raise _unreadable(cls.kind, "the fields of this kind", got) from None
        known = reader.to_dict()
        surplus = _surplus(values, known)
        if surplus:
            raise _unreadable(cls.kind, f"fields {', '.join(list(known)[1:]) or 'none'}", f"also {', '.join(surplus)}")
        return reader


def output(outputs: Outputs, name: str, shape: tuple[int | None, ...]) -> Array:
    """One of the outputs, of a given shape.

    Args:
        outputs: by name.
        name: which one.
        shape: the length of each axis; None: any.

    Raises:
        ShapeError: if there is none of this name, or it has another shape.
    """
    wanted = "[" + ", ".join("?" if side is None else str(side) for side in shape) + "]"
    if name not in outputs:
        raise ShapeError(
            f"the network has no output {name}",
            expected=f"{name} {wanted}",
            got=", ".join(sorted(outputs)) or "nothing",
        )
    array = outputs[name]
    fits = len(array.shape) == len(shape) and all(
        side is None or side == length for side, length in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise ShapeError(f"the network's output {name} has another shape", expected=wanted, got=str(list(array.shape)))
    return array


def numbered(count: int) -> tuple[str, ...]:
    """The names of K classes that only the task knows: "0", "1" ..."""
    return tuple(str(k) for k in range(count))


def _surplus(values: Any, known: Any) -> list[str]:
    """The names in a tree of plain values that the other tree does not have."""
    if not isinstance(values, Mapping) or not isinstance(known, Mapping):
        return []
    return [name for name in values if name not in known] + [
        f"{name}.{inner}" for name in values if name in known for inner in _surplus(values[name], known[name])
    ]


def _unreadable(kind: str, expected: str, got: str) -> WeightsError:
    return WeightsError(
        f"the file says in a way that cannot be read how outputs of kind {kind} become answers",
        expected=expected,
        got=got,
        remedy="export the model again with this version",
    )
