"""The card of a model file, and the check of every field before it becomes a network, a shape or an index.

Loads no torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from visus.errors import WeightsError
from visus.structures.class_names import MOST_CLASSES
from visus.structures.preprocessing import Preprocessing, ProposalSettings

LONGEST_NAME = 10_000
MOST_CHANNELS = 4096
MOST_PROPOSALS = 1_000_000
LONGEST_SIDE = 16_384
"""Pixels of a network's input, along each side."""

Fault = tuple[str, str, Any]
"""(field, what it should be, what it is)."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The header of a model file: what its weights are, and how to use them.

    Args:
        task: the name of its card in ``visus.structures.task_cards``.
        model: the edition's full name, such as "resnet18@paper".
        backbone: the full name of a composition's backbone, "" for a network of one piece.
        classes: names of all K classes in the order of their ids.
        in_channels: channels of the network's input.
        options: the builder's keyword arguments beyond classes and channels.
        preprocessing: from a file's pixels to the network's input.
        metrics: {"val": {"accuracy": 0.99, ...}, ...}, fractions.
        recipe: every field of the training's recipe; empty when visus did not train it.
        data_fingerprint: of the data set that it was trained on.
        visus_version: that wrote the file.
        task_options: how the training data were read for the task, such as {"touching": "border"}.
        answer_settings: how the outputs are read, chosen on the validation images, such as
            {"thresholds": {"sea": 0.4}}.
        revision: of the model's edition (:attr:`visus.models.card.Card.revision`).
        backbone_revision: of the backbone's; 1 for a network of one piece.
        sparsity: the share of zeros among the weights of each layer, by its path, of a pruned network.
    """

    task: str
    model: str
    classes: tuple[str, ...]
    in_channels: int
    preprocessing: Preprocessing
    backbone: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    data_fingerprint: str = ""
    visus_version: str = ""
    task_options: Mapping[str, str] = field(default_factory=dict)
    answer_settings: Mapping[str, Any] = field(default_factory=dict)
    revision: int = 1
    backbone_revision: int = 1
    sparsity: Mapping[str, float] = field(default_factory=dict)

    @property
    def input_size(self) -> tuple[int, int] | None:
        """(height, width) of the network's input; None: the size of each file."""
        return self.preprocessing.size

    @property
    def example_size(self) -> tuple[int, int]:
        """(height, width) of a typical input: the network's, else the training's, else the paper's."""
        from visus.models.catalog import find

        trained_on = self.recipe.get("size")
        height, width = trained_on or find(self.model).input[1:]
        return self.input_size or (height, width)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return {**asdict(self), "preprocessing": self.preprocessing.to_dict(), "classes": list(self.classes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelInfo:
        """Reads the values of :meth:`to_dict`, also those that an earlier version wrote.

        Raises:
            WeightsError: if a field is missing, unknown, of another type, or out of its range.
        """
        return _checked(with_task_options(values))


def with_task_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns saved fields with "task_options", which replaces the field "touching" of earlier versions."""
    new = dict(values)
    touching = new.pop("touching", "")
    return {**new, "task_options": {"touching": touching}} if touching else new


def _checked(values: Mapping[str, Any]) -> ModelInfo:
    """Makes the card of plain values, as JSON has them.

    The types are those of the dataclass, taken strictly: no text stands for a list, no truth value for a number.
    """
    _require_known(values, ModelInfo, "")
    preprocessing = values.get("preprocessing")
    if isinstance(preprocessing, Mapping):
        _require_known(preprocessing, Preprocessing, "preprocessing.")
        if isinstance(proposals := preprocessing.get("proposals"), Mapping):
            _require_known(proposals, ProposalSettings, "preprocessing.proposals.")
    try:
        info = TypeAdapter(ModelInfo).validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "the card"
        wanted = first["msg"].removeprefix("Input should be ").lower()
        raise _wrong(name, wanted, first["input"] if first["type"] != "missing" else "nothing") from None
    for name, wanted, got in _faults(info):
        raise _wrong(name, wanted, got)
    return info


def _require_known(values: Mapping[str, Any], kind: type[Any], prefix: str) -> None:
    known = [one.name for one in fields(kind)]
    for name in values:
        if name not in known:
            raise _wrong(f"{prefix}{name}", f"one of {', '.join(known)}", "a field that no card has")


def _faults(info: ModelInfo) -> Iterator[Fault]:
    """What the types allow and a model does not."""
    for name in ("task", "model"):
        if not 0 < len(getattr(info, name)) <= LONGEST_NAME:
            yield name, "a name", getattr(info, name)
    if len(info.classes) > MOST_CLASSES or any(len(name) > LONGEST_NAME for name in info.classes):
        yield "classes", f"at most {MOST_CLASSES:,} names of at most {LONGEST_NAME:,} letters", len(info.classes)
    for name in ("revision", "backbone_revision"):
        if getattr(info, name) < 1:
            yield name, "1 or more", getattr(info, name)
    for name, share in info.sparsity.items():
        if not 0 <= share <= 1:
            yield f"sparsity.{name}", "a share within 0..1", share
    if not 1 <= info.in_channels <= MOST_CHANNELS:
        yield "in_channels", f"a number within 1..{MOST_CHANNELS}", info.in_channels
    if info.in_channels != info.preprocessing.channels:
        yield "preprocessing.channels", f"in_channels, {info.in_channels}", info.preprocessing.channels
    for part, wanted, got in _preprocessing_faults(info.preprocessing):
        yield f"preprocessing.{part}", wanted, got
    yield from _recipe_faults(info.recipe)


def _preprocessing_faults(way: Preprocessing) -> Iterator[Fault]:
    if way.size is None:
        if way.fit != "none":
            yield "size", f"two sides for the fit {way.fit}", None
    elif not _is_size(way.size):
        yield "size", f"[height, width], each within 1..{LONGEST_SIDE}", list(way.size)
    if not 0 < way.crop_fraction <= 1:
        yield "crop_fraction", "a share above 0, at most 1", way.crop_fraction
    if not (math.isfinite(way.scale) and way.scale > 0):
        yield "scale", "a finite number above 0", way.scale
    if not 0 <= way.fill <= 255:
        yield "fill", "a value within 0..255", way.fill
    for name, values in (("mean", way.mean), ("std", way.std)):
        if len(values) not in (1, way.channels) or not all(map(math.isfinite, values)):
            yield name, f"{way.channels} finite numbers, one a channel", list(values)
    if not all(value > 0 for value in way.std):
        yield "std", "numbers above 0", list(way.std)
    if isinstance(way.value_range, tuple):
        if len(way.value_range) not in (1, way.channels):
            yield "value_range", f"one [low, high], or {way.channels}", len(way.value_range)
        if not all(0 <= low < high <= 65535 for low, high in way.value_range):
            yield "value_range", "pairs that rise within 0..65535", list(way.value_range)
    if way.proposals is not None and not 1 <= way.proposals.count <= MOST_PROPOSALS:
        yield "proposals.count", f"a number within 1..{MOST_PROPOSALS}", way.proposals.count


def _recipe_faults(recipe: Mapping[str, Any]) -> Iterator[Fault]:
    """Of the few fields of a training's recipe that a prediction reads; others may be those of an earlier version."""
    size, batch = recipe.get("size"), recipe.get("batch_size", 1)
    if size is not None and not (isinstance(size, list) and len(size) == 2 and _is_size(size)):
        yield "recipe.size", f"[height, width], each within 1..{LONGEST_SIDE}", size
    if type(batch) is not int or not 1 <= batch <= 1 << 20:
        yield "recipe.batch_size", "a number of images", batch
    if not isinstance(recipe.get("channels_last", True), bool):
        yield "recipe.channels_last", "true or false", recipe["channels_last"]


def _is_size(sides: Sequence[Any]) -> bool:
    return all(type(side) is int and 1 <= side <= LONGEST_SIDE for side in sides)


def _wrong(name: str, wanted: str, got: Any) -> WeightsError:
    text = got if isinstance(got, str) else repr(got)
    return WeightsError(
        f"the card's field {name[:200]} cannot be used",
        expected=wanted[:500],
        got=text if len(text) <= 200 else f"{text[:200]} ...",
        remedy="take a model file that visus wrote; this one was made or changed by something else",
    )
