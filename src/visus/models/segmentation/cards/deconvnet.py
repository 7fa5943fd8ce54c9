"""The card of DeconvNet. Loads no torch."""

from __future__ import annotations

from dataclasses import replace

from visus.models.card import Card, Conventions, Conversion, Earlier, ReleasedFile
from visus.models.segmentation.cards.preprocessing import CAFFE

_CONVENTIONS = Conventions(
    padding="1 around 3x3 kernels: the authors' prototxt (HyeonwooNoh/DeconvNet)",
    initialisation="as the fillers of that prototxt",
    epsilon=1e-09,
    epsilon_source="of the authors' Caffe (HyeonwooNoh/caffe, bn_layer.cpp)",
)

_PAPER = (
    "H. Noh, S. Hong, B. Han. Learning Deconvolution Network for Semantic Segmentation. ICCV 2015, arXiv:1505.04366, "
    "figure 2 and table 2"
)

CARDS: tuple[Card, ...] = (
    Card(
        name="deconvnet",
        edition="paper",
        task="segmentation",
        builder="visus.models.segmentation.deconvnet:deconvnet",
        title="DeconvNet: VGG-16 and its mirror image, with unpooling",
        year=2015,
        paper=_PAPER,
        input=(3, 224, 224),
        classes=21,
        parameters=251_805_653,
        macs=32_745_979_904,
        preprocessing=replace(CAFFE, size=(224, 224), fit="stretch", mean=(104.008, 116.669, 122.675)),
        fact="deconvnet",
        citation="noh2015learning",
        conventions=_CONVENTIONS,
        conversions=(Conversion("visus.models.segmentation.deconvnet_weights:from_caffe", suffix=".caffemodel"),),
        released=(
            ReleasedFile(
                "DeconvNet_trainval_inference.caffemodel", "PASCAL VOC 2012 and SBD", source="HyeonwooNoh/DeconvNet"
            ),
        ),
        earlier=(Earlier("BatchNorm had epsilon 1e-5", {"epsilon": 1e-5}),),
        proof_level="L1",  # learning eight images takes an hour on a CPU
    ),
)
