"""The card of AmoebaNet-A. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions
from visus.structures.preprocessing import Preprocessing

_CONVENTIONS = Conventions(
    padding="SAME, none in the first convolution: the authors' release (tensorflow/tpu, amoeba_net)",
    initialisation="a cut normal distribution of variance 2 / fan-out, as in that release",
    epsilon=0.001,
    epsilon_source="of that release",
)

_HALF = (0.5, 0.5, 0.5)

CARDS: tuple[Card, ...] = (
    Card(
        name="amoebanet_a",
        edition="paper",
        task="classification",
        builder="visus.models.classification.amoebanet:amoebanet_a",
        title="AmoebaNet-A (N = 6, F = 190) as published",
        year=2019,
        paper="Real, Aggarwal, Huang, Le: Regularized evolution for image classifier architecture search, AAAI 2019, "
        "figure 6 and table 2",
        input=(3, 331, 331),
        classes=1000,
        parameters=87_668_685,
        macs=23_133_663_507,
        preprocessing=Preprocessing(size=(331, 331), mean=_HALF, std=_HALF),  # as the released code
        fact="amoebanet_a",
        citation="real2019regularized",
        conventions=_CONVENTIONS,
        proof_level="L2",
        note="Details that the paper leaves open are those of the released code. Parameters with the auxiliary head.",
    ),
)
