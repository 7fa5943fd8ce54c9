"""The classification networks, one card an edition. Loads no torch.

Where a network has several editions with weights, the one whose weights can be fetched comes first.
"""

from __future__ import annotations

from visus.models.card import Card, WeightsFile
from visus.structures.preprocessing import Preprocessing

_HERE = "visus.models.classification"
_IMAGENET = Preprocessing()  # short side 256, centre 224x224, mean and deviation of ImageNet's channels
_GREY_28 = Preprocessing(size=(28, 28), fit="stretch", channels=1, mean=(0.0,), std=(1.0,))
# White paper becomes -0.1 and black ink 1.175 (sec. II-B); MNIST's files hold the ink as 255.
_LENET = Preprocessing(size=(32, 32), fit="stretch", channels=1, mean=(0.1 / 1.275,), std=(1 / 1.275,))
_LENET_NOTE = (
    "The paper pads its 28x28 characters to 32x32; here images are scaled to 32x32. The class codes are drawn anew "
    "after figure 3, and the paper names no value for the constant j of eq. 9."
)

_LENET_PAPER = (
    "LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, Proc. IEEE 1998"
)
_CHOLLET = "Chollet: Deep Learning with Python, Manning 2017"
_RESNET_PAPER = "He, Zhang, Ren, Sun: Deep residual learning for image recognition, CVPR 2016, table 1"
_VGG_PAPER = (
    "Simonyan, Zisserman: Very deep convolutional networks for large-scale image recognition, ICLR 2015, table 1 D"
)
_MOBILENET_PAPER = (
    "Sandler, Howard, Zhu, Zhmoginov, Chen: MobileNetV2: inverted residuals and linear bottlenecks, CVPR 2018, table 2"
)
_RESNET_NOTE = (
    "The paper subtracts a mean for each pixel; here a mean for each channel, and a division by its deviation."
)


def _torchvision(file: str, sha256: str, top1: float, top5: float) -> WeightsFile:
    """IMAGENET1K_V1 of torchvision, with the accuracies that its documentation states in percent.

    torchvision itself states the first eight digits of each hash, in the file's name; the full hashes are those that
    at least two independent public build or download scripts pin for these files.
    """
    return WeightsFile(
        name=file,
        sha256=sha256,
        url=f"https://download.pytorch.org/models/{file}",
        layout="torchvision",
        trained_on="ImageNet-1k",
        licence="BSD-3-Clause (torchvision)",
        metrics={"accuracy": round(top1 / 100, 5), "top5_accuracy": round(top5 / 100, 5)},
    )


# name: (depth's fact, parameters, MACs of the paper's edition, MACs with the stride in the 3x3, weights)
_RESNETS = {
    "resnet18": (
        "resnet_18",
        11_689_512,
        1_814_073_344,
        1_814_073_344,
        _torchvision(
            "resnet18-f37072fd.pth", "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec", 69.758, 89.078
        ),
    ),
    "resnet34": (
        "resnet_34",
        21_797_672,
        3_663_761_408,
        3_663_761_408,
        _torchvision(
            "resnet34-b627a593.pth", "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f", 73.314, 91.420
        ),
    ),
    "resnet50": (
        "resnet_50",
        25_557_032,
        3_857_973_248,
        4_089_184_256,
        _torchvision(
            "resnet50-0676ba61.pth", "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a", 76.130, 92.862
        ),
    ),
    "resnet101": (
        "resnet_101",
        44_549_160,
        7_570_194_432,
        7_801_405_440,
        _torchvision(
            "resnet101-63fe2227.pth", "63fe2227b86e8f1f2063f43a75c84d195911b6a0eace650907dd3dc62dd49a0a", 77.374, 93.546
        ),
    ),
    "resnet152": (
        "resnet_152",
        60_192_808,
        11_282_415_616,
        11_513_626_624,
        _torchvision(
            "resnet152-394f9c45.pth", "394f9c45966e3651a89bbb78a48410a6755854ce4a5ab64927cf1c7247f85e58", 78.312, 94.046
        ),
    ),
}


