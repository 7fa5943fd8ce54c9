"""The cards of LeNet-5. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions
from visus.structures.preprocessing import Preprocessing

_PAPERS = Conventions(
    padding="none (figure 2)",
    initialisation="uniform in +-2.4 / fan-in (the paper's appendix A)",
)
_TAUGHT = Conventions(
    padding="none",
    initialisation="torch's default; the source names none",
)

# White paper becomes -0.1 and black ink 1.175 (sec. II-B); MNIST's files hold the ink as 255.
_PREPROCESSING = Preprocessing(size=(32, 32), fit="stretch", channels=1, mean=(0.1 / 1.275,), std=(1 / 1.275,))
_PAPER = "LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, Proc. IEEE 1998"
_NOTE = (
    "The paper pads its 28x28 characters to 32x32; here images are scaled to 32x32. The class codes are drawn anew "
    "after figure 3, and the paper names no value for the constant j of eq. 9."
)

CARDS: tuple[Card, ...] = (
    Card(
        name="lenet5",
        edition="paper",
        task="classification",
        builder="visus.models.classification.lenet:lenet5",
        title="LeNet-5 as published: C3 table, trained subsampling, RBF outputs",
        year=1998,
        paper=f"{_PAPER}, sec. II-B, figure 2, table I",
        input=(1, 32, 32),
        classes=10,
        parameters=60_000,
        preprocessing=_PREPROCESSING,
        fact="lenet5_1998",
        citation="lecun1998gradient",
        conventions=_PAPERS,
        proof_level="L2",
        note=_NOTE,
    ),
    Card(
        name="lenet5",
        edition="modern",
        task="classification",
        builder="visus.models.classification.lenet:lenet5_modern",
        title="LeNet-5 as it is taught: full C3, average pooling, linear output",
        year=1998,
        paper=f"after {_PAPER}",
        input=(1, 32, 32),
        classes=10,
        parameters=61_706,
        macs=416_520,
        preprocessing=_PREPROCESSING,
        fact="lenet5_modern",
        citation="lecun1998gradient",
        conventions=_TAUGHT,
        proof_level="L2",
        note="Simplified: every C3 map sees every S2 map, pooling has no weights, the output is a linear layer.",
    ),
    Card(
        name="lenet5",
        edition="course",
        task="classification",
        builder="visus.models.classification.lenet:lenet5_course",
        title="A network for 32x32 colour images after LeNet-5, with max pooling and ReLU (Ng)",
        year=2017,
        paper="Ng: Convolutional neural networks, deeplearning.ai 2017, lecture 'CNN example'",
        input=(3, 32, 32),
        classes=10,
        parameters=62_958,
        macs=849_320,
        preprocessing=Preprocessing(size=(32, 32), fit="stretch", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        fact="lenet5_variant_32x32x3",
        citation="ng2017convolutional",
        conventions=_TAUGHT,
        proof_level="L2",
        note="The lecture draws six first maps and counts eight in its table. It names no initial weights: torch's.",
    ),
)
