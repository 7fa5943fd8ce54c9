"""The cards of Xception. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions, Earlier, WeightsFile
from visus.models.classification.cards import keras_files
from visus.structures.preprocessing import Preprocessing

_KERAS = Conventions(
    padding="VALID in the first two convolutions, else SAME: the author's network (Keras, applications/xception.py)",
    initialisation="Glorot and Bengio's, Keras's default",
    epsilon=0.001,
    epsilon_source="Keras's default",
)
_TIMMS = Conventions(
    padding="none in the first two convolutions, else 1 on every side: timm's",
    initialisation="as in the paper's edition",
    epsilon=1e-05,
    epsilon_source="timm's",
)

_AS_THE_PORT = (
    Earlier("poolings were padded by 1, and BatchNorm had epsilon 1e-5 and momentum 0.9", {"edition": "timm"}),
)

_KERNELS = "xception_weights_tf_dim_ordering_tf_kernels"


def _card(edition: str, title: str, weights: tuple[WeightsFile, ...], note: str, options: dict[str, object]) -> Card:
    return Card(
        name="xception",
        edition=edition,
        task="classification",
        builder="visus.models.classification.xception:xception",
        title=title,
        year=2017,
        paper="Chollet: Xception: deep learning with depthwise separable convolutions, CVPR 2017, figure 5",
        input=(3, 299, 299),
        classes=1000,
        parameters=22_855_952,
        macs=8_357_403_496,
        # [-1, 1], as the released code; the share of the centre is timm's.
        preprocessing=Preprocessing(size=(299, 299), crop_fraction=0.8975, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        fact="xception",
        citation="chollet2017xception",
        conventions=_KERAS if edition == "paper" else _TIMMS,
        weights=weights,
        conversions=keras_files.conversion("xception") if edition == "paper" else (),
        released=keras_files.released("xception", f"{_KERNELS}.h5", f"{_KERNELS}_notop.h5")
        if edition == "paper"
        else (),
        proof_level="L2",
        earlier=_AS_THE_PORT if edition == "paper" else (),
        options=options,
        note=note,
    )


CARDS: tuple[Card, ...] = (
    _card(
        "paper",
        "Xception as published",
        (),
        "Padding, BatchNorm's constants and the initial weights, on which the paper is silent, are those of its "
        "author's network in Keras.",
        {},
    ),
    _card(
        "timm",
        "Xception with Keras's released ImageNet weights",
        (
            WeightsFile(
                name="xception-43020ad28.pth",
                sha256="43020ad28",
                url="https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-cadene/xception-43020ad28.pth",
                trained_on="ImageNet-1k",
                licence="Apache-2.0 (timm, from Keras's release)",
            ),
        ),
        "Poolings padded by 1 on every side and BatchNorm of epsilon 1e-5, as in the port; Keras, where the weights "
        "were trained, pads as TensorFlow and has 1e-3, as the paper's edition.",
        {"edition": "timm"},
    ),
)
