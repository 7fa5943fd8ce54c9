"""The cards of the residual networks of stochastic depth. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions
from visus.models.classification.cards.cifar import CIFAR

_CONVENTIONS = Conventions(
    padding="1 on every side: the authors' release (yueatsprograms/Stochastic_Depth)",
    initialisation="normal, of variance 2 / fan-out, as in that release",
    epsilon=1e-05,
    epsilon_source="Torch 7's default, in which it is written",
)

CARDS: tuple[Card, ...] = (
    Card(
        name="stochastic_depth_resnet110",
        edition="paper",
        task="classification",
        builder="visus.models.classification.stochastic_depth:stochastic_depth_resnet110",
        title="ResNet-110 with stochastic depth for 32x32 images, as published",
        year=2016,
        paper="Huang, Sun, Liu, Sedra, Weinberger: Deep networks with stochastic depth, ECCV 2016, sections 3 and 4",
        input=(3, 32, 32),
        classes=10,
        parameters=1_727_962,
        macs=252_887_680,
        preprocessing=CIFAR,
        fact="stochastic_depth_resnet_110",
        citation="huang2016deep",
        conventions=_CONVENTIONS,
        proof_level="L2",
        note="The released code has biases in its convolutions, idle before BatchNorm; here there are none, as in the "
        "ResNet-110 that the paper takes over. A block that a step leaves out gets no update, weight decay included.",
    ),
)
