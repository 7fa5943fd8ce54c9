"""The cards of SqueezeNet. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions, ReleasedFile, WeightsFile
from visus.models.classification.cards.imagenet import IMAGENET, bgr, caffe, torchvision_file

_RELEASED = Conventions(
    padding="none in the first convolution and around poolings, which round up; 1 around 3x3 kernels: the "
    "authors' release (DeepScale/SqueezeNet)",
    initialisation="Caffe's xavier, the last convolution N(0, 0.01), as released; its biases 1, not 0",
)
_TORCHVISIONS = Conventions(
    padding="as in the paper's edition",
    initialisation="torchvision's: He et al. (2015), the last convolution N(0, 0.01); its biases 1, not 0",
)

_PAPER = (
    "Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer: SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and "
    "<0.5MB model size, 2016, table 1"
)
_CAFFE = bgr(104.0, 117.0, 123.0, side=227)
_NOTE = "The biases of the class maps begin at 1, not at 0 as released, so that none is dead from the start."

CARDS: tuple[Card, ...] = (
    Card(
        name="squeezenet1_0",
        edition="paper",
        task="classification",
        builder="visus.models.classification.squeezenet:squeezenet1_0",
        title="SqueezeNet 1.0 as published",
        year=2016,
        paper=_PAPER,
        input=(3, 227, 227),
        classes=1000,
        parameters=1_248_424,
        macs=832_667_936,
        preprocessing=_CAFFE,
        fact="squeezenet1_0",
        citation="iandola2016squeezenet",
        conventions=_RELEASED,
        proof_level="L2",
        note=f"The input is 227x227, which the table's maps need; it prints 224x224. {_NOTE}",
    ),
    Card(
        name="squeezenet1_0",
        edition="torchvision",
        task="classification",
        builder="visus.models.classification.squeezenet:squeezenet1_0_torchvision",
        title="SqueezeNet 1.0 with torchvision's ImageNet weights",
        year=2016,
        paper=_PAPER,
        input=(3, 224, 224),
        classes=1000,
        parameters=1_248_424,
        macs=818_924_576,
        preprocessing=IMAGENET,
        fact="squeezenet1_0_torchvision",
        citation="iandola2016squeezenet",
        conventions=_TORCHVISIONS,
        proof_level="L2",
        weights=(torchvision_file("squeezenet1_0-b66bff10.pth", "b66bff10", 58.092, 80.420),),
        note=f"The same network as the paper's edition; other preprocessing, and first weights of twice the variance. "
        f"{_NOTE}",
    ),
    Card(
        name="squeezenet1_0",
        edition="caffe",
        task="classification",
        builder="visus.models.classification.squeezenet:squeezenet1_0",
        title="SqueezeNet 1.0 with its authors' ImageNet weights",
        year=2016,
        paper=_PAPER,
        input=(3, 227, 227),
        classes=1000,
        parameters=1_248_424,
        macs=861_339_936,
        preprocessing=_CAFFE,
        fact="squeezenet1_0_caffe",
        citation="iandola2016squeezenet",
        conventions=_RELEASED,
        proof_level="L2",
        options={"border": 1},
        weights=(
            WeightsFile(
                name="squeezenet1_0_imagenet_caffe.npz",
                sha256="5cc9bcb8011a95f5d385b271e23cc579e0b2a22fa07812d0a51f4130fac545ff",
                url="",
                trained_on="ImageNet-1k, pruned and 8-bit quantised (Deep Compression)",
                licence="BSD (songhan/SqueezeNet-Deep-Compression)",
            ),
        ),
        conversions=(caffe("squeezenet_weights"),),
        released=(
            ReleasedFile("squeezenet_v1.0.caffemodel", "ImageNet-1k", source="DeepScale/SqueezeNet, SqueezeNet_v1.0"),
        ),
        note=f"The last convolution sees a border of one pixel. The default weights are the release, compressed to "
        f"660 KB. {_NOTE}",
    ),
)
