"""The cards of the deeply-supervised nets. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions
from visus.models.classification.cards.cifar import CIFAR

_CONVENTIONS = Conventions(
    padding="half a kernel on every side; poolings are not padded and round up, as Caffe's in the authors' "
    "release (examples/best_cifar10_9.65)",
    initialisation="N(0, 0.05), and Caffe's xavier for dense layers, as in that release",
)

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
        conventions=_CONVENTIONS,
        proof_level="L2",
        note="The companions' share does not fade within a training. Its scores order the classes; they are margins.",
    ),
)
