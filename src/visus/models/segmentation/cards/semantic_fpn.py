"""The card of semantic FPN. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions
from visus.models.segmentation.cards.preprocessing import TORCHVISION

_CONVENTIONS = Conventions(
    padding="1 around 3x3 kernels and the backbone's first pooling: the authors' release (facebookresearch/Detectron)",
    initialisation="the branches He et al. (2015); the pyramid's as in Detectron; the last layer torch's default",
    epsilon=1e-05,
    epsilon_source="of the backbone; group normalisation has as much, torch's default",
)

_PAPER = (
    "A. Kirillov, R. Girshick, K. He, P. Dollar. Panoptic Feature Pyramid Networks. CVPR 2019, arXiv:1901.02446, "
    "section 3.1 and figure 3"
)

CARDS: tuple[Card, ...] = (
    Card(
        name="semantic_fpn",
        edition="paper",
        task="segmentation",
        builder="visus.models.segmentation.semantic_fpn:semantic_fpn",
        title="semantic FPN on ResNet-50",
        year=2019,
        paper=_PAPER,
        input=(3, 512, 512),
        classes=54,
        parameters=28_483_190,
        macs=42_882_564_096,
        preprocessing=TORCHVISION,
        fact="semantic_fpn",
        citation="kirillov2019panoptic",
        conventions=_CONVENTIONS,
        takes_backbone=True,
        proof_level="L2",
    ),
)
