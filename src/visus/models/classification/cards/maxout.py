"""The cards of the Maxout networks. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions
from visus.models.classification.cards.cifar import CIFAR
from visus.structures.preprocessing import Preprocessing

_CONVENTIONS = Conventions(
    padding="that of the authors' configurations in pylearn2; poolings round up",
    initialisation="uniform in +-0.005, biases 0: those configurations",
)

_GREY_28 = Preprocessing(size=(28, 28), fit="stretch", channels=1, mean=(0.0,), std=(1.0,))
_PAPER = "Goodfellow, Warde-Farley, Mirza, Courville, Bengio: Maxout networks, ICML 2013"
_NOTE = "The bound on the norm of each unit's weights is not held in training."


def _card(
    data: str, title: str, section: str, preprocessing: Preprocessing, parameters: int, macs: int, note: str
) -> Card:
    side = 32 if data == "cifar" else 28
    return Card(
        name=f"maxout_{data}",
        edition="paper",
        task="classification",
        builder=f"visus.models.classification.maxout:maxout_{data}",
        title=title,
        year=2013,
        paper=f"{_PAPER}, {section}; layers as configured in pylearn2",
        input=(preprocessing.channels, side, side),
        classes=10,
        parameters=parameters,
        macs=macs,
        preprocessing=preprocessing,
        fact=f"maxout_{data}",
        citation="goodfellow2013maxout",
        conventions=_CONVENTIONS,
        proof_level="L2",
        note=note,
    )


CARDS: tuple[Card, ...] = (
    _card("dense", "Dense maxout network for MNIST", "sec. 5.1", _GREY_28, 1_233_610, 1_231_200, _NOTE),
    _card("mnist", "Convolutional maxout network for MNIST", "sec. 5.1", _GREY_28, 471_994, 30_746_736, _NOTE),
    _card(
        "cifar",
        "Convolutional maxout network for CIFAR-10",
        "sec. 5.2",
        CIFAR,
        16_247_830,
        732_290_696,
        f"{_NOTE} Images are not whitened.",
    ),
)
