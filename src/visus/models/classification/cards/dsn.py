"""The cards of the deeply-supervised nets. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card
from visus.models.classification.cards.cifar import CIFAR

CARDS: tuple[Card, ...] = (
    Card(
        name="dsn",
        edition="paper",
        task="classification",
        builder="visus.models.classification.dsn:dsn",
        title="Deeply-supervised net for CIFAR-10, with three companions",
        year=2015,
        paper="Lee, Xie, Gallagher, Zhang, Tu: Deeply-supervised nets, AISTATS 2015; layers as in the authors' release",
        input=(3, 32, 32),
        classes=10,
        parameters=3_547_496,
        macs=222_486_528,
        preprocessing=CIFAR,
        fact="dsn",
        citation="lee2015deeply",
        proof_level="L2",
        note="The companions' share does not fade within a training. Its scores order the classes; they are margins.",
    ),
)
