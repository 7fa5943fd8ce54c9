"""The card of SPP-net's detector. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions
from visus.models.classification.cards.imagenet import MEAN_OF_BVLC
from visus.structures.preprocessing import Preprocessing, ProposalSettings

_CONVENTIONS = Conventions(
    padding="half a kernel around convolutions and poolings, which round up: appendix A",
    initialisation="N(0, 0.01) in dense layers, biases of 1 in fc6 and fc7: ShaoqingRen/SPP_net; He et al. (2015) in "
    "convolutions, which begin with ImageNet's",
)

CARDS: tuple[Card, ...] = (
    Card(
        name="spp_net",
        edition="paper",
        task="detection",
        builder="visus.models.detection.spp_net:spp_net",
        title="SPP-net: regions pooled by a pyramid from one map of ZF-5, linear SVMs, box regression",
        year=2014,
        paper="K. He, X. Zhang, S. Ren, J. Sun. Spatial Pyramid Pooling in Deep Convolutional Networks for Visual "
        "Recognition. ECCV 2014, arXiv:1406.4729, section 4",
        input=(3, 224, 224),
        classes=20,
        parameters=73_026_709,
        macs=1_459_752_960,
        preprocessing=Preprocessing(
            size=None,
            fit="none",
            order="BGR",
            scale=1.0,
            mean=MEAN_OF_BVLC,
            std=(1.0, 1.0, 1.0),
            fill=114,
            proposals=ProposalSettings("selective_search", "fast", 2000),
        ),
        fact="spp_net",
        citation="he2014spatial",
        conventions=_CONVENTIONS,
        own_data="spp_net",
        phases="region-svms",
        takes_backbone=True,
        proof_level="L2",
        note="The operations are those of a 224x224 image of one region. Images are seen at one scale, that of the "
        "recipe; at five with --set model_options.scales=[480,576,688,864,1200] (the release has 874 for 864). The "
        "count is that of fine-tuning, with a softmax layer of K + 1 classes; instead of its 4,097 (K + 1) values, the "
        "finished detector has 4,097 K of SVMs and 51,204 K of regressions. Response normalisation within a map, as "
        "released.",
    ),
)
