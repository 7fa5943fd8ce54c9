"""Recipes: all settings of a training as data, which are saved, loaded and changed by ``field=value``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from visus.data.augmentation.settings import Augmentation, Pixels
from visus.errors import RecipeError
from visus.files.plain_values import read_yaml
from visus.tasks.options import LossOptions

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]

_WORDS: Mapping[Any, str] = MappingProxyType(
    {int: "whole number", float: "number", bool: "true | false", str: "text", NoneType: "none"}
)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Optimizer(_Part):
    """The settings of the optimiser."""

    name: Literal["sgd", "adam", "adamw", "rmsprop", "rmsprop_tf", "adadelta"] = Field(
        "sgd", description="update rule; rmsprop_tf is TensorFlow's, with eps under the root"
    )
    lr: Positive = Field(0.01, description="learning rate at reference_batch_size (or at batch_size without one)")
    momentum: Share = Field(0.9, description="of sgd, rmsprop and rmsprop_tf")
    momentum_from: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="momentum of the first epoch, from which it rises in a line; none: momentum all the time"
    )
    momentum_epochs: Annotated[int, Field(ge=1)] = Field(1, description="epochs over which it rises from momentum_from")
    nesterov: bool = Field(False, description="Nesterov's form of momentum (sgd)")
    weight_decay: NonNegative = Field(0.0, description="L2 penalty (decoupled in adamw)")
    decay_norm_and_bias: bool = Field(True, description="apply weight_decay to BatchNorm and biases too")
    no_decay: tuple[Literal["prelu", "depthwise"], ...] = Field(
        (), description="further weights without weight_decay: slopes of PReLU, depthwise convolutions"
    )
    betas: tuple[Decay, Decay] = Field((0.9, 0.999), description="of adam and adamw")
    alpha: Share = Field(0.99, description="smoothing of the squares in rmsprop, rmsprop_tf and adadelta")
    eps: Positive = Field(1e-8, description="added to the denominator (rmsprop_tf, adadelta: under its root)")
    bias_lr: NonNegative = Field(1.0, description="factor of the learning rate for biases (Caffe's networks: 2)")
    backbone_lr: NonNegative = Field(1.0, description="factor of the learning rate for all but the head")
    rates: dict[str, NonNegative] = Field(
        {}, description="further factors of the learning rate, by what parameters' names begin with"
    )


class Schedule(_Part):
    """The settings of the learning rate over the training."""

    name: Literal["constant", "cosine", "steps", "exponential", "polynomial", "plateau"] = Field(
        "constant", description="shape"
    )
    warmup_epochs: NonNegative = Field(0.0, description="warm-up, over this many epochs")
    warmup: Literal["linear", "constant", "polynomial"] = Field(
        "linear",
        description="rise from warmup_from, stay at it, or rise by the exponent warmup_power (Darknet's burn-in)",
    )
    warmup_power: Positive = Field(4.0, description="exponent of the polynomial warm-up; Darknet's is 4")
    warmup_from: Share = Field(0.0, description="share of the learning rate at which the warm-up begins")
    milestones: tuple[NonNegative, ...] = Field((), description="epochs after which steps multiplies by gamma")
    gamma: Positive = Field(0.1, description="factor of steps (a milestone), exponential (every) and plateau")
    every: Positive = Field(1.0, description="epochs over which exponential falls by gamma")
    staircase: bool = Field(False, description="exponential falls at the end of every only, not with each step")
    power: Positive = Field(1.0, description="exponent of polynomial; 1 falls in a straight line")
    patience: Annotated[int, Field(ge=0)] = Field(5, description="epochs without a better score before plateau acts")
    most_drops: Annotated[int, Field(ge=1)] | None = Field(None, description="how often plateau acts; none: any number")
    fall_epochs: Positive | None = Field(
        None, description="epochs of the training after which cosine and polynomial end; none: at its end"
    )
    final: Share = Field(0.0, description="share of the learning rate at which cosine and polynomial end")


class RegionFits(_Part):
    """The settings of what is fitted to the features of regions after a training (R-CNN, SPP-net)."""

    svm_c: Positive = Field(0.001, description="C of the linear SVMs: the weight of their losses")
    svm_positive_weight: Positive = Field(2.0, description="weight of positive examples, to that of negative ones")
    svm_bias: Positive = Field(10.0, description="constant feature whose weight is the bias")
    svm_negative: Share = Field(0.3, description="regions that overlap a class's objects by less are its negatives")
    box_penalty: Positive = Field(1000.0, description="ridge penalty of the boxes' regressions (lambda)")
    box_overlap: Share = Field(0.6, description="regions that overlap an object by more learn its box")
    mean_norm: Positive = Field(20.0, description="mean norm that features are scaled to")


class Recipe(_Part):
    """All settings of a training."""

    source: str = Field("", description="where these values come from: a paper's section, or a measurement")
    sources: dict[str, str] = Field(
        {}, description="by field or part: where its value is printed, or that it is printed nowhere"
    )
    missing: tuple[str, ...] | None = Field(
        None, description="what the training of the source has and this one has not; none: not stated"
    )
    epochs: Annotated[int, Field(ge=1, le=10**9)] = Field(20, description="passes over the training images")
    batch_size: Annotated[int, Field(ge=1, le=10**9)] = Field(32, description="images a step, over all processes")
    reference_batch_size: Annotated[int, Field(ge=1, le=10**9)] | None = Field(
        None, description="the batch size that lr is stated for; lr is scaled in proportion to the real one"
    )
    accumulate: Annotated[int, Field(ge=1, le=10**9)] = Field(1, description="batches whose gradients make one step")
    size: tuple[Pixels, Pixels] | None = Field(None, description="input (height, width); none: the model's own")
    fit: Literal["stretch", "crop", "letterbox", "shorter_side", "none"] | None = Field(
        None,
        description="how an image is brought to that size (shorter_side: the smaller number is that side's, the larger "
        "one the most of the other); none: the model's own way",
    )
    channels: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        None,
        description="of the input; none: those of the images. Other than 1 or 3: TIFFs of so many grey pages fit too",
    )
    value_range: tuple[tuple[int, int], ...] | Literal["file"] | None = Field(
        None,
        description="stored values that become black and white, where images have more than 8 bits: one [low, high], "
        "one for each channel, or file for each file's own; none: 0 .. 2^b - 1, the least that holds 99.9 % of them",
    )
    optimizer: Optimizer = Field(Optimizer(), description="update rule")
    schedule: Schedule = Field(Schedule(), description="learning rate over time")
    augmentation: Augmentation = Field(Augmentation(), description="random changes of training images")
    loss: LossOptions = Field(LossOptions(), description="choices inside the loss")
    model_options: dict[str, Any] = Field({}, description="keyword arguments of the model's builder")
    proposals: Annotated[int, Field(ge=1, le=10**6)] | None = Field(
        None, description="region proposals of an image, for a network that makes none; none: the model's own number"
    )
    regions: RegionFits = Field(RegionFits(), description="what is fitted to regions afterwards (R-CNN, SPP-net)")
    freeze: Literal["none", "batchnorm", "backbone"] = Field(
        "none",
        description="what stays as loaded: (the backbone's) BatchNorm statistics and scales, or all but the head",
    )
    frozen: tuple[str, ...] = Field(
        (), description="further parts that stay as loaded, by what the names of their parameters begin with"
    )
    freeze_epochs: Annotated[int, Field(ge=0)] | None = Field(
        None, description="thaw what freeze and frozen keep after this many epochs; none: never"
    )
    precision: Literal["float32", "auto", "bfloat16", "float16"] = Field(
        "float32",
        description="arithmetic of forward passes; auto: bfloat16 where the device computes it itself, else float32",
    )
    channels_last: bool = Field(True, description="memory layout of images and convolutions")
    clip_norm: Positive | None = Field(None, description="largest L2 norm of all gradients together")
    filter_rms: Positive | None = Field(
        None, description="each convolution's filters are scaled back to this root mean square after a step"
    )
    max_norms: dict[str, Positive] = Field(
        {},
        description="largest L2 norm of each unit's incoming weights (a filter, a row of a linear layer), by what the "
        "layer's name begins with; longer ones are scaled back after a step",
    )
    keep_zeros: bool = Field(
        False,
        description="weights of convolutions and dense layers that are zero at the start stay zero, and dropout falls "
        "with the root of the share of the others (visus prune)",
    )
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="decay of averaged weights; 0: none")
    early_stopping: Annotated[int, Field(ge=1)] | None = Field(
        None, description="stop after this many epochs without a better validation score"
    )
    keep: Literal["best", "last"] = Field(
        "best", description="weights that the training ends with: of the epoch with the best score, or of the last one"
    )
    evaluate_every: Annotated[int, Field(ge=1)] = Field(
        1, description="epochs between validations; more than epochs, with keep=last: no validation"
    )
    checkpoint_seconds: NonNegative = Field(
        60.0, description="largest time between checkpoints; each epoch makes one too"
    )
    on_nan: Literal["stop", "recover"] = Field(
        "stop", description="at a loss that is not finite: stop, or skip, restore and halve the learning rate"
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        0, description="of initial weights, order, augmentation and dropout"
    )

    @field_validator("value_range", mode="before")
    @classmethod
    def _one_range_for_all(cls, value: Any) -> Any:
        """Reads [low, high] as [[low, high]]: one range for all channels."""
        flat = isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(end, int) for end in value)
        return [value] if flat else value

    @field_validator("value_range")
    @classmethod
    def _of_16_bits(cls, value: Any) -> Any:
        for low, high in value if isinstance(value, tuple) else ():
            if not 0 <= low < high <= 65535:
                raise ValueError(f"a range must rise from low to high within 0..65535, got {low}..{high}")
        return value

    def with_changes(self, changes: Sequence[str] | Mapping[str, Any]) -> Recipe:
        """Returns a copy with changed fields.

        Args:
            changes: "field=value" texts with dots into parts ("optimizer.lr=0.01", values as YAML), or a mapping of
                such names to values.

        Raises:
            RecipeError: if a field does not exist or cannot take the value.
        """
        values = self.model_dump()
        for name, value in named_changes(changes).items():
            *path, last = name.split(".")
            part: Any = values
            known: Any = self
            for step in path:
                if not isinstance(part, dict) or step not in part:
                    raise _unknown_field(name, known)
                part = part[step]
                known = getattr(known, step, known)
            is_open = path == ["model_options"]
            if not isinstance(part, dict) or (last not in part and not is_open):
                raise _unknown_field(name, known)
            part[last] = value
            if self.sources and name != "sources":
                stated = {key: text for key, text in values["sources"].items() if not key.startswith(f"{name}.")}
                values["sources"] = {**stated, name: "changed"}
        return Recipe.from_dict(values)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Makes a recipe of plain values.

        Raises:
            RecipeError: if a field does not exist or cannot take its value.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            if first["type"] == "extra_forbidden":
                raise _unknown_field(name, cls()) from None
            raise RecipeError(
                f"recipe field {name} cannot take this value",
                expected=_EXPECTED.get(first["type"], first["msg"].removeprefix("Input should be ")),
                got=repr(first["input"])[:200],
                remedy="see every field with: visus train DATA --show-recipe",
            ) from None

    @classmethod
    def load(cls, path: Path) -> Recipe:
        """Loads a recipe from a YAML file; raises RecipeError if the file is not a recipe."""
        values = read_yaml(path, expected="a recipe: a YAML mapping of fields", error=RecipeError)
        if not isinstance(values, dict):
            raise RecipeError(f"{path} is not a recipe", expected="a YAML mapping of fields", got=type(values).__name__)
        return cls.from_dict(values)

    def source_of(self, field: str) -> str:
        """Where the value of a field is printed: what ``sources`` says of it, or of the part that it belongs to."""
        while field and field not in self.sources:
            field = field.rpartition(".")[0]
        return self.sources.get(field, "")

    def save(self, path: Path) -> None:
        """Writes every field to a YAML file."""
        path.write_text(yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False), encoding="utf-8")

    def fields(self) -> Iterator[tuple[str, str, Any, str]]:
        """Yields (name, type, value, description) of every field, such as "optimizer.lr"."""
        yield from _fields(self, "")


ABOUT = ("source", "sources", "missing")
"""The fields that tell of a recipe and change no training."""

_EXPECTED = {
    "model_type": "one of its own fields, as in optimizer.name=adamw",
    "tuple_type": "a list, such as [224, 224]",
    "int_parsing": "a whole number",
    "float_parsing": "a number",
    "bool_parsing": "true or false",
    "finite_number": "a finite number",
}
"""Plain words in place of pydantic's error types."""


