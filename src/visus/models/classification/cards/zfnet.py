"""The cards of ZFNet. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions
from visus.structures.preprocessing import Preprocessing

_CONVENTIONS = Conventions(
    padding="1 in the first convolution and around 3x3 kernels, poolings round up: what figure 3's sizes need; "
    "the authors released none",
    initialisation="N(0, 0.01), biases 0 (section 3)",
)

_PAPER = "Zeiler, Fergus: Visualizing and understanding convolutional networks, ECCV 2014"
# Section 3: the short side scaled to 256, the mean of the training images subtracted, crops of 224x224.
_MEAN = Preprocessing(scale=1.0, mean=(123.68, 116.779, 103.939), std=(1.0, 1.0, 1.0))
_NOTE = (
    "The paper prints no constants of its contrast normalisation: those of Krizhevsky et al. 2012 are used. A mean for "
    "each channel (Simonyan and Zisserman's) is subtracted, where the paper has one for each pixel."
)

CARDS: tuple[Card, ...] = (
    Card(
        name="zfnet",
        edition="paper",
        task="classification",
        builder="visus.models.classification.zfnet:zfnet",
        title="ZFNet as published",
        year=2014,
        paper=f"{_PAPER}, figure 3",
        input=(3, 224, 224),
        classes=1000,
        parameters=62_357_608,
        macs=1_168_032_896,
        preprocessing=_MEAN,
        fact="zfnet",
        citation="zeiler2014visualizing",
        conventions=_CONVENTIONS,
        proof_level="L2",
        note=_NOTE,
    ),
    Card(
        name="zfnet_wide",
        edition="paper",
        task="classification",
        builder="visus.models.classification.zfnet:zfnet_wide",
        title="ZFNet with larger layers 3, 4 and 5",
        year=2014,
        paper=f"{_PAPER}, table 2",
        input=(3, 224, 224),
        classes=1000,
        parameters=107_627_624,
        macs=2_476_704_896,
        preprocessing=_MEAN,
        fact="zfnet_wide",
        citation="zeiler2014visualizing",
        conventions=_CONVENTIONS,
        proof_level="L2",
        note=_NOTE,
    ),
)
