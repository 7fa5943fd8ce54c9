"""The cards of the residual networks for ImageNet. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions, Earlier, ReleasedFile
from visus.models.classification.cards.imagenet import IMAGENET, bgr, caffe, torchvision_file

_CAFFES = Conventions(
    padding="half a kernel on every side; the first pooling is not padded and rounds up: the authors' prototxt "
    "(KaimingHe/deep-residual-networks)",
    initialisation="He et al. (2015), as section 3.4 says, of variance 2 / fan-out; the last layer torch's",
    epsilon=1e-05,
    epsilon_source="Caffe's default, which the authors' prototxt leaves",
)
_DEEPER = Conventions(
    padding="half a kernel on every side; the first pooling is not padded and rounds up: the authors' prototxt of "
    "the deeper networks (KaimingHe/deep-residual-networks), for they released none of this one",
    initialisation="He et al. (2015), as section 3.4 says, of variance 2 / fan-out; the last layer torch's",
    epsilon=1e-05,
    epsilon_source="Caffe's default, as in the authors' release of the deeper ones",
)
_TORCHVISIONS = Conventions(
    padding="half a kernel on every side, 1 around the first pooling: torchvision's",
    initialisation="as in the paper's edition",
    epsilon=1e-05,
    epsilon_source="torchvision's",
)

_PADDED = (Earlier("the first pooling was padded by 1", {"pooling": "padded"}),)

_PAPER = "He, Zhang, Ren, Sun: Deep residual learning for image recognition, CVPR 2016"
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


def _card(name: str, edition: str, title: str, part: str, parameters: int, **fields: object) -> Card:
    values: dict[str, object] = {"preprocessing": IMAGENET, "conventions": _DEEPER, "proof_level": "L2"}
    return Card(
        name=name,
        edition=edition,
        task="classification",
        builder=f"visus.models.classification.resnet:{name}",
        title=title,
        year=2016,
        paper=f"{_PAPER}, {part}",
        input=(3, 224, 224),
        classes=1000,
        parameters=parameters,
        citation="he2016deep",
        **(values | fields),  # type: ignore[arg-type]
    )


def _residual(name: str) -> tuple[Card, ...]:
    fact, parameters, macs, macs_3x3, weights = _RESNETS[name]
    depth = name.removeprefix("resnet")
    has_bottlenecks = macs != macs_3x3
    paper = _card(
        name,
        "paper",
        f"ResNet-{depth} as published",
        "table 1",
        parameters,
        macs=macs,
        fact=fact,
        conventions=_CAFFES if has_bottlenecks else _DEEPER,
        earlier=_PADDED,
        note=_NOTE,
    )
    torchvision = _card(
        name,
        "torchvision",
        f"ResNet-{depth} with torchvision's ImageNet weights",
        "table 1",
        parameters,
        macs=macs_3x3,
        fact=f"{fact}_stride_in_3x3" if has_bottlenecks else f"{fact}_padded_pooling",
        options={"stride_in": "3x3", "pooling": "padded"} if has_bottlenecks else {"pooling": "padded"},
        weights=(weights,),
        conventions=_TORCHVISIONS,
        note="The first pooling is padded by 1, and bottlenecks stride in the 3x3 convolution, not in the first 1x1 "
        "(ResNet v1.5)."
        if has_bottlenecks
        else "The first pooling is padded by 1; all else is as in the paper's edition.",
    )
    if not has_bottlenecks:
        return paper, torchvision
    caffes = _card(
        name,
        "caffe",
        f"ResNet-{depth} with its authors' ImageNet weights",
        "table 1",
        parameters,
        macs=macs,
        fact=fact,
        preprocessing=bgr(103.06262, 115.90288, 123.15163),
        conventions=_CAFFES,
        conversions=(caffe("resnet_weights"),),
        released=(
            ReleasedFile(f"ResNet-{depth}-model.caffemodel", "ImageNet-1k", source="KaimingHe/deep-residual-networks"),
        ),
        proof_level="L1",
        note="The same network as the paper's edition; BGR, and the mean colour of the release's mean image.",
    )
    return paper, torchvision, caffes


_ZEROS = "The paper does not say where a shortcut's maps of zeros lie; here they follow the given ones."

CARDS: tuple[Card, ...] = (
    _card(
        "plain18",
        "paper",
        "Plain network of 18 layers, as published",
        "tables 1 and 2",
        11_515_688,
        macs=1_794_805_760,
        fact="plain_18",
        earlier=_PADDED,
        note=_NOTE,
    ),
    _card(
        "plain34",
        "paper",
        "Plain network of 34 layers, as published",
        "figure 3 and table 2",
        21_623_848,
        macs=3_644_493_824,
        fact="plain_34",
        earlier=_PADDED,
        note=_NOTE,
    ),
    *(card for name in _RESNETS for card in _residual(name)),
    _card(
        "resnet18",
        "option_a",
        "ResNet-18 with shortcuts without weights",
        "table 2",
        11_515_688,
        macs=1_794_805_760,
        fact="resnet_18_option_A",
        options={"shortcuts": "A"},
        earlier=_PADDED,
        note=f"{_NOTE} {_ZEROS}",
    ),
    _card(
        "resnet34",
        "option_a",
        "ResNet-34 with shortcuts without weights",
        "tables 2 and 3",
        21_623_848,
        macs=3_644_493_824,
        fact="resnet_34_option_A",
        options={"shortcuts": "A"},
        earlier=_PADDED,
        note=f"{_NOTE} {_ZEROS}",
    ),
    _card(
        "resnet34",
        "option_c",
        "ResNet-34 with a projection in every shortcut",
        "table 3",
        22_716_840,
        fact="resnet_34_option_C",
        options={"shortcuts": "C"},
        earlier=_PADDED,
        note=_NOTE,
    ),
)
