"""The card of PolyNet. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions
from visus.structures.preprocessing import Preprocessing

_CONVENTIONS = Conventions(
    padding="VALID and SAME as in Inception-ResNet-v2, whose layers the paper takes over",
    initialisation="as Inception-v4's here; the paper names none",
    epsilon=1e-05,
    epsilon_source="of the ports of the authors' release (pretrained-models.pytorch, imgclsmob)",
)

CARDS: tuple[Card, ...] = (
    Card(
        name="polynet",
        edition="paper",
        task="classification",
        builder="visus.models.classification.polynet:polynet",
        title="Very Deep PolyNet (10-20-10)",
        year=2017,
        paper="Zhang, Li, Loy, Lin: PolyNet: a pursuit of structural diversity in very deep networks, CVPR 2017",
        input=(3, 331, 331),
        classes=1000,
        parameters=95_366_600,
        macs=34_699_493_472,
        preprocessing=Preprocessing(size=(331, 331)),
        fact="polynet",
        citation="zhang2017polynet",
        conventions=_CONVENTIONS,
        proof_level="L2",
        note="Widths and scales of residuals are those of the released network; the paper prints the scheme alone.",
    ),
)
