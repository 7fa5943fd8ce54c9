"""The cards of NASNet-A. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions, WeightsFile
from visus.structures.preprocessing import Preprocessing

_CONVENTIONS = Conventions(
    padding="SAME, none in the first convolution: the authors' release (tensorflow/models, slim's nets/nasnet)",
    initialisation="a cut normal distribution of variance 2 / fan-out: that release",
    epsilon=0.001,
    epsilon_source="of that release",
)

_PAPER = (
    "Zoph, Vasudevan, Shlens, Le: Learning transferable architectures for scalable image recognition, CVPR 2018, "
    "figure 4 and table 2"
)
_HALF = (0.5, 0.5, 0.5)
_NOTE = "Details that the paper leaves open are those of the released code. Parameters with the auxiliary head."

CARDS: tuple[Card, ...] = (
    Card(
        name="nasnet_a_large",
        edition="paper",
        task="classification",
        builder="visus.models.classification.nasnet:nasnet_a_large",
        title="NASNet-A (6 @ 4032) as published, with the authors' ImageNet weights",
        year=2018,
        paper=_PAPER,
        input=(3, 331, 331),
        classes=1000,
        parameters=93_320_934,
        macs=23_783_414_658,
        preprocessing=Preprocessing(size=(331, 331), mean=_HALF, std=_HALF),  # as the released code
        fact="nasnet_a_large",
        citation="zoph2018learning",
        conventions=_CONVENTIONS,
        weights=(
            WeightsFile(
                name="timm-nasnetalarge.tf_in1k.safetensors",
                sha256="",
                url="https://huggingface.co/timm/nasnetalarge.tf_in1k/resolve/main/model.safetensors",
                convert="visus.models.classification.nas_weights:nasnet_from_timm",
                is_partial=True,
                trained_on="ImageNet-1k",
                licence="Apache-2.0 (timm, from TensorFlow's release)",
            ),
        ),
        proof_level="L2",
        note=f"{_NOTE} The weights leave it random.",
    ),
    Card(
        name="nasnet_a_mobile",
        edition="paper",
        task="classification",
        builder="visus.models.classification.nasnet:nasnet_a_mobile",
        title="NASNet-A (4 @ 1056) as published",
        year=2018,
        paper=_PAPER,
        input=(3, 224, 224),
        classes=1000,
        parameters=7_701_218,
        macs=563_638_816,
        preprocessing=Preprocessing(mean=_HALF, std=_HALF),  # as the released code
        fact="nasnet_a_mobile",
        citation="zoph2018learning",
        conventions=_CONVENTIONS,
        proof_level="L2",
        note=_NOTE,
    ),
)
