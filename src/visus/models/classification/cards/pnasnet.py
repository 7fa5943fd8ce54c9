"""The cards of PNASNet-5. Loads no torch."""

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
    "Liu, Zoph, Neumann, Shlens, Hua, Li, Fei-Fei, Yuille, Huang, Murphy: Progressive neural architecture search, "
    "ECCV 2018, figure 1"
)
_HALF = (0.5, 0.5, 0.5)
_NOTE = "Details that the paper leaves open are those of the released code. Parameters with the auxiliary head."

CARDS: tuple[Card, ...] = (
    Card(
        name="pnasnet_5_large",
        edition="paper",
        task="classification",
        builder="visus.models.classification.pnasnet:pnasnet_5_large",
        title="PNASNet-5 (N = 4, F = 216) as published, with the authors' ImageNet weights",
        year=2018,
        paper=_PAPER,
        input=(3, 331, 331),
        classes=1000,
        parameters=90_643_884,
        macs=24_937_395_792,
        preprocessing=Preprocessing(size=(331, 331), mean=_HALF, std=_HALF),  # as the released code
        fact="pnasnet_5_large",
        citation="liu2018progressive",
        conventions=_CONVENTIONS,
        weights=(
            WeightsFile(
                name="timm-pnasnet5large.tf_in1k.safetensors",
                sha256="",
                url="https://huggingface.co/timm/pnasnet5large.tf_in1k/resolve/main/model.safetensors",
                convert="visus.models.classification.nas_weights:pnasnet_from_timm",
                is_partial=True,
                trained_on="ImageNet-1k",
                licence="Apache-2.0 (timm, from TensorFlow's release)",
            ),
        ),
        proof_level="L2",
        note=f"{_NOTE} The weights leave it random.",
    ),
    Card(
        name="pnasnet_5_mobile",
        edition="paper",
        task="classification",
        builder="visus.models.classification.pnasnet:pnasnet_5_mobile",
        title="PNASNet-5 (N = 3, F = 54) as published",
        year=2018,
        paper=_PAPER,
        input=(3, 224, 224),
        classes=1000,
        parameters=7_477_263,
        macs=587_293_200,
        preprocessing=Preprocessing(mean=_HALF, std=_HALF),  # as the released code
        fact="pnasnet_5_mobile",
        citation="liu2018progressive",
        conventions=_CONVENTIONS,
        proof_level="L2",
        note=_NOTE,
    ),
)
