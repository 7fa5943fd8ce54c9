"""How books train their small networks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from visus.data.augmentation.settings import Augmentation
from visus.engine.recipe import Optimizer, Recipe
from visus.recipes.sources import by_field

_RMSPROP_KERAS = {"name": "rmsprop", "alpha": 0.9, "momentum": 0.0, "eps": 1e-7}  # Keras's defaults (rho, epsilon)
_CHOLLET = "Chollet, Deep Learning with Python"
_DEFAULTS = "Keras's defaults"
_LAST = "no listing chooses among the epochs: the last weights"


def _cats_dogs(generator: str, compiling: str, fitting: str) -> dict[str, str]:
    return {
        **dict.fromkeys(("batch_size", "size", "fit", "augmentation"), generator),
        "optimizer": compiling,
        "epochs": fitting,
        **by_field({_DEFAULTS: "optimizer.alpha optimizer.momentum optimizer.eps schedule", _LAST: "keep"}),
    }


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "mnist-cnn": Recipe(
            source=f"{_CHOLLET}, listing 5.3",
            sources=by_field(
                {
                    "listing 5.3": "epochs batch_size optimizer augmentation",
                    _DEFAULTS: "optimizer.lr optimizer.alpha optimizer.momentum optimizer.eps schedule",
                    _LAST: "keep",
                }
            ),
            missing=(),
            keep="last",
            epochs=5,
            batch_size=64,
            optimizer=Optimizer(lr=1e-3, **_RMSPROP_KERAS),
            channels_last=False,
        ),
        "mnist-dense": Recipe(
            source=f"{_CHOLLET}, listings 2.3 to 2.5",
            sources=by_field(
                {
                    "listings 2.3 to 2.5": "epochs batch_size optimizer augmentation",
                    _DEFAULTS: "optimizer.lr optimizer.alpha optimizer.momentum optimizer.eps schedule",
                    _LAST: "keep",
                }
            ),
            missing=(),
            keep="last",
            epochs=5,
            batch_size=128,
            optimizer=Optimizer(lr=1e-3, **_RMSPROP_KERAS),
            channels_last=False,
        ),
        "cats-dogs": Recipe(
            source=f"{_CHOLLET}, listings 5.5 to 5.8",
            sources=_cats_dogs("listing 5.7", "listing 5.6", "listing 5.8"),
            missing=(),
            keep="last",
            epochs=30,
            batch_size=20,
            size=(150, 150),
            fit="stretch",
            optimizer=Optimizer(lr=1e-4, **_RMSPROP_KERAS),
        ),
        "cats-dogs-augmented": Recipe(
            source=f"{_CHOLLET}, listings 5.11 to 5.14 (shear 0.2 is degrees in Keras)",
            sources={
                **_cats_dogs("listing 5.14", "listing 5.13", "listing 5.14"),
                "augmentation": "listings 5.11 and 5.14",
                "model_options": "listing 5.13",
            },
            missing=(),
            keep="last",
            epochs=100,
            batch_size=32,
            size=(150, 150),
            fit="stretch",
            optimizer=Optimizer(lr=1e-4, **_RMSPROP_KERAS),
            augmentation=Augmentation(rotation=40, shift=0.2, shear=0.2, zoom=0.2, mirror=0.5, border="nearest"),
            model_options={"dropout": 0.5},
        ),
        "cats-dogs-frozen": Recipe(
            source=f"{_CHOLLET}, listings 5.20 and 5.21: a new head on a fixed VGG-16",
            sources={**_cats_dogs("listing 5.21", "listing 5.21", "listing 5.21"), "freeze": "listing 5.20"},
            missing=("the hidden layer of 256 units in the book's head, which a published VGG-16 has not",),
            keep="last",
            epochs=30,
            batch_size=20,
            size=(150, 150),
            fit="stretch",
            optimizer=Optimizer(lr=2e-5, **_RMSPROP_KERAS),
            augmentation=Augmentation(rotation=40, shift=0.2, shear=0.2, zoom=0.2, mirror=0.5, border="nearest"),
            freeze="backbone",
        ),
        "cats-dogs-finetune": Recipe(
            source=f"{_CHOLLET}, listings 5.22 and 5.23: then, from the weights of cats-dogs-frozen, at a low rate",
            sources=_cats_dogs("listing 5.21", "listing 5.23", "listing 5.23"),
            missing=(
                "all but the last three convolutions staying fixed: here all layers learn",
                "the hidden layer of 256 units in the book's head",
            ),
            keep="last",
            epochs=100,
            batch_size=20,
            size=(150, 150),
            fit="stretch",
            optimizer=Optimizer(lr=1e-5, **_RMSPROP_KERAS),
            augmentation=Augmentation(rotation=40, shift=0.2, shear=0.2, zoom=0.2, mirror=0.5, border="nearest"),
        ),
        "convnetjs-cifar": Recipe(
            source="ConvNetJS's CIFAR-10 demo: Adadelta, mirrors, shifts of up to 2 pixels",
            sources=by_field(
                {
                    "the demo's trainer: method, batch_size and l2_decay": "batch_size optimizer schedule",
                    "the library's trainer: ro and eps": "optimizer.alpha optimizer.eps",
                    "the demo's sampling of training images": "augmentation",
                    "not printed: it runs until its page is closed; 20 here": "epochs",
                    "it shows the network as it stands: the last weights": "keep",
                }
            ),
            missing=(),
            keep="last",
            epochs=20,
            batch_size=4,
            optimizer=Optimizer(name="adadelta", lr=1.0, alpha=0.95, eps=1e-6, weight_decay=1e-4),
            augmentation=Augmentation(random_crop=True, short_side=(32, 32), pad=2, mirror=0.5),
        ),
    }
)
"""Name -> recipe."""
