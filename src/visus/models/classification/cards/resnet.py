"""The cards of the residual networks for ImageNet. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card
from visus.models.classification.cards.imagenet import IMAGENET, torchvision_file

_PAPER = "He, Zhang, Ren, Sun: Deep residual learning for image recognition, CVPR 2016, table 1"
_NOTE = "The paper subtracts a mean for each pixel; here a mean for each channel, and a division by its deviation."

# name: (depth's fact, parameters, MACs of the paper's edition, MACs with the stride in the 3x3, weights)
_RESNETS = {
    "resnet18": (
        "resnet_18",
        11_689_512,
        1_814_073_344,
        1_814_073_344,
        torchvision_file(
            "resnet18-f37072fd.pth", "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec", 69.758, 89.078
        ),
    ),
    "resnet34": (
        "resnet_34",
        21_797_672,
        3_663_761_408,
        3_663_761_408,
        torchvision_file(
            "resnet34-b627a593.pth", "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f", 73.314, 91.420
        ),
    ),
    "resnet50": (
        "resnet_50",
        25_557_032,
        3_857_973_248,
        4_089_184_256,
        torchvision_file(
            "resnet50-0676ba61.pth", "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a", 76.130, 92.862
        ),
    ),
    "resnet101": (
        "resnet_101",
        44_549_160,
        7_570_194_432,
        7_801_405_440,
        torchvision_file(
            "resnet101-63fe2227.pth", "63fe2227b86e8f1f2063f43a75c84d195911b6a0eace650907dd3dc62dd49a0a", 77.374, 93.546
        ),
    ),
    "resnet152": (
        "resnet_152",
        60_192_808,
        11_282_415_616,
        11_513_626_624,
        torchvision_file(
            "resnet152-394f9c45.pth", "394f9c45966e3651a89bbb78a48410a6755854ce4a5ab64927cf1c7247f85e58", 78.312, 94.046
        ),
    ),
}


def _cards() -> tuple[Card, ...]:
    cards = []
    for name, (fact, parameters, macs, macs_3x3, weights) in _RESNETS.items():
        depth = name.removeprefix("resnet")
        has_bottlenecks = macs != macs_3x3
        shared = {
            "name": name,
            "task": "classification",
            "builder": f"visus.models.classification.resnet:{name}",
            "year": 2016,
            "paper": _PAPER,
            "input": (3, 224, 224),
            "classes": 1000,
            "parameters": parameters,
            "preprocessing": IMAGENET,
            "fact": fact,
            "citation": "he2016deep",
            "proof_level": "L2",
        }
        cards.append(
            Card(
                **shared,  # type: ignore[arg-type]
                edition="paper",
                title=f"ResNet-{depth} as published",
                macs=macs,
                note=_NOTE,
            )
        )
        cards.append(
            Card(
                **shared,  # type: ignore[arg-type]
                edition="torchvision",
                title=f"ResNet-{depth} with torchvision's ImageNet weights",
                macs=macs_3x3,
                options={"stride_in": "3x3"} if has_bottlenecks else {},
                weights=(weights,),
                note="Bottlenecks stride in the 3x3 convolution, not in the first 1x1 (ResNet v1.5)."
                if has_bottlenecks
                else "The same network as the paper's edition: only bottlenecks differ.",
            )
        )
    return tuple(cards)


CARDS: tuple[Card, ...] = _cards()
