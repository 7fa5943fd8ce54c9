"""The cards of MobileNet v2. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions, Earlier, WeightsFile
from visus.models.classification.cards import keras_files
from visus.models.classification.cards.imagenet import IMAGENET, torchvision_file
from visus.structures.preprocessing import Preprocessing

_SLIM = Conventions(
    padding="SAME: the authors' release (tensorflow/models, slim's nets/mobilenet)",
    initialisation="a cut normal distribution of deviation 0.09: that release",
    epsilon=0.001,
    epsilon_source="slim's default, which that release leaves",
)
_TORCHVISIONS = Conventions(
    padding="half a kernel on every side, torchvision's",
    initialisation="torchvision's: normal, of variance 2 / fan-out; the last layer N(0, 0.01)",
    epsilon=1e-05,
    epsilon_source="torchvision's",
)
_FOLDED = Conventions(
    padding="SAME: the released graph",
    initialisation="He et al. (2015), for no BatchNorm follows the convolutions; the last layer N(0, 0.01)",
)

_PAPER = (
    "Sandler, Howard, Zhu, Zhmoginov, Chen: MobileNetV2: inverted residuals and linear bottlenecks, CVPR 2018, table 2"
)

CARDS: tuple[Card, ...] = (
    Card(
        name="mobilenet_v2",
        edition="paper",
        task="classification",
        builder="visus.models.classification.mobilenet_v2:mobilenet_v2",
        title="MobileNet v2 of width 1 as published",
        year=2018,
        paper=_PAPER,
        input=(3, 224, 224),
        classes=1000,
        parameters=3_504_872,
        macs=300_774_272,
        preprocessing=Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),  # [-1, 1], as the released code
        fact="mobilenet_v2",
        citation="sandler2018mobilenetv2",
        conventions=_SLIM,
        conversions=keras_files.conversion("mobilenet_v2"),
        released=keras_files.released(
            "mobilenet_v2",
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5",
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
        ),
        proof_level="L2",
        earlier=(Earlier("convolutions were padded by 1, and BatchNorm had epsilon 1e-5", {"edition": "torchvision"}),),
        note="Padding, BatchNorm's epsilon, the initial weights and dropout, on which the paper is silent, are the "
        "released code's. Its other widths, 0.35 to 1.4, are the option width.",
    ),
    Card(
        name="mobilenet_v2",
        edition="torchvision",
        task="classification",
        builder="visus.models.classification.mobilenet_v2:mobilenet_v2",
        title="MobileNet v2 with torchvision's ImageNet weights",
        year=2018,
        paper=_PAPER,
        input=(3, 224, 224),
        classes=1000,
        parameters=3_504_872,
        macs=300_774_272,
        preprocessing=IMAGENET,
        fact="mobilenet_v2_torchvision",
        citation="sandler2018mobilenetv2",
        conventions=_TORCHVISIONS,
        proof_level="L2",
        weights=(
            torchvision_file(
                "mobilenet_v2-b0353104.pth",
                "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
                71.878,
                90.286,
            ),
        ),
        options={"edition": "torchvision"},
        note="Padded by 1 on every side, BatchNorm's epsilon 1e-5, other preprocessing.",
    ),
    Card(
        name="mobilenet_v2",
        edition="tf",
        task="classification",
        builder="visus.models.classification.mobilenet_v2:mobilenet_v2_tf",
        title="MobileNet v2 with TensorFlow's released ImageNet weights",
        year=2018,
        paper=_PAPER,
        input=(3, 224, 224),
        classes=1000,
        parameters=3_489_097,
        macs=300_775_552,
        preprocessing=Preprocessing(scale=128.0, mean=(1.0, 1.0, 1.0), std=(1.0, 1.0, 1.0)),
        fact="mobilenet_v2_tf",
        citation="sandler2018mobilenetv2",
        conventions=_FOLDED,
        proof_level="L2",
        weights=(
            WeightsFile(
                name="mobilenet_v2_1.0_224.npz",
                sha256="72f0381c52fce76c6ebedbb438ad574bd657d85204def0ff6350b4effec8ca74",
                url="",
                convert="visus.models.classification.tflite_weights:from_tflite",
                trained_on="ImageNet-1k, 8-bit quantised",
                licence="Apache-2.0 (google-coral/test_data, mobilenet_v2_1.0_224_quant.tflite)",
            ),
        ),
        note="SAME padding of TensorFlow, BatchNorm folded into the convolutions, one more output for background.",
    ),
)
