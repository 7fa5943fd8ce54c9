"""How the networks for small images were trained: maxout, NiN, All-CNN, FitNet and the deeply-supervised net."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from visus.data.augmentation.settings import Augmentation
from visus.engine.recipe import Optimizer, Recipe, Schedule
from visus.recipes.sources import LAST_BIASES, by_field

_WHITENED = (
    "global contrast normalisation and ZCA whitening of the images; here a mean and a deviation for each channel"
)
_NORMALISED = "global contrast normalisation of the images; here a mean and a deviation for each channel"
_FADING = "the paper's companions fade as the training goes on; the release leaves them out in its second part, as here"
_BY_EPOCH = "lowers the rate at the end of each epoch; here with each step"


def _maxout(name: str, *, rates: Mapping[str, float], norms: Mapping[str, float], **settings: Any) -> Recipe:
    """A recipe of pylearn2's scripts/papers/maxout; momentum rises from 0.5 over the first 249 epochs."""
    optimizer = {"momentum_from": 0.5, "momentum_epochs": 249, "rates": dict(rates), **settings.pop("optimizer")}
    return Recipe(
        source=f"Goodfellow et al. 2013 (Maxout networks), the authors' pylearn2, scripts/papers/maxout/{name}; "
        f"{settings.pop('about')}",
        batch_size=settings.get("reference_batch_size"),
        optimizer=Optimizer(**optimizer),
        max_norms=dict(norms),
        **settings,
    )


_MNIST_LINES = {
    **dict.fromkeys(("batch_size", "optimizer", "schedule", "max_norms", "augmentation", "early_stopping"), "the YAML"),
    "epochs": "not printed: until 100 epochs bring no better one; 2,000 here at most",
    "keep": "MonitorBasedSaveBest: of the best validation epoch",
}
_MNIST_MISSING = ("goes on with all 60,000 images until their likelihood is as before", _BY_EPOCH)
_CIFAR_LINES = by_field(
    {
        "the YAML": "epochs batch_size optimizer schedule max_norms augmentation",
        "EpochCounter: the last weights": "keep",
    }
)
_MAXOUT_CIFAR: Mapping[str, Any] = MappingProxyType(
    {
        "sources": _CIFAR_LINES,
        "missing": (_WHITENED, _BY_EPOCH),
        "keep": "last",
        "reference_batch_size": 128,
        "rates": {"h0.": 0.05, "h1.": 0.05, "h2.": 0.05},
        "norms": {"h0.": 0.9, "h1.": 1.9365, "h2.": 1.9365, "h3.": 1.9, "output": 1.9365},
        "schedule": Schedule(name="polynomial", final=0.01, fall_epochs=500),
    }
)


def _all_cnn(augmentation: Augmentation) -> Recipe:
    return Recipe(
        source="Springenberg et al. 2015 (Striving for simplicity), section 3.1: 350 epochs with a fixed momentum, "
        "the rate divided by 10 after 200, 250 and 300",
        sources=by_field(
            {
                "section 3.1": "epochs optimizer schedule augmentation",
                "section 3.1: 0.25, 0.1, 0.05 or 0.01, whichever was best; 0.05 here": "optimizer.lr",
                "not printed: 128 here": "batch_size",
                "section 3.1: a number of epochs, the last weights": "keep",
            }
        ),
        missing=(_WHITENED,),
        keep="last",
        epochs=350,
        batch_size=128,
        reference_batch_size=128,
        optimizer=Optimizer(lr=0.05, momentum=0.9, weight_decay=1e-3),
        schedule=Schedule(name="steps", milestones=(200, 250, 300), gamma=0.1),
        augmentation=augmentation,
    )


