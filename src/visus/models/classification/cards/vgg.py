"""The cards of the VGG networks. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions, ReleasedFile
from visus.models.classification.cards.imagenet import IMAGENET, bgr, caffe, torchvision_file
from visus.structures.preprocessing import Preprocessing

_CONVENTIONS = Conventions(
    padding="1 around 3x3 kernels (section 2.1)",
    initialisation="Glorot and Bengio's, or N(0, 0.1): the paper's section 3.1",
)

_PAPER = "Simonyan, Zisserman: Very deep convolutional networks for large-scale image recognition, ICLR 2015, table 1"
_MEAN = Preprocessing(scale=1.0, mean=(123.68, 116.779, 103.939), std=(1.0, 1.0, 1.0))  # section 2.1

# Of the paper's editions, which take images of 224x224 and minutes to learn: those that were seen to. The others have
# the layers of torchvision's editions.
_LEARNED = ("vgg11_lrn", "vgg11", "vgg16_c")

_RELEASED = {"vgg16": "ksimonyan/211839e770f7b538e2d8", "vgg19": "ksimonyan/3785162f95cd2d5fee77"}
"""The networks whose weights the authors released, and where they say so."""

# name: (column of table 1, layers, parameters, MACs, torchvision's weights)
_NETWORKS = {
    "vgg11_lrn": ("A-LRN", 11, 132_863_336, 7_609_090_048, None),
    "vgg11": (
        "A",
        11,
        132_863_336,
        7_609_090_048,
        torchvision_file("vgg11-8a719046.pth", "8a719046", 69.020, 88.628),
    ),
    "vgg13": (
        "B",
        13,
        133_047_848,
        11_308_466_176,
        torchvision_file("vgg13-19584684.pth", "19584684", 69.928, 89.246),
    ),
    "vgg16": (
        "D",
        16,
        138_357_544,
        15_470_264_320,
        torchvision_file(
            "vgg16-397923af.pth", "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0", 71.592, 90.382
        ),
    ),
    "vgg16_c": ("C", 16, 133_638_952, 11_770_888_192, None),
    "vgg19": (
        "E",
        19,
        143_667_240,
        19_632_062_464,
        torchvision_file("vgg19-dcbb9e9d.pth", "dcbb9e9d", 72.376, 90.876),
    ),
}


def _cards() -> tuple[Card, ...]:
    cards = []
    for name, (column, layers, parameters, macs, weights) in _NETWORKS.items():
        shared = {
            "name": name,
            "task": "classification",
            "builder": f"visus.models.classification.vgg:{name}",
            "year": 2015,
            "paper": f"{_PAPER} {column}",
            "input": (3, 224, 224),
            "classes": 1000,
            "parameters": parameters,
            "macs": macs,
            "fact": f"vgg_{column.replace('-', '_')}",
            "citation": "simonyan2015very",
            "conventions": _CONVENTIONS,
        }
        cards.append(
            Card(
                **shared,  # type: ignore[arg-type]
                edition="paper",
                title=f"VGG of {layers} layers (configuration {column}) as published",
                preprocessing=_MEAN,
                proof_level="L2" if name in _LEARNED else "L1",
                note="Larger images are seen densely, as in section 3.2. The weights begin as Glorot and Bengio's, "
                "which the paper names as the way to train without a smaller network first; the option "
                "initialisation=normal and the weights of a vgg11 are its first way (section 3.1).",
            )
        )
        if weights is not None:
            cards.append(
                Card(
                    **shared,  # type: ignore[arg-type]
                    edition="torchvision",
                    title=f"VGG-{layers} with torchvision's ImageNet weights",
                    preprocessing=IMAGENET,
                    options={"larger_images": "pooled"},
                    proof_level="L2",
                    weights=(weights,),
                    note="The last map of images that are not 224x224 is pooled to 7x7; the paper slides the dense "
                    "layers instead.",
                )
            )
        if name in _RELEASED:
            cards.append(
                Card(
                    **shared,  # type: ignore[arg-type]
                    edition="caffe",
                    title=f"VGG-{layers} with its authors' ImageNet weights",
                    preprocessing=bgr(103.939, 116.779, 123.68),
                    conversions=(caffe("vgg_weights", mark="fc8.0"),),
                    released=(
                        ReleasedFile(
                            f"VGG_ILSVRC_{layers}_layers.caffemodel", "ImageNet-1k", source=f"gist {_RELEASED[name]}"
                        ),
                    ),
                    note="The same network as the paper's edition; BGR. Caffe's poolings round up, which differs only "
                    "for sides that 32 does not divide.",
                )
            )
    return tuple(cards)


CARDS: tuple[Card, ...] = _cards()