def _resnet_cards() -> tuple[Card, ...]:
    cards = []
    for name, (fact, parameters, macs, macs_3x3, weights) in _RESNETS.items():
        depth = name.removeprefix("resnet")
        has_bottlenecks = macs != macs_3x3
        shared = {
            "name": name,
            "task": "classification",
            "builder": f"{_HERE}.resnet:{name}",
            "year": 2016,
            "paper": _RESNET_PAPER,
            "input": (3, 224, 224),
            "classes": 1000,
            "parameters": parameters,
            "preprocessing": _IMAGENET,
            "fact": fact,
            "proof_level": "L2",
        }
        cards.append(
            Card(
                **shared,  # type: ignore[arg-type]
                edition="paper",
                title=f"ResNet-{depth} as published",
                macs=macs,
                note=_RESNET_NOTE,
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


CARDS: tuple[Card, ...] = (
    Card(
        name="lenet5",
        edition="paper",
        task="classification",
        builder=f"{_HERE}.lenet:lenet5",
        title="LeNet-5 as published: C3 table, trained subsampling, RBF outputs",
        year=1998,
        paper=f"{_LENET_PAPER}, sec. II-B, figure 2, table I",
        input=(1, 32, 32),
        classes=10,
        parameters=60_000,
        preprocessing=_LENET,
        fact="lenet5_1998",
        proof_level="L2",
        note=_LENET_NOTE,
    ),
    Card(
        name="lenet5",
        edition="modern",
        task="classification",
        builder=f"{_HERE}.lenet:lenet5_modern",
        title="LeNet-5 as it is taught: full C3, average pooling, linear output",
        year=1998,
        paper=f"after {_LENET_PAPER}",
        input=(1, 32, 32),
        classes=10,
        parameters=61_706,
        macs=416_520,
        preprocessing=_LENET,
        fact="lenet5_modern",
        proof_level="L2",
        note="Simplified: every C3 map sees every S2 map, pooling has no weights, the output is a linear layer.",
    ),
    Card(
        name="mnist_cnn",
        edition="paper",
        task="classification",
        builder=f"{_HERE}.mnist_networks:mnist_cnn",
        title="Small CNN for 28x28 images (Chollet)",
        year=2017,
        paper=f"{_CHOLLET}, listings 5.1 and 5.2",
        input=(1, 28, 28),
        classes=10,
        parameters=93_322,
        macs=2_794_240,
        preprocessing=_GREY_28,
        fact="keras_mnist_cnn",
        proof_level="L2",
    ),
    Card(
        name="mnist_cnn_25_50",
        edition="paper",
        task="classification",
        builder=f"{_HERE}.mnist_networks:mnist_cnn_25_50",
        title="Small CNN of 25 and 50 maps for 28x28 images (Lee)",
        year=2016,
        paper="Hung-yi Lee: Deep learning tutorial, slide 'CNN in Keras'",
        input=(1, 28, 28),
        classes=10,
        parameters=137_660,
        macs=1_639_350,
        preprocessing=_GREY_28,
        fact="keras_25_50_cnn",
        proof_level="L2",
        note="The slide prints no activation after the convolutions; ReLU is used, as in its dense layer.",
    ),
    Card(
        name="mnist_dense",
        edition="paper",
        task="classification",
        builder=f"{_HERE}.mnist_networks:mnist_dense",
        title="Dense baseline for 28x28 images (Chollet)",
        year=2017,
        paper=f"{_CHOLLET}, listing 2.2",
        input=(1, 28, 28),
        classes=10,
        parameters=407_050,
        macs=406_528,
        preprocessing=_GREY_28,
        fact="keras_mnist_dense",
        proof_level="L2",
    ),
    Card(
        name="cats_dogs_cnn",
        edition="paper",
        task="classification",
        builder=f"{_HERE}.cats_dogs_cnn:cats_dogs_cnn",
        title="CNN for 150x150 photos of cats and dogs (Chollet)",
        year=2017,
        paper=f"{_CHOLLET}, listings 5.5 and 5.13",
        input=(3, 150, 150),
        classes=2,
        parameters=3_453_121,
        macs=236_095_488,
        preprocessing=Preprocessing(size=(150, 150), fit="stretch", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        fact="keras_cats_dogs_cnn",
        proof_level="L2",
        note="One sigmoid output for two classes, as published; any other number of classes gets a softmax.",
    ),
    Card(
        name="vgg16",
        edition="paper",
        task="classification",
        builder=f"{_HERE}.vgg:vgg16",
        title="VGG-16 (configuration D) as published",
        year=2015,
        paper=_VGG_PAPER,
        input=(3, 224, 224),
        classes=1000,
        parameters=138_357_544,
        macs=15_470_264_320,
        preprocessing=Preprocessing(scale=1.0, mean=(123.68, 116.779, 103.939), std=(1.0, 1.0, 1.0)),  # section 2.1
        fact="vgg_D",
        note="Larger images are seen densely, as in section 3.2. The weights begin as Glorot and Bengio's, which the "
        "paper names as the way to train without a smaller network first.",
    ),
    Card(
        name="vgg16",
        edition="torchvision",
        task="classification",
        builder=f"{_HERE}.vgg:vgg16",
        title="VGG-16 with torchvision's ImageNet weights",
        year=2015,
        paper=_VGG_PAPER,
        input=(3, 224, 224),
        classes=1000,
        parameters=138_357_544,
        macs=15_470_264_320,
        preprocessing=_IMAGENET,
        fact="vgg_D",
        proof_level="L2",
        options={"larger_images": "pooled"},
        weights=(
            _torchvision(
                "vgg16-397923af.pth", "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0", 71.592, 90.382
            ),
        ),
        note="The last map of images that are not 224x224 is pooled to 7x7; the paper slides the dense layers instead.",
    ),
    *_resnet_cards(),
    Card(
        name="mobilenet_v2",
        edition="paper",
        task="classification",
        builder=f"{_HERE}.mobilenet_v2:mobilenet_v2",
        title="MobileNet v2 of width 1 as published",
        year=2018,
        paper=_MOBILENET_PAPER,
        input=(3, 224, 224),
        classes=1000,
        parameters=3_504_872,
        macs=300_774_272,
        preprocessing=Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),  # [-1, 1], as the released code
        fact="mobilenet_v2",
        proof_level="L2",
        note="The paper states no dropout; 0.2 is that of the released code.",
    ),
    Card(
        name="mobilenet_v2",
        edition="torchvision",
        task="classification",
        builder=f"{_HERE}.mobilenet_v2:mobilenet_v2",
        title="MobileNet v2 with torchvision's ImageNet weights",
        year=2018,
        paper=_MOBILENET_PAPER,
        input=(3, 224, 224),
        classes=1000,
        parameters=3_504_872,
        macs=300_774_272,
        preprocessing=_IMAGENET,
        fact="mobilenet_v2",
        proof_level="L2",
        weights=(
            _torchvision(
                "mobilenet_v2-b0353104.pth",
                "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
                71.878,
                90.286,
            ),
        ),
        note="The same network as the paper's edition; other preprocessing.",
    ),
    Card(
        name="mobilenet_v2",
        edition="tf",
        task="classification",
        builder=f"{_HERE}.mobilenet_v2:mobilenet_v2_tf",
        title="MobileNet v2 with TensorFlow's released ImageNet weights",
        year=2018,
        paper=_MOBILENET_PAPER,
        input=(3, 224, 224),
        classes=1000,
        parameters=3_489_097,
        macs=300_775_552,
        preprocessing=Preprocessing(scale=128.0, mean=(1.0, 1.0, 1.0), std=(1.0, 1.0, 1.0)),
        fact="mobilenet_v2",
        proof_level="L2",
        weights=(
            WeightsFile(
                name="mobilenet_v2_1.0_224.npz",
                sha256="72f0381c52fce76c6ebedbb438ad574bd657d85204def0ff6350b4effec8ca74",
                url="",
                layout="tflite-npz",
                trained_on="ImageNet-1k, 8-bit quantised",
                licence="Apache-2.0 (google-coral/test_data, mobilenet_v2_1.0_224_quant.tflite)",
            ),
        ),
        note="SAME padding of TensorFlow, BatchNorm folded into the convolutions, one more output for background.",
    ),
)