def named_changes(changes: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Reads "field=value" texts into a dict by the field's name; raises RecipeError if a text has no such form."""
    return dict(_pairs(changes))


def _pairs(changes: Sequence[str] | Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(changes, Mapping):
        yield from changes.items()
        return
    for text in changes:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise RecipeError(
                "cannot read a --set option",
                expected="field=value",
                got=text,
                remedy="write --set optimizer.lr=0.001, without spaces around the = sign",
            )
        try:
            yield name.strip(), _number(yaml.safe_load(value))
        except yaml.YAMLError:
            raise RecipeError(f"cannot read the value of {name}", expected="a YAML value", got=value) from None


def _number(value: Any) -> Any:
    # YAML 1.1 reads "1e-3" as text, for want of a dot.
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _unknown_field(name: str, known: Any) -> RecipeError:
    import difflib

    names = [field for field, *_ in Recipe().fields()]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    return RecipeError(
        f"a recipe has no field {name}",
        expected=" or ".join(near) if near else "one of " + ", ".join(type(known).model_fields),
        got=name,
        remedy="see every field with: visus train DATA --show-recipe",
    )


def _fields(part: BaseModel, prefix: str) -> Iterator[tuple[str, str, Any, str]]:
    for name, info in type(part).model_fields.items():
        value = getattr(part, name)
        if isinstance(value, BaseModel):
            yield from _fields(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _type_name(info.annotation, info.metadata), value, info.description or ""


def _type_name(annotation: Any, limits: Sequence[Any] = ()) -> str:
    """Writes a type in words: "number > 0", "sgd | adam", "[number, number] or none"."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner_limits = [limit for extra in arguments[1:] for limit in getattr(extra, "metadata", (extra,))]
        return _type_name(arguments[0], inner_limits)
    if origin is Literal:
        return " | ".join(str(argument) for argument in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_type_name(argument, limits) for argument in arguments)
    if origin is tuple:
        inner = ("..." if argument is Ellipsis else _type_name(argument) for argument in arguments)
        return f"[{', '.join(inner)}]"
    name = _WORDS.get(annotation, "mapping" if origin is dict else str(annotation))
    signs = (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))
    bounds = [f"{sign} {getattr(limit, key):g}" for limit in limits for key, sign in signs if hasattr(limit, key)]
    return name if annotation is NoneType else " ".join([name, *([" and ".join(bounds)] if bounds else [])])