def _dsn(number: int, solver: str, about: str, **settings: Any) -> Recipe:
    """A part of DSN's examples/best_cifar10_9.65/train_full.sh."""
    companions = {"companion_": 0.001} if number == 1 else {}
    lr = settings.pop("lr")
    return Recipe(
        source=f"Lee et al. 2015 (Deeply-supervised nets), the authors' examples/best_cifar10_9.65/{solver}.prototxt: "
        f"{about}",
        sources=by_field(
            {
                f"{solver}.prototxt": "epochs optimizer schedule",
                "the prototxt of the layers": "batch_size optimizer.rates optimizer.bias_lr "
                "optimizer.decay_norm_and_bias augmentation model_options",
                "train_full.sh goes on from the last weights": "keep",
            }
        ),
        missing=(
            (_NORMALISED, "the companions' rate falls by (1 + 0.0001 t)^-0.75 over the steps t", _FADING)
            if number == 1
            else (_NORMALISED,)
        ),
        keep="last",
        batch_size=100,
        reference_batch_size=100,
        optimizer=Optimizer(
            lr=lr,
            momentum=0.9,
            weight_decay=5e-4,
            bias_lr=2.0,
            decay_norm_and_bias=False,
            rates={"cccp6": 0.1, **companions},
        ),
        model_options={} if number == 1 else {"companions": 0.0},
        **settings,
    )


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "maxout-mnist-dense": _maxout(
            "mnist_pi.yaml",
            about="ends 100 epochs after the best one",
            sources=_MNIST_LINES,
            missing=_MNIST_MISSING,
            keep="best",
            epochs=2000,
            early_stopping=100,
            reference_batch_size=100,
            optimizer={"lr": 0.1, "momentum": 0.7},
            rates={},
            norms={"": 1.9365},
            # ExponentialDecay: divided by 1.000004 after each of the 500 steps of an epoch of 50,000 images
            schedule=Schedule(name="exponential", gamma=1.000004**-500),
        ),
        "maxout-mnist": _maxout(
            "mnist.yaml",
            about="ends 100 epochs after the best one",
            sources=_MNIST_LINES,
            missing=_MNIST_MISSING[:1],
            keep="best",
            epochs=2000,
            early_stopping=100,
            reference_batch_size=128,
            optimizer={"lr": 0.05, "momentum": 0.7},
            rates={},
            norms={"": 1.9365, "h0.": 0.9},
            # ExponentialDecay: divided by 1.00004 after each of the 390.6 steps of an epoch of 50,000 images
            schedule=Schedule(name="exponential", gamma=1.00004 ** (-50_000 / 128)),
        ),
        "maxout-cifar": _maxout(
            "cifar10_no_aug.yaml",
            about="785 epochs, the rate falls to a hundredth in a line over 500",
            epochs=785,
            optimizer={"lr": 0.17, "momentum": 0.6},
            **_MAXOUT_CIFAR,
        ),
        "maxout-cifar-augmented": _maxout(
            "cifar10.yaml",
            about="474 epochs of windows and mirrors, the rate would fall to a hundredth over 500",
            epochs=474,
            optimizer={"lr": 0.17, "momentum": 0.65},
            augmentation=Augmentation(random_crop=True, short_side=(32, 32), pad=4, mirror=0.5),
            **_MAXOUT_CIFAR,
        ),
        "nin-cifar": Recipe(
            source="Lin, Chen, Yan 2014 (Network in network), section 4: batches of 128, the rate divided by 10 twice "
            "when the training accuracy stops rising; the authors' NIN/cifar-10_params",
            sources=by_field(
                {
                    "section 4": "batch_size optimizer.name schedule",
                    "cifar-10_params: epsW 1 at a cost of coeff 0.1, epsB 2, wc 0.00001 (of a rate of 1)": (
                        "optimizer.lr optimizer.momentum optimizer.weight_decay optimizer.bias_lr "
                        "optimizer.decay_norm_and_bias"
                    ),
                    "cifar-10_params, cccp6: epsW 0.1": "optimizer.rates",
                    "not printed: how long the accuracy must stand still; 6 epochs here": "schedule.patience",
                    "not printed: 240 here": "epochs",
                    "section 4: none in the main result": "augmentation",
                    "section 4: until the accuracy stops rising, the last weights": "keep",
                }
            ),
            missing=(
                _WHITENED,
                "the accuracy on training images lowers the rate; here that on validation images",
                LAST_BIASES,
            ),
            keep="last",
            epochs=240,
            batch_size=128,
            reference_batch_size=128,
            optimizer=Optimizer(
                lr=0.1,
                momentum=0.9,
                weight_decay=1e-4,
                bias_lr=2.0,
                decay_norm_and_bias=False,
                rates={"mlpconv3.cccp2": 0.1},
            ),
            schedule=Schedule(name="plateau", gamma=0.1, most_drops=2),
        ),
        "all-cnn-cifar": _all_cnn(Augmentation()),
        "all-cnn-cifar-augmented": _all_cnn(Augmentation(random_crop=True, short_side=(32, 32), pad=5, mirror=0.5)),
        "fitnet-cifar": Recipe(
            source="Romero et al. 2015 (FitNets), the authors' yaml/cifar10_fitnet19_all.yaml: 288 epochs of RMSprop",
            sources=by_field(
                {
                    "the YAML": "epochs batch_size optimizer schedule max_norms augmentation",
                    "pylearn2's RMSProp: the root is at least 1e-5, which is added here": "optimizer.eps",
                    "EpochCounter: the last weights": "keep",
                }
            ),
            missing=(
                "hints: h0 to h10 learn first to give the output of a maxout network's second layer",
                "a teacher's probabilities at temperature 3 as further targets, of a weight that falls from 4 to 1",
                "weights begin within 0.005 of 0; here as He et al. 2015: without hints nothing gets through",
                _WHITENED,
            ),
            keep="last",
            epochs=288,
            batch_size=128,
            reference_batch_size=128,
            optimizer=Optimizer(name="rmsprop", lr=0.005, alpha=0.9, momentum=0.0, eps=1e-5, rates={"stage_": 0.05}),
            max_norms={"stage_": 0.9, "fc": 1.9, "output": 1.9365},
            augmentation=Augmentation(random_crop=True, short_side=(32, 32), pad=8, mirror=0.5),
        ),
        "dsn-cifar-1": _dsn(1, "cifar-10_solver", "50,000 steps of 100 with companions", epochs=100, lr=0.025),
        "dsn-cifar-2": _dsn(
            2,
            "finetune_cifar-10_solver",
            "120,000 steps of 100 without companions, the rate times 0.05 at 100,001",
            epochs=240,
            lr=0.025,
            schedule=Schedule(name="steps", milestones=(200,), gamma=0.05),
        ),
        "dsn-cifar-3": _dsn(
            3, "finetune_cifar-10_solver_lr2", "30,000 steps of 100 without companions", epochs=60, lr=1e-4
        ),
    }
)
"""Name -> recipe."""
