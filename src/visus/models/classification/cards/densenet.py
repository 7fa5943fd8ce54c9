"""The cards of the DenseNets. Loads no torch."""

from __future__ import annotations

from dataclasses import replace

from visus.models.card import Card, Conventions, ReleasedFile, WeightsFile
from visus.models.classification.cards import keras_files
from visus.models.classification.cards.imagenet import IMAGENET, torchvision_file

_CONVENTIONS = Conventions(
    padding="half a kernel on every side, 1 around the first pooling: the authors' release (liuzhuang13/DenseNet)",
    initialisation="normal, of variance 2 / fan-out, as in that release",
    epsilon=1e-05,
    epsilon_source="Torch 7's default, in which that release is written",
)

_PAPER = "Huang, Liu, van der Maaten, Weinberger: Densely connected convolutional networks, CVPR 2017"

# depth: (parameters, MACs, torchvision's weights)
_DENSENETS: dict[int, tuple[int, int, WeightsFile | None]] = {
    121: (
        7_978_856,
        2_834_161_664,
        torchvision_file(
            "densenet121-a639ec97.pth",
            "a639ec97d7c33b07ae66f0b5fb7d0192f95a3b11b7576c66c0126c2a727c4395",
            74.434,
            91.972,
        ),
    ),
    161: (28_681_000, 7_727_907_072, torchvision_file("densenet161-8d451a50.pth", "8d451a50", 77.138, 93.560)),
    169: (14_149_480, 3_359_843_328, torchvision_file("densenet169-b2777c0a.pth", "b2777c0a", 75.600, 92.806)),
    201: (20_013_928, 4_291_365_888, torchvision_file("densenet201-c1103571.pth", "c1103571", 76.896, 93.370)),
    264: (33_337_704, 5_751_653_376, None),
}
_FROM_TORCHVISION = "visus.models.classification.densenet_weights:from_torchvision"
_NOTES = {
    161: "Not in the paper's table but in its released code: growth rate 48.",
    264: "265 layers, as the blocks of table 1 make them.",
}
_IN_KERAS = (121, 169, 201)


def _released(depth: int) -> tuple[ReleasedFile, ...]:
    """The authors' weights as keras.applications has them, whose epsilon is 1.001e-5 there."""
    name = f"densenet{depth}_weights_tf_dim_ordering_tf_kernels"
    return keras_files.released("densenet", f"{name}.h5", f"{name}_notop.h5")


def _cards() -> tuple[Card, ...]:
    cards = []
    for depth, (parameters, macs, weights) in _DENSENETS.items():
        paper = Card(
            name=f"densenet{depth}",
            edition="paper",
            task="classification",
            builder=f"visus.models.classification.densenet:densenet{depth}",
            title=f"DenseNet-{depth} as published",
            year=2017,
            paper=f"{_PAPER}, {'models/densenet.lua of its code' if depth == 161 else 'table 1'}",
            input=(3, 224, 224),
            classes=1000,
            parameters=parameters,
            macs=macs,
            preprocessing=IMAGENET,
            fact=f"densenet_{depth}",
            citation="huang2017densely",
            conventions=_CONVENTIONS,
            conversions=keras_files.conversion("densenet") if depth in _IN_KERAS else (),
            released=_released(depth) if depth in _IN_KERAS else (),
            proof_level="L2",
            note=_NOTES.get(depth, ""),
        )
        cards.append(paper)
        if weights is not None:
            cards.append(
                replace(
                    paper,
                    edition="torchvision",
                    title=f"DenseNet-{depth} with torchvision's ImageNet weights",
                    weights=(
                        replace(weights, convert="visus.models.classification.densenet_weights:from_torchvision"),
                    ),
                    conversions=(),
                    released=(),
                    note=f"The same network as the paper's edition. {_NOTES.get(depth, '')}".strip(),
                )
            )
    return tuple(cards)


CARDS: tuple[Card, ...] = _cards()
