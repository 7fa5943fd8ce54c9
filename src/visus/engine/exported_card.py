"""The card of an exported file: what its network takes and gives, and how that is read. Loads no torch.

It stands in the file's metadata, one JSON document under the name ``visus``, so that one file is enough. Every field is
checked before it becomes a shape, a size or a setting.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from visus.engine.model_card import LONGEST_SIDE, ModelInfo
from visus.errors import ShapeError, TaskMismatchError, WeightsError
from visus.files.plain_values import parse_json
from visus.structures.task_cards import task_card

ENTRY = "visus"
"""The name of the metadata entry that holds the card."""

FORMAT = 1
"""Of the card; a later format is refused by an earlier visus."""

PRECISIONS = ("float32", "float16", "bfloat16", "int8")
INPUT = "images"
"""The name of the network's only input, [N,C,H,W] float32, normalised."""

_MOST_OUTPUTS = 64
_LONGEST_TEXT = 10_000


@dataclass(frozen=True, slots=True)
class ExportedInput:
    """Which images the exported network takes.

    Args:
        size: (height, width) of every input; None: ``smallest``, and sides that are longer by multiples of
            ``multiple``.
        batch: how many images it takes at a time; None: any number.
        multiple: in pixels, where the size is free.
        smallest: (height, width), where the size is free.
        name: of the input.
    """

    size: tuple[int, int] | None
    batch: int | None = None
    multiple: int = 1
    smallest: tuple[int, int] = (1, 1)
    name: str = INPUT

    def fitting(self, size: tuple[int, int]) -> tuple[int, int]:
        """The smallest (height, width) that the network takes and that is not smaller than ``size``, if there is one;
        else the only one."""
        if self.size is not None:
            return self.size
        height, width = (
            least + max(-(-(side - least) // self.multiple), 0) * self.multiple
            for side, least in zip(size, self.smallest, strict=True)
        )
        return height, width

    def require(self, size: tuple[int, int]) -> None:
        """Raises ShapeError, which names the next size that fits, unless the network takes (height, width)."""
        if self.fitting(size) != tuple(size):
            height, width = self.fitting(size)
            remedy = f"scale or pad the images to {height} x {width}"
            if self.size is not None:
                remedy += ", or export the model for this size: visus export RUN --size HEIGHTxWIDTH"
            raise ShapeError(
                "the exported network does not take images of this size",
                expected=f"{height} x {width} pixels (height x width)",
                got=f"{size[0]} x {size[1]}",
                remedy=remedy,
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a free batch is "dynamic", a free size "any"."""
        return {
            "name": self.name,
            "batch": "dynamic" if self.batch is None else self.batch,
            "size": "any" if self.size is None else list(self.size),
            "multiple": self.multiple,
            "smallest": list(self.smallest),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ExportedInput:
        """The inverse of :meth:`to_dict`; the values are checked already."""
        size, batch = values["size"], values["batch"]
        return cls(
            size=None if size == "any" else (size[0], size[1]),
            batch=None if batch == "dynamic" else batch,
            multiple=values["multiple"],
            smallest=(values["smallest"][0], values["smallest"][1]),
            name=values["name"],
        )


@dataclass(frozen=True, slots=True)
class ExportedCard:
    """What an exported file says of itself.

    Args:
        info: the card of the model that was exported: task, classes, preprocessing, answer settings ...
        reader: how the outputs become answers, as ``visus.answers.table.reader_from`` takes it.
        outputs: the name of each output, in the file's order, and what it means.
        input: the images that the network takes.
        opset: of the ONNX operators.
        weights_sha256: of the model file that was exported, or of the values of a network without a file.
        precision: of the weights and of what is computed: one of :data:`PRECISIONS`.
        check: what the comparison with the network in PyTorch gave: plain values.
        visus_version: that wrote the file.
    """

    info: ModelInfo
    reader: Mapping[str, Any]
    outputs: Mapping[str, str]
    input: ExportedInput
    opset: int
    weights_sha256: str
    precision: str = "float32"
    check: Mapping[str, Any] = field(default_factory=dict)
    visus_version: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "format": FORMAT,
            "visus_version": self.visus_version,
            "model": self.info.to_dict(),
            "reader": dict(self.reader),
            "outputs": [{"name": name, "meaning": meaning} for name, meaning in self.outputs.items()],
            "input": self.input.to_dict(),
            "precision": self.precision,
            "opset": self.opset,
            "weights_sha256": self.weights_sha256,
            "check": dict(self.check),
        }

    def to_metadata(self) -> dict[str, str]:
        """The metadata entry of an exported file: JSON of ASCII letters, which every tool keeps as they are."""
        return {ENTRY: json.dumps(self.to_dict(), allow_nan=False, separators=(",", ":"))}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], source: str = "the file") -> ExportedCard:
        """Reads the metadata of an exported file.

        Args:
            metadata: name -> text, as a runtime gives it.
            source: the name of the file, for messages.

        Raises:
            WeightsError: if visus did not write the file, a newer one did, or the card is damaged.
        """
        if ENTRY not in metadata:
            raise WeightsError(
                f"{source} was not exported by visus: it does not say what its outputs mean",
                expected=f"the metadata entry {ENTRY}",
                got=f"the entries {', '.join(sorted(metadata)[:5])}"[:300] if metadata else "no metadata",
                remedy="export it with: visus export RUN",
            )
        values = parse_json(metadata[ENTRY], source, "the card of an exported model", WeightsError)
        if not isinstance(values, dict):
            raise _wrong(source, "format", "the fields of a card", type(values).__name__)
        number = values.get("format")
        if type(number) is int and number > FORMAT:
            raise WeightsError(
                f"{source} was exported by a newer visus",
                expected=f"format {FORMAT} or older",
                got=f"format {number} of visus {str(values.get('visus_version'))[:50]}",
                remedy="pip install --upgrade visus",
            )
        for name, (is_right, wanted) in _FIELDS.items():
            if name not in values:
                raise _wrong(source, name, wanted, "nothing")
            if not is_right(values[name]):
                raise _wrong(source, name, wanted, values[name])
        for name in values:
            if name not in _FIELDS:
                raise _wrong(source, str(name), f"one of {', '.join(_FIELDS)}", "a field that no card has")
        return cls(
            info=_info(values["model"], source),
            reader=values["reader"],
            outputs={output["name"]: output["meaning"] for output in values["outputs"]},
            input=ExportedInput.from_dict(values["input"]),
            opset=values["opset"],
            weights_sha256=values["weights_sha256"],
            precision=values["precision"],
            check=values["check"],
            visus_version=values["visus_version"],
        )

    def require_graph(
        self,
        inputs: Mapping[str, Sequence[int | str | None]],
        outputs: Sequence[str],
        source: str = "the file",
    ) -> None:
        """Raises WeightsError unless the graph of the file has the input and the outputs that the card names.

        Args:
            inputs: name -> shape, with a text or None for every free dimension.
            outputs: the names, in any order.
            source: the name of the file.
        """
        wanted = (self.input.batch, self.info.in_channels, *(self.input.size or (None, None)))
        shape = inputs.get(self.input.name)
        fits = shape is not None and [side if isinstance(side, int) else None for side in shape] == list(wanted)
        if len(inputs) != 1 or not fits:
            raise WeightsError(
                f"{source} takes another input than its card says",
                expected=f"one input, {self.input.name} {_shape(wanted)}",
                got=", ".join(f"{name} {_shape(sides)}" for name, sides in list(inputs.items())[:5]) or "no input",
                remedy="export the model again; the file was changed by something else",
            )
        if set(outputs) != set(self.outputs):
            raise WeightsError(
                f"{source} gives other outputs than its card says",
                expected=", ".join(self.outputs),
                got=", ".join(list(outputs)[:10]) or "no output",
                remedy="export the model again; the file was changed by something else",
            )


def _info(values: Mapping[str, Any], source: str) -> ModelInfo:
    try:
        info = ModelInfo.from_dict(values)
    except WeightsError as error:
        raise WeightsError(
            f"{source}: {error.problem}", expected=error.expected, got=error.got, remedy=error.remedy
        ) from None
    try:
        task_card(info.task)
    except TaskMismatchError as error:
        raise WeightsError(
            f"{source}: {error.problem}",
            expected=error.expected,
            got=error.got,
            remedy="install the package that adds the task, or a newer visus",
        ) from None
    return info


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT


def _is_number(value: Any, most: int) -> bool:
    return type(value) is int and 1 <= value <= most


def _is_size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_is_number(side, LONGEST_SIDE) for side in value)


def _are_outputs(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 1 <= len(value) <= _MOST_OUTPUTS
        and all(isinstance(one, dict) and set(one) == {"name", "meaning"} for one in value)
        and all(_is_text(one["name"]) and one["name"] and _is_text(one["meaning"]) for one in value)
        and len({one["name"] for one in value}) == len(value)
    )


def _is_input(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"name", "batch", "size", "multiple", "smallest"}
        and _is_text(value["name"])
        and (value["batch"] == "dynamic" or _is_number(value["batch"], 1 << 20))
        and (value["size"] == "any" or _is_size(value["size"]))
        and _is_number(value["multiple"], LONGEST_SIDE)
        and _is_size(value["smallest"])
    )


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


_FIELDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "format": (lambda value: _is_number(value, FORMAT), f"a number within 1..{FORMAT}"),
    "visus_version": (_is_text, "a version"),
    "model": (lambda value: isinstance(value, dict), "the card of a model"),
    "reader": (
        lambda value: isinstance(value, dict) and _is_text(value.get("kind")),
        "settings with the kind of the outputs' reader",
    ),
    "outputs": (_are_outputs, f"1 to {_MOST_OUTPUTS} different names, each with its meaning"),
    "input": (
        _is_input,
        'name, batch ("dynamic" or a number), size ("any" or [height, width]), multiple, and smallest [height, width]',
    ),
    "precision": (lambda value: value in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
    "opset": (lambda value: _is_number(value, 1000), "a number of an ONNX opset"),
    "weights_sha256": (_is_digest, "64 hexadecimal digits"),
    "check": (lambda value: isinstance(value, dict), "what the check gave, by name"),
}


def _shape(sides: Sequence[int | str | None]) -> str:
    return "[" + ", ".join(str(side) if isinstance(side, int) else "any" for side in sides) + "]"


def _wrong(source: str, name: str, wanted: str, got: Any) -> WeightsError:
    text = got if isinstance(got, str) else repr(got)
    return WeightsError(
        f"{source}: the card's field {name[:200]} cannot be used",
        expected=wanted[:500],
        got=text if len(text) <= 200 else f"{text[:200]} ...",
        remedy="export the model again; the file was made or changed by something else",
    )
