"""The cards of GoogLeNet to Inception-v3, and of SE-BN-Inception. Loads no torch."""

from __future__ import annotations

from dataclasses import replace

from visus.models.card import Card, Conventions, Earlier, ReleasedFile, WeightsFile
from visus.models.classification.cards.imagenet import bgr, caffe, torchvision_file
from visus.structures.preprocessing import Preprocessing

_BVLC_GOOGLENET = Conventions(
    padding="half a kernel on every side; strided poolings are not padded and round up: Caffe's "
    "bvlc_googlenet, for the authors released none",
    initialisation="Caffe's xavier and biases of 0.2, of bvlc_googlenet",
)
_TORCHVISION_GOOGLENET = Conventions(
    padding="half a kernel on every side; poolings round up: torchvision's",
    initialisation="torchvision's: N(0, 0.01), cut at +-2",
    epsilon=0.001,
    epsilon_source="torchvision's",
)
_SLIM_V2 = Conventions(
    padding="SAME: the authors' release (tensorflow/models, slim's inception_v2)",
    initialisation="a cut normal distribution of variance 2 / fan-in, or deviation 0.09 and 0.1: that release",
    epsilon=0.001,
    epsilon_source="of that release",
)
_CAFFE_BN_INCEPTION = Conventions(
    padding="half a kernel on every side; strided poolings are not padded and round up: the Caffe port (yjxiong/caffe)",
    initialisation="as in the paper's edition",
    epsilon=1e-05,
    epsilon_source="of the Caffe port",
)
_SLIM_V3 = Conventions(
    padding="VALID and SAME where the authors' release has them (tensorflow/models, slim's inception_v3)",
    initialisation="a cut normal distribution of deviation 0.1, 0.01 in the last layers: that release",
    epsilon=0.001,
    epsilon_source="of that release",
)
_TORCHVISION_V3 = Conventions(
    padding="that of the authors' release; zeros count at the border of means, torchvision's",
    initialisation="as in the paper's edition",
    epsilon=0.001,
    epsilon_source="torchvision's, and of the authors' release",
)
_SENET = Conventions(
    padding="half a kernel on every side; strided poolings are not padded and round up: the authors' prototxt "
    "(hujie-frank/SENet)",
    initialisation="He et al. (2015), as the paper's section 5.1 says",
    epsilon=1e-05,
    epsilon_source="Caffe's default, which the authors' prototxt leaves",
)

_GOOGLENET = (
    "Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke, Rabinovich: Going deeper with convolutions, "
    "CVPR 2015, table 1"
)
_BN_INCEPTION = (
    "Ioffe, Szegedy: Batch normalization: accelerating deep network training by reducing internal covariate shift, "
    "ICML 2015, figure 5"
)
_INCEPTION_V3 = (
    "Szegedy, Vanhoucke, Ioffe, Shlens, Wojna: Rethinking the Inception architecture for computer vision, CVPR 2016, "
    "figures 5 to 7 and 10, in the released layout"
)

_HALF = (0.5, 0.5, 0.5)
"""Mean and deviation that make [-1, 1] of [0, 1]. So does torchvision's ``transform_input``, its default with these
weights, with images that are normalised by ImageNet's colours."""

_PUBLISHED_GOOGLENET = Card(
    name="googlenet",
    edition="paper",
    task="classification",
    builder="visus.models.classification.googlenet:googlenet",
    title="GoogLeNet (Inception-v1) as published",
    year=2015,
    paper=_GOOGLENET,
    input=(3, 224, 224),
    classes=1000,
    parameters=13_378_280,
    macs=1_582_671_872,
    preprocessing=Preprocessing(scale=1.0, mean=(123.0, 117.0, 104.0), std=(1.0, 1.0, 1.0)),  # bvlc_googlenet's
    fact="googlenet",
    citation="szegedy2015going",
    conventions=_BVLC_GOOGLENET,
    proof_level="L2",
    note="The constants of the response normalisation, the initial weights and the mean colour are those of "
    "Caffe's bvlc_googlenet; the paper names none. Parameters with both auxiliary heads, operations without.",
)

