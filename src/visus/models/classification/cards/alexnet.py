"""The cards of AlexNet. Loads no torch."""

from __future__ import annotations

from dataclasses import replace

from visus.models.card import Card, Conventions, ReleasedFile
from visus.models.classification.cards.imagenet import IMAGENET, MEAN_OF_BVLC, bgr, caffe, torchvision_file
from visus.structures.preprocessing import Preprocessing

_PAPERS = Conventions(
    padding="what figure 2's sizes need, alike on every side; the paper names none",
    initialisation="N(0, 0.01), biases 1 before the ReLUs that the paper names, else 0 (its section 5)",
)
_TORCHVISIONS = Conventions(
    padding="torchvision's",
    initialisation="torch's default, as torchvision's",
)

_TITLE = "ImageNet classification with deep convolutional neural networks"
_PAPER = f"Krizhevsky, Sutskever, Hinton: {_TITLE}, NIPS 2012, figure 2"
# Section 2: the short side scaled to 256, the centre cut, the mean of the training images subtracted.
_MEAN = Preprocessing(
    size=(227, 227),
    crop_fraction=227 / 256,
    scale=1.0,
    mean=(123.68, 116.779, 103.939),
    std=(1.0, 1.0, 1.0),
)
_NOTE = (
    "The input is 227x227, which the paper's maps need; it prints 224x224. A mean for each channel (Simonyan and "
    "Zisserman's) is subtracted, where the paper has one for each pixel."
)

_PUBLISHED = Card(
    name="alexnet",
    edition="paper",
    task="classification",
    builder="visus.models.classification.alexnet:alexnet",
    title="AlexNet as published: two halves, response normalisation, overlapping pooling",
    year=2012,
    paper=_PAPER,
    input=(3, 227, 227),
    classes=1000,
    parameters=60_965_224,
    macs=724_406_816,
    preprocessing=_MEAN,
    fact="alexnet_two_group",
    citation="krizhevsky2012imagenet",
    conventions=_PAPERS,
    proof_level="L2",
    note=_NOTE,
)

CARDS: tuple[Card, ...] = (
    _PUBLISHED,
    Card(
        name="alexnet",
        edition="ungrouped",
        task="classification",
        builder="visus.models.classification.alexnet:alexnet",
        title="AlexNet as courses simplify it: convolutions that see all maps",
        year=2012,
        paper=f"after {_PAPER}",
        input=(3, 227, 227),
        classes=1000,
        parameters=62_378_344,
        macs=1_135_256_096,
        preprocessing=_MEAN,
        fact="alexnet_ungrouped",
        citation="krizhevsky2012imagenet",
        conventions=_PAPERS,
        proof_level="L2",
        options={"groups": 1},
        note=f"Not in two halves. {_NOTE}",
    ),
    Card(
        name="alexnet",
        edition="torchvision",
        task="classification",
        builder="visus.models.classification.alexnet:alexnet_one_tower",
        title="AlexNet of one tower (2014) with torchvision's ImageNet weights",
        year=2014,
        paper="Krizhevsky: One weird trick for parallelizing convolutional neural networks, 2014 (arXiv:1404.5997)",
        input=(3, 224, 224),
        classes=1000,
        parameters=61_100_840,
        macs=714_188_480,
        preprocessing=IMAGENET,
        fact="alexnet_one_weird_trick",
        citation="krizhevsky2014weird",
        conventions=_TORCHVISIONS,
        proof_level="L2",
        weights=(torchvision_file("alexnet-owt-7be5be79.pth", "7be5be79", 56.522, 79.066),),
        note="Another network than that of 2012: one tower, 64 to 256 maps in the first two convolutions and the last "
        "two, no response normalisation, dropout before the dense layers. Any image's last map is pooled to 6x6.",
    ),
    replace(
        _PUBLISHED,
        edition="caffe",
        title="AlexNet with Caffe's ImageNet weights",
        preprocessing=bgr(*MEAN_OF_BVLC, side=227),
        options={"normalisation": "caffe"},
        conversions=(caffe("alexnet_weights"),),
        released=(ReleasedFile("bvlc_alexnet.caffemodel", "ImageNet-1k", source="BVLC/caffe, models/bvlc_alexnet"),),
        proof_level="L1",
        note="The paper's authors released no weights for today's libraries; these are of Caffe's authors (BVLC), the "
        "field's standard release. Response normalisation with k = 1, and alpha divided by the number of maps; BGR; "
        "images are stretched to 256x256 before the cut there, here their shorter side is scaled; a mean colour "
        "instead of the release's mean image. Its poolings round up, which changes nothing at 227x227. CaffeNet "
        "(bvlc_reference_caffenet), which pools first, is told by the order of the file's layers, and refused.",
    ),
)
