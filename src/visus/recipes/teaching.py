"""How books train their small networks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from visus.data.augmentation.settings import Augmentation
from visus.engine.recipe import Optimizer, Recipe

_RMSPROP_KERAS = {"name": "rmsprop", "alpha": 0.9, "momentum": 0.0, "eps": 1e-7}  # Keras's defaults (rho, epsilon)
_CHOLLET = "Chollet, Deep Learning with Python"

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "mnist-cnn": Recipe(
            source="Chollet, Deep Learning with Python, listing 5.3",
            epochs=5,
            batch_size=64,
            optimizer=Optimizer(lr=1e-3, **_RMSPROP_KERAS),
            channels_last=False,
        ),
        "mnist-dense": Recipe(
            source="Chollet, Deep Learning with Python, listings 2.3 to 2.5",
            epochs=5,
            batch_size=128,
            optimizer=Optimizer(lr=1e-3, **_RMSPROP_KERAS),
            channels_last=False,
        ),
        "cats-dogs": Recipe(
            source="Chollet, Deep Learning with Python, listings 5.5 to 5.8",
            epochs=30,
            batch_size=20,
            size=(150, 150),
            fit="stretch",
            optimizer=Optimizer(lr=1e-4, **_RMSPROP_KERAS),
        ),
        "cats-dogs-augmented": Recipe(
            source="Chollet, Deep Learning with Python, listings 5.11 to 5.14 (shear 0.2 is degrees in Keras)",
            epochs=100,
            batch_size=32,
            size=(150, 150),
            fit="stretch",
            optimizer=Optimizer(lr=1e-4, **_RMSPROP_KERAS),
            augmentation=Augmentation(rotation=40, shift=0.2, shear=0.2, zoom=0.2, mirror=0.5, border="nearest"),
            model_options={"dropout": 0.5},
        ),
        "cats-dogs-frozen": Recipe(
            source=f"{_CHOLLET}, listings 5.20 and 5.21: a new head on a fixed VGG-16; the book's head has a hidden "
            "layer of 256 units, which a published VGG-16 has not",
            epochs=30,
            batch_size=20,
            size=(150, 150),
            fit="stretch",
            optimizer=Optimizer(lr=2e-5, **_RMSPROP_KERAS),
            augmentation=Augmentation(rotation=40, shift=0.2, shear=0.2, zoom=0.2, mirror=0.5, border="nearest"),
            freeze="backbone",
        ),
        "cats-dogs-finetune": Recipe(
            source=f"{_CHOLLET}, listings 5.22 and 5.23: then, from the weights of cats-dogs-frozen, at a low rate; "
            "the book lets only the last three convolutions learn, here all layers do",
            epochs=100,
            batch_size=20,
            size=(150, 150),
            fit="stretch",
            optimizer=Optimizer(lr=1e-5, **_RMSPROP_KERAS),
            augmentation=Augmentation(rotation=40, shift=0.2, shear=0.2, zoom=0.2, mirror=0.5, border="nearest"),
        ),
        "convnetjs-cifar": Recipe(
            source="ConvNetJS's CIFAR-10 demo: Adadelta, mirrors, shifts of up to 2 pixels; how long, its page leaves "
            "open",
            epochs=20,
            batch_size=4,
            optimizer=Optimizer(name="adadelta", lr=1.0, alpha=0.95, eps=1e-6, weight_decay=1e-4),
            augmentation=Augmentation(random_crop=True, short_side=(32, 32), pad=2, mirror=0.5),
        ),
    }
)
"""Name -> recipe."""