CARDS: tuple[Card, ...] = (
    _PUBLISHED_GOOGLENET,
    Card(
        name="googlenet",
        edition="torchvision",
        task="classification",
        builder="visus.models.classification.googlenet:googlenet",
        title="GoogLeNet with torchvision's ImageNet weights",
        year=2015,
        paper=_GOOGLENET,
        input=(3, 224, 224),
        classes=1000,
        parameters=13_004_888,
        macs=1_498_376_192,
        preprocessing=Preprocessing(mean=_HALF, std=_HALF),
        fact="googlenet_torchvision",
        citation="szegedy2015going",
        conventions=_TORCHVISION_GOOGLENET,
        proof_level="L2",
        options={"edition": "torchvision", "dropout": 0.2},
        weights=(
            torchvision_file(
                "googlenet-1378be20.pth",
                "1378be20a8e875cf1568b8a71654e704449655e34711a959a38b04fb34905cef",
                69.778,
                89.530,
            ),
        ),
        note="BatchNorm, 3x3 kernels instead of 5x5, no response normalisation, a 2x2 window in the last strided "
        "pooling. The published file's auxiliary heads are not trained.",
    ),
    replace(
        _PUBLISHED_GOOGLENET,
        edition="caffe",
        title="GoogLeNet with Caffe's ImageNet weights",
        preprocessing=bgr(104.0, 117.0, 123.0),
        conversions=(caffe("googlenet_weights"),),
        released=(
            ReleasedFile("bvlc_googlenet.caffemodel", "ImageNet-1k", source="BVLC/caffe, models/bvlc_googlenet"),
        ),
        proof_level="L1",
        note="The paper's authors released no weights; these are of Caffe's authors (BVLC), the field's standard "
        "release. The same network as the paper's edition, with both auxiliary heads; BGR. Images are stretched to "
        "256x256 before the cut there, here their shorter side is scaled.",
    ),
    Card(
        name="bn_inception",
        edition="paper",
        task="classification",
        builder="visus.models.classification.bn_inception:bn_inception",
        title="BN-Inception as published",
        year=2015,
        paper=_BN_INCEPTION,
        input=(3, 224, 224),
        classes=1000,
        parameters=11_194_984,
        macs=2_018_851_840,
        preprocessing=Preprocessing(mean=_HALF, std=_HALF),  # of the authors' TensorFlow-Slim
        fact="bn_inception",
        citation="ioffe2015batch",
        conventions=_SLIM_V2,
        proof_level="L2",
        earlier=(
            Earlier("convolutions were padded by half their kernel, and the stem's poolings not", {"padding": "half"}),
        ),
        note="The figure's pooling projections of 128 in 4c and 4d contradict the sizes beside them; 96, as in the "
        "authors' TensorFlow-Slim, fit. The first convolution is a full one; the authors computed it as a separable "
        "one (first=separable).",
    ),
    Card(
        name="bn_inception",
        edition="caffe",
        task="classification",
        builder="visus.models.classification.bn_inception:bn_inception_caffe",
        title="BN-Inception with its Caffe ImageNet weights",
        year=2015,
        paper=_BN_INCEPTION,
        input=(3, 224, 224),
        classes=1000,
        parameters=11_295_240,
        macs=2_032_600_064,
        preprocessing=Preprocessing(scale=1.0, order="BGR", mean=(104.0, 117.0, 128.0), std=(1.0, 1.0, 1.0)),
        fact="bn_inception_caffe",
        citation="ioffe2015batch",
        conventions=_CAFFE_BN_INCEPTION,
        proof_level="L2",
        weights=(
            WeightsFile(
                name="bn_inception-52deb4733.pth",
                sha256="52deb473314542a5c2f87e9e6f26f4ca42fe863d15f986414dbae8c2dfdd2353",
                url="http://data.lip6.fr/cadene/pretrainedmodels/bn_inception-52deb4733.pth",
                convert="visus.models.classification.bn_inception_weights:from_caffe",
                trained_on="ImageNet-1k",
                licence="BSD-3-Clause (Cadene/pretrained-models.pytorch)",
                metrics={"accuracy": 0.73524, "top5_accuracy": 0.91562},
            ),
        ),
        conversions=(caffe("bn_inception_weights", "from_caffemodel", mark="conv1/7x7_s2_bn.3"),),
        released=(
            ReleasedFile(
                "bn_inception_rgb_init.caffemodel",
                "ImageNet-1k",
                source="yjxiong/temporal-segment-networks, scripts/get_init_models.sh",
            ),
        ),
        note="Pooling projections of 128 maps in 4c and 4d, a bias beside every BatchNorm, and zeros that count at the "
        "border of average pooling. The temporal segment networks subtract 123 from red; the ports 128, as here.",
    ),
    Card(
        name="inception_v3",
        edition="paper",
        task="classification",
        builder="visus.models.classification.inception_v3:inception_v3",
        title="Inception-v3 as its authors released it",
        year=2016,
        paper=_INCEPTION_V3,
        input=(3, 299, 299),
        classes=1000,
        parameters=27_161_264,
        macs=5_713_216_096,
        preprocessing=Preprocessing(size=(299, 299), mean=_HALF, std=_HALF),
        fact="inception_v3",
        citation="szegedy2016rethinking",
        conventions=_SLIM_V3,
        proof_level="L2",
        note="The paper prints no widths inside its modules; they are those of the authors' released network, as are "
        "dropout, the initial weights and the share of the auxiliary loss. Parameters with the auxiliary head, "
        "operations without.",
    ),
    Card(
        name="inception_v3",
        edition="torchvision",
        task="classification",
        builder="visus.models.classification.inception_v3:inception_v3",
        title="Inception-v3 with torchvision's ImageNet weights",
        year=2016,
        paper=_INCEPTION_V3,
        input=(3, 299, 299),
        classes=1000,
        parameters=27_161_264,
        macs=5_713_216_096,
        preprocessing=Preprocessing(size=(299, 299), crop_fraction=299 / 342, mean=_HALF, std=_HALF),
        fact="inception_v3",
        citation="szegedy2016rethinking",
        conventions=_TORCHVISION_V3,
        proof_level="L2",
        options={"edition": "torchvision", "dropout": 0.5},
        weights=(
            torchvision_file(
                "inception_v3_google-0cc3c7bd.pth",
                "0cc3c7bd75056d25e46cba549dc184522069b81e9787eff6df84f397bd52a5ef",
                77.294,
                93.450,
            ),
        ),
        note="Zeros count at the border of average pooling, and dropout is 0.5.",
    ),
    Card(
        name="se_bn_inception",
        edition="paper",
        task="classification",
        builder="visus.models.classification.se_bn_inception:se_bn_inception",
        title="SE-BN-Inception as its authors released it",
        year=2018,
        paper="Hu, Shen, Sun: Squeeze-and-excitation networks, CVPR 2018, figure 2 and table 2",
        input=(3, 224, 224),
        classes=1000,
        parameters=11_931_622,
        macs=2_033_239_424,
        preprocessing=bgr(104.0, 117.0, 123.0),
        fact="se_bn_inception",
        citation="hu2018squeeze",
        conventions=_SENET,
        conversions=(caffe("se_bn_inception_weights"),),
        released=(ReleasedFile("SE-BN-Inception.caffemodel", "ImageNet-1k", source="hujie-frank/SENet"),),
        proof_level="L2",
        note="The widths of the authors' prototxt, whose projections in 4c and 4d are Caffe's 128, not the 96 of "
        "bn_inception@paper.",
    ),
)
