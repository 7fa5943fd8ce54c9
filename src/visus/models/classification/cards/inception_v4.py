"""The cards of Inception-v4 and the Inception-ResNets. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions, WeightsFile
from visus.structures.preprocessing import Preprocessing

_CONVENTIONS = Conventions(
    padding="VALID where the figures say V, else SAME",
    initialisation="a cut normal distribution of variance 2 / fan-in, the last layer Glorot and Bengio's: the "
    "authors' release (slim)",
    epsilon=0.001,
    epsilon_source="of the authors' release (tensorflow/models, slim's inception_utils)",
)

_HERE = "visus.models.classification.inception_v4"
_PAPER = (
    "Szegedy, Ioffe, Vanhoucke, Alemi: Inception-v4, Inception-ResNet and the impact of residual connections on "
    "learning, AAAI 2017"
)
# [-1, 1], and the centre 7/8 of the image, as the released code.
_PREPROCESSING = Preprocessing(size=(299, 299), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def _card(name: str, edition: str, title: str, figures: str, **fields: object) -> Card:
    return Card(
        name=name,
        edition=edition,
        title=title,
        paper=f"{_PAPER}, {figures}",
        task="classification",
        year=2017,
        input=(3, 299, 299),
        classes=1000,
        preprocessing=_PREPROCESSING,
        citation="szegedy2017inception",
        conventions=_CONVENTIONS,
        proof_level="L2",
        **fields,  # type: ignore[arg-type]
    )


def _timm(function: str, repository: str) -> WeightsFile:
    return WeightsFile(
        name=f"timm-{repository}.safetensors",
        sha256="",
        url=f"https://huggingface.co/timm/{repository}/resolve/main/model.safetensors",
        convert=f"visus.models.classification.inception_v4_weights:{function}",
        trained_on="ImageNet-1k",
        licence="Apache-2.0 (timm, from TensorFlow's release)",
    )


CARDS: tuple[Card, ...] = (
    _card(
        "inception_v4",
        "paper",
        "Inception-v4 as published",
        "figures 3 to 9",
        builder=f"{_HERE}:inception_v4",
        parameters=42_679_816,
        macs=12_253_974_624,
        fact="inception_v4",
    ),
    _card(
        "inception_v4",
        "timm",
        "Inception-v4 with the released ImageNet weights",
        "figures 3 to 9",
        builder=f"{_HERE}:inception_v4",
        parameters=42_679_816,
        macs=12_253_974_624,
        fact="inception_v4",
        weights=(_timm("v4_from_timm", "inception_v4.tf_in1k"),),
        note="The same network as the paper's edition.",
    ),
    _card(
        "inception_resnet_v1",
        "paper",
        "Inception-ResNet-v1 as published",
        "figures 10 to 15",
        builder=f"{_HERE}:inception_resnet_v1",
        parameters=22_756_328,
        macs=6_206_361_696,
        fact="inception_resnet_v1",
        note="The paper names a range for the scale of the residuals; it is that of the released network here.",
    ),
    _card(
        "inception_resnet_v2",
        "paper",
        "Inception-ResNet-v2 as its figures have it",
        "figures 3 and 15 to 19",
        builder=f"{_HERE}:inception_resnet_v2",
        parameters=32_433_928,
        macs=9_257_953_632,
        fact="inception_resnet_v2_paper_figures",
        note="Figures 17 and 19 print 1154 and 2048 maps where only 1152 and 2144 can be added.",
    ),
    _card(
        "inception_resnet_v2",
        "timm",
        "Inception-ResNet-v2 with the released ImageNet weights",
        "in the released layout",
        builder=f"{_HERE}:inception_resnet_v2_released",
        parameters=55_843_464,
        macs=13_155_794_016,
        fact="inception_resnet_v2_released",
        weights=(_timm("resnet_v2_from_timm", "inception_resnet_v2.tf_in1k"),),
        note="Not the figures': the plain stem, 10, 20 and 10 residual modules, and a 1x1 convolution behind them.",
    ),
)
