"""The cards of the FitNets. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions
from visus.models.classification.cards.cifar import CIFAR

_CONVENTIONS = Conventions(
    padding="1 around the 3x3 convolutions, as in the authors' configuration (cifar10_fitnet19_all.yaml)",
    initialisation="He et al. (2015), for the +-0.005 of that configuration need hints",
)

CARDS: tuple[Card, ...] = (
    Card(
        name="fitnet4",
        edition="paper",
        task="classification",
        builder="visus.models.classification.fitnet:fitnet4",
        title="FitNet 4, the thin network of 19 layers",
        year=2015,
        paper="Romero et al.: FitNets: hints for thin deep nets, ICLR 2015; layers as in the authors' configuration",
        input=(3, 32, 32),
        classes=10,
        parameters=2_742_102,
        macs=381_941_128,
        preprocessing=CIFAR,
        fact="fitnet4",
        citation="romero2015fitnets",
        conventions=_CONVENTIONS,
        proof_level="L2",
        note="The network alone, without a teacher's hints; He et al.'s start in place of +-0.005. Not whitened.",
    ),
)
