"""The cards of the pre-activation ResNets, and of the ResNets that their paper compares them with. Loads no torch."""

from __future__ import annotations

from typing import Any

from visus.models.card import Card, Conventions
from visus.models.classification.cards.cifar import CIFAR
from visus.models.classification.cards.imagenet import IMAGENET

_CONVENTIONS = Conventions(
    padding="half a kernel on every side, 1 around ImageNet's first pooling: the authors' release "
    "(KaimingHe/resnet-1k-layers), and fb.resnet.torch, which the paper names for ImageNet",
    initialisation="normal, of variance 2 / fan-out, as in those releases",
    epsilon=1e-05,
    epsilon_source="Torch 7's default, in which they are written",
)

_HERE = "visus.models.classification.preact_resnet"
_PAPER = "He, Zhang, Ren, Sun: Identity mappings in deep residual networks, ECCV 2016"
_MEAN = "Images are normalised with a mean and a deviation for each channel."
_ZEROS = "A shortcut's maps of zeros follow the given ones."
_HALF = "What dropout keeps is not scaled up, so that the mean factor is a half, as the paper says."
_HARD = "Hard to train, as the table reports."
_OPEN = "Where a gate's sizes change, its 1x1 convolution strides and widens; the paper does not say."


def _card(
    name: str, edition: str, title: str, part: str, parameters: int, *, builder: str = "", note: str, **fields: object
) -> Card:
    return Card(
        name=name,
        edition=edition,
        task="classification",
        builder=f"{_HERE}:{builder or name}",
        title=title,
        year=2016,
        paper=f"{_PAPER}, {part}",
        parameters=parameters,
        citation="he2016identity",
        conventions=_CONVENTIONS,
        note=note,
        **{"proof_level": "L2", **fields},  # type: ignore[arg-type]
    )


def _cifar(
    name: str,
    edition: str,
    title: str,
    part: str,
    parameters: int,
    *,
    builder: str = "",
    note: str = "",
    **fields: object,
) -> Card:
    return _card(
        name,
        edition,
        title,
        part,
        parameters,
        builder=builder,
        note=f"{_MEAN} {note}".strip(),
        input=(3, 32, 32),
        classes=10,
        preprocessing=CIFAR,
        **fields,
    )


def _imagenet(depth: int, parameters: int, macs: int) -> Card:
    return _card(
        f"preact_resnet{depth}",
        "paper",
        f"Pre-activation ResNet-{depth} as published",
        "table 5 and appendix",
        parameters,
        input=(3, 224, 224),
        classes=1000,
        preprocessing=IMAGENET,
        macs=macs,
        fact=f"preact_resnet_{depth}",
        note=f"{_MEAN} Bottlenecks stride in the 3x3 convolution, as in the code that the paper names for ImageNet.",
    )


def _order(edition: str, words: str, figure: str, **fields: Any) -> Card:
    return _cifar(
        "preact_resnet110",
        edition,
        f"ResNet-110 with {words}",
        f"table 2 and figure {figure}",
        1_727_962,
        macs=252_887_680,
        fact="preact_resnet_cifar_110",
        options={"activation": edition},
        **{"note": _ZEROS, **fields},
    )


def _shortcut(edition: str, words: str, builder: str, parameters: int = 1_727_962, **fields: Any) -> Card:
    return _cifar(
        "resnet110",
        edition,
        f"ResNet-110 with {words}",
        "table 1",
        parameters,
        builder=builder,
        **fields,
    )


# Table 1: what has no weights in its shortcuts counts as ResNet-110.
_SAME: dict[str, Any] = {"macs": 252_887_680, "fact": "resnet_cifar_110"}

CARDS: tuple[Card, ...] = (
    _cifar(
        "preact_resnet110",
        "paper",
        "Pre-activation ResNet-110 for 32x32 images, as published",
        "table 2 and figure 4e",
        1_727_962,
        macs=252_887_680,
        fact="preact_resnet_cifar_110",
        note=_ZEROS,
    ),
    _order("bn_after_addition", "BatchNorm after the addition", "4b", proof_level="L1", note=f"{_ZEROS} {_HARD}"),
    _order("relu_before_addition", "ReLU before the addition", "4c"),
    _order("relu_only_preactivation", "ReLU-only pre-activation", "4d"),
    _cifar(
        "preact_resnet164",
        "paper",
        "Pre-activation ResNet-164 for 32x32 images, as published",
        "tables 2 to 4 and appendix",
        1_703_258,
        macs=244_500_992,
        fact="preact_resnet_cifar_164",
    ),
    _cifar(
        "preact_resnet1001",
        "paper",
        "Pre-activation ResNet-1001 for 32x32 images, as published",
        "tables 3 and 4 and appendix",
        10_327_706,
        macs=1_487_849_984,
        fact="preact_resnet_cifar_1001",
    ),
    _imagenet(152, 60_185_128, 11_513_626_624),
    _imagenet(200, 64_666_152, 15_007_481_856),
    _cifar(
        "resnet164",
        "paper",
        "ResNet-164 for 32x32 images, of the original units",
        "table 2 and appendix",
        1_704_154,
        builder="preact_resnet164",
        macs=244_500_992,
        fact="resnet_cifar_164_original",
        options={"activation": "original"},
    ),
    _shortcut(
        "no_shortcuts",
        "no shortcuts",
        "resnet110_scaled",
        **_SAME,
        options={"scaling": "none"},
        proof_level="L1",
        note=f"{_ZEROS} {_HARD}",
    ),
    _shortcut(
        "half",
        "halved shortcuts",
        "resnet110_scaled",
        **_SAME,
        options={"scaling": "half"},
        proof_level="L1",
        note=f"{_ZEROS} {_HARD}",
    ),
    _shortcut(
        "half_both",
        "halved shortcuts and residuals",
        "resnet110_scaled",
        **_SAME,
        options={"scaling": "half_both"},
        proof_level="L1",
        note=f"{_ZEROS} {_HARD}",
    ),
    _shortcut(
        "exclusive_gating",
        "exclusive gates",
        "resnet110_gated",
        1_824_186,
        options={"gating": "exclusive"},
        note=f"{_ZEROS} {_OPEN}",
    ),
    _shortcut(
        "shortcut_gating",
        "gates on the shortcuts only",
        "resnet110_gated",
        1_824_186,
        options={"gating": "shortcut_only"},
        note=f"{_ZEROS} {_OPEN}",
    ),
    _shortcut(
        "conv_shortcuts",
        "a 1x1 convolution in every shortcut",
        "resnet110_projected",
        1_826_202,
        proof_level="L1",
        note=_HARD,
    ),
    _shortcut(
        "dropout_shortcuts", "dropout on every shortcut", "resnet110_dropped", **_SAME, note=f"{_ZEROS} {_HALF} {_HARD}"
    ),
)
