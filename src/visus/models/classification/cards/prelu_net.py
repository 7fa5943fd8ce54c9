"""The cards of the MSRA PReLU-nets. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions
from visus.models.classification.cards.imagenet import IMAGENET

_CONVENTIONS = Conventions(
    padding="what the sizes of table 3 need; the authors released none",
    initialisation="variance 2 / ((1 + a^2) fan-in), equation 15",
)

_NOTE = "The paper subtracts a mean for each pixel; here a mean for each channel, and a division by its deviation."


def _card(letter: str, edition: str, parameters: int, macs: int, fact: str, **fields: object) -> Card:
    return Card(
        name=f"prelu_net_{letter}",
        edition=edition,
        task="classification",
        builder=f"visus.models.classification.prelu_net:prelu_net_{letter}",
        title=f"PReLU-net {letter.upper()}" + (", with ReLU" if edition == "relu" else ""),
        year=2015,
        paper="He, Zhang, Ren, Sun: Delving deep into rectifiers, ICCV 2015, table 3",
        input=(3, 224, 224),
        classes=1000,
        parameters=parameters,
        macs=macs,
        preprocessing=IMAGENET,
        fact=fact,
        citation="he2015delving",
        conventions=_CONVENTIONS,
        note=_NOTE,
        **fields,  # type: ignore[arg-type]
    )


CARDS: tuple[Card, ...] = (
    _card("a", "paper", 178_032_072, 19_058_106_368, "prelu_net_A", proof_level="L2"),
    _card("a", "relu", 178_017_384, 19_058_106_368, "prelu_net_A_relu", options={"activation": "relu"}),
    _card("b", "paper", 183_343_048, 23_219_904_512, "prelu_net_B"),
    _card("c", "paper", 330_623_944, 53_463_130_112, "prelu_net_C"),
)
