"""The cards of the All-CNN networks. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions, ProofLevel
from visus.models.classification.cards.cifar import CIFAR

_CONVENTIONS = Conventions(
    padding="what the sizes of the paper's tables need; poolings round up",
    initialisation="He et al. (2015); the paper names none",
)

_PAPER = (
    "Springenberg, Dosovitskiy, Brox, Riedmiller: Striving for simplicity: the all convolutional net, ICLR 2015, "
    "workshop track"
)


def _card(name: str, title: str, table: str, parameters: int, macs: int, proof: ProofLevel = "L2") -> Card:
    return Card(
        name=name,
        edition="paper",
        task="classification",
        builder=f"visus.models.classification.all_cnn:{name}",
        title=title,
        year=2015,
        paper=f"{_PAPER}, {table}",
        input=(3, 32, 32),
        classes=10,
        parameters=parameters,
        macs=macs,
        preprocessing=CIFAR,
        fact=name,
        citation="springenberg2015striving",
        conventions=_CONVENTIONS,
        proof_level=proof,
        note="Images are not whitened.",
    )


# The base models did not learn eight images within a hundred steps of Adam: ReLU on the scores silences classes.
CARDS: tuple[Card, ...] = (
    _card("all_cnn_c", "All-CNN-C", "table 2", 1_369_738, 270_798_336),
    _card("convpool_cnn_c", "ConvPool-CNN-C", "table 2", 1_369_738, 398_200_320),
    _card("strided_cnn_c", "Strided-CNN-C", "table 2", 954_730, 100_929_024),
    _card("all_cnn_base_a", "Base model A of All-CNN", "table 1", 839_242, 138_677_760, "L1"),
    _card("all_cnn_base_b", "Base model B of All-CNN", "table 1", 885_610, 157_552_128, "L1"),
    _card("all_cnn_base_c", "Base model C of All-CNN", "table 1", 954_730, 228_331_008, "L1"),
)
