"""The cards of Network in Network. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions, ReleasedFile
from visus.models.classification.cards.cifar import CIFAR
from visus.models.classification.cards.imagenet import bgr, caffe

_CONVENTIONS = Conventions(
    padding="half a kernel on every side; poolings are not padded and round up: the authors' definition",
    initialisation="N(0, 0.05), and N(0, 0.01) where their release for ImageNet has it; class maps' biases 1, not 0",
)

_PAPER = "Lin, Chen, Yan: Network in network, ICLR 2014"
_CIFAR_NOTE = (
    "The paper normalises contrast and whitens (ZCA); here each channel's mean and deviation. The biases of the class "
    "maps begin at 1, so that none is dead from the start. "
)

CARDS: tuple[Card, ...] = (
    Card(
        name="nin_cifar",
        edition="paper",
        task="classification",
        builder="visus.models.classification.nin:nin_cifar",
        title="Network in Network for CIFAR-10 as published",
        year=2014,
        paper=f"{_PAPER}, section 4.1 and figure 2",
        input=(3, 32, 32),
        classes=10,
        parameters=966_986,
        macs=222_486_528,
        preprocessing=CIFAR,
        fact="nin_cifar10_max",
        citation="lin2014network",
        conventions=_CONVENTIONS,
        proof_level="L2",
        note=f"{_CIFAR_NOTE}The widths are those of the authors' definition: the paper prints none.",
    ),
    Card(
        name="nin_cifar",
        edition="caffe",
        task="classification",
        builder="visus.models.classification.nin:nin_cifar",
        title="Network in Network for CIFAR-10 as released for Caffe",
        year=2014,
        paper=f"{_PAPER}, section 4.1 and figure 2",
        input=(3, 32, 32),
        classes=10,
        parameters=966_986,
        macs=222_486_528,
        preprocessing=CIFAR,
        fact="nin_cifar10",
        citation="lin2014network",
        conventions=_CONVENTIONS,
        proof_level="L2",
        options={"second_pooling": "average"},
        conversions=(caffe("nin_weights", "from_caffe_cifar"),),
        released=(ReleasedFile("cifar10_nin.caffemodel", "CIFAR-10", source="gist mavenlin/e56253735ef32c3c296d"),),
        note=f"{_CIFAR_NOTE}The second pooling averages, where the paper takes the largest.",
    ),
    Card(
        name="nin",
        edition="caffe",
        task="classification",
        builder="visus.models.classification.nin:nin",
        title="Network in Network for ImageNet as released for Caffe",
        year=2014,
        paper=f"{_PAPER}, figure 2",
        input=(3, 224, 224),
        classes=1000,
        parameters=7_595_176,
        macs=1_100_188_800,
        preprocessing=bgr(104.0, 117.0, 123.0),
        fact="nin_imagenet",
        citation="lin2014network",
        conventions=_CONVENTIONS,
        conversions=(caffe("nin_weights", "from_caffe_imagenet"),),
        released=(ReleasedFile("nin_imagenet.caffemodel", "ImageNet-1k", source="gist mavenlin/d802a5849de39225bcc6"),),
        proof_level="L2",
        note="The paper trains no network on ImageNet: this is its authors' release. A mean for each channel is "
        "subtracted, where the release has one for each pixel. The biases of the class maps begin at 1, not at 0.",
    ),
)
