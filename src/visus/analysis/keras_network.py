"""Keras's networks as torch modules, so that they can be run and judged as those are."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visus.errors import UsageError

LEFT_OUT = ("Normalization", "Rescaling")
"""What some of Keras's networks do to the pixels, and ours leave to their preprocessing."""

SHOWN = ("activation", "pool_size", "strides", "padding", "max_value", "negative_slope")
"""The settings by which a layer of Keras is described."""


def build_keras_network(name: str, size: tuple[int, int, int], classes: int | None) -> nn.Module:
    """A network of ``keras.applications`` with random weights, giving logits of normalised images [N,C,H,W].

    Layers that prepare the pixels are left out. Keras computes with torch here, in double precision, and with channels
    first where the network can have them so.

    Args:
        name: such as "ResNet50", in any case.
        size: (C,H,W) of the images.
        classes: how many it tells apart; None for its own number.

    Raises:
        UsageError: if Keras computes with something else already, or has no such network, or not with torch.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "torch"
    import keras

    if keras.config.backend() != "torch":
        raise UsageError(
            "Keras's networks can only be compared where Keras computes with torch",
            expected="the backend torch",
            got=keras.config.backend(),
            remedy="set KERAS_BACKEND=torch before Keras is imported",
        )
    builders = {key.lower(): value for key, value in vars(keras.applications).items() if callable(value)}
    if name.lower() not in builders:
        raise UsageError(f"keras.applications has no network {name}", expected=", ".join(sorted(builders)), got=name)
    options = {} if classes is None else {"classes": classes}
    refusals = []
    for layout in ("channels_first", "channels_last"):
        shape = size if layout == "channels_first" else (*size[1:], size[0])
        try:
            with _settings_of(keras, layout):
                model = builders[name.lower()](weights=None, input_shape=shape, classifier_activation=None, **options)
            return KerasNetwork(model, layout)
        except ValueError as error:
            refusals.append(str(error).splitlines()[0])
    raise UsageError(f"Keras does not build {name} for an input of {'x'.join(map(str, size))}", got=refusals[-1])


class KerasNetwork(nn.Module):
    """A model of Keras, built in double precision, as a module of torch.

    [N,C,H,W] -> what the model gives. Its weights are parameters, and each of its layers is a module that runs when the
    layer does.

    Args:
        model: a ``keras.Model``.
        layout: "channels_first" or "channels_last", as it was built.
    """

    def __init__(self, model: Any, layout: str) -> None:
        super().__init__()
        self.layout = layout
        self.model = (
            model,
        )  # in a tuple, as it is a module of torch, too, whose parameters are not those that it uses
        self.weights = nn.ParameterList([weight.value for weight in model.weights])
        for layer in model.layers:
            self.add_module(_key(layer), _Layer(layer))

    def forward(self, images: Tensor) -> Any:
        import keras
        from keras.src.backend import torch as keras_torch

        (model,) = self.model
        before = [weight._value for weight in model.weights]
        try:
            for weight, value in zip(model.weights, self.weights, strict=True):
                weight._value = value
            with (
                _settings_of(keras, self.layout),
                _replaced(keras_torch.nn, "batch_normalization", _batch_normalization),
                _replaced(keras.layers.Layer, "__call__", self._called(keras.layers.Layer.__call__)),
            ):
                return model(images if self.layout == "channels_first" else images.permute(0, 2, 3, 1), training=False)
        finally:
            for weight, value in zip(model.weights, before, strict=True):
                weight._value = value

    def _called(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(layer: Any, *args: Any, **kwargs: Any) -> Any:
            if type(layer).__name__ in LEFT_OUT:
                return args[0]
            if type(layer).__name__ == "ZeroPadding2D" and self.layout == "channels_last":
                (above, below), (left, right) = layer.padding  # padded as torch's layers see it
                return F.pad(args[0].permute(0, 3, 1, 2), (left, right, above, below)).permute(0, 2, 3, 1)
            named = self._modules.get(_key(layer))
            return named(call, layer, *args, **kwargs) if named else call(layer, *args, **kwargs)

        return called


class _Layer(nn.Module):
    """Runs while a layer of Keras runs, and is called like it."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.kind = type(layer).__name__
        config = layer.get_config()
        self.words = ", ".join(f"{name}={config[name]}" for name in SHOWN if config.get(name) is not None)

    def forward(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return call(*args, **kwargs)

    def _get_name(self) -> str:
        return self.kind

    def extra_repr(self) -> str:
        return self.words


def _key(layer: Any) -> str:
    name = str(layer.name).replace(".", "_")
    return f"{name}_" if name in ("weights", "model") else name


@contextmanager
def _settings_of(keras: Any, order: str) -> Iterator[None]:
    """Context: Keras has this order of axes, and computes in double precision on the CPU."""
    from keras.src.backend.common import dtypes

    layout, precision = keras.config.image_data_format(), keras.config.floatx()
    keras.config.set_image_data_format(order)
    keras.config.set_floatx("float64")
    # Without this, what torch computes in double precision becomes single precision in sums, means and products.
    kept = {**dtypes.BIT64_TO_BIT32_DTYPE, "float64": "float64"}
    try:
        with _replaced(dtypes, "BIT64_TO_BIT32_DTYPE", kept), keras.device("cpu"):
            yield
    finally:
        keras.config.set_image_data_format(layout)
        keras.config.set_floatx(precision)


@contextmanager
def _replaced(where: Any, name: str, value: Any) -> Iterator[None]:
    """Context: an attribute has another value."""
    before = getattr(where, name)
    setattr(where, name, value)
    try:
        yield
    finally:
        setattr(where, name, before)


def _batch_normalization(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    axis: int,
    offset: Tensor | None = None,
    scale: Tensor | None = None,
    epsilon: float = 1e-3,
) -> Tensor:
    """One operator of torch where Keras takes the operation apart."""
    x = F.batch_norm(torch.movedim(x, axis, 1), mean, variance, scale, offset, False, 0.0, epsilon)
    return torch.movedim(x, 1, axis)
