"""The cards of EfficientNet. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions, WeightsFile
from visus.models.classification.cards import keras_files
from visus.models.classification.cards.imagenet import torchvision_file
from visus.structures.preprocessing import Preprocessing

_PAPERS = Conventions(
    padding="SAME: the authors' release (tensorflow/tpu, efficientnet)",
    initialisation="normal, of variance 2 / fan-out; the last layer uniform: that release",
    epsilon=0.001,
    epsilon_source="of that release",
)
_TORCHVISIONS = Conventions(
    padding="half a kernel on every side, torchvision's",
    initialisation="as in the paper's edition",
    epsilon=1e-05,
    epsilon_source="torchvision's",
)
_TORCHVISIONS_LARGE = Conventions(
    padding="half a kernel on every side, torchvision's",
    initialisation="as in the paper's edition",
    epsilon=0.001,
    epsilon_source="torchvision's for B5, B6 and B7",
)

# name: side, parameters and MACs
_NETWORKS = {
    "b0": (224, 5_288_548, 385_814_752),
    "b1": (240, 7_794_184, 686_802_832),
    "b2": (260, 9_109_994, 993_561_872),
    "b3": (300, 12_233_232, 1_827_141_392),
    "b4": (380, 19_341_616, 4_393_771_024),
    "b5": (456, 30_389_784, 10_266_384_752),
    "b6": (528, 43_040_704, 19_067_593_536),
    "b7": (600, 66_347_960, 37_745_884_192),
}
# name: side and shorter side of the file that torchvision evaluates its weights with
_TORCHVISION = {
    "b0": (
        224,
        256,
        torchvision_file(
            "efficientnet_b0_rwightman-7f5810bc.pth",
            "7f5810bc96def8f7552d5b7e68d53c4786f81167d28291b21c0d90e1fca14934",
            77.692,
            93.532,
        ),
    ),
    "b1": (240, 256, torchvision_file("efficientnet_b1_rwightman-bac287d4.pth", "bac287d4", 78.642, 94.186)),
    "b2": (288, 288, torchvision_file("efficientnet_b2_rwightman-c35c1473.pth", "c35c1473", 80.608, 95.310)),
    "b3": (300, 320, torchvision_file("efficientnet_b3_rwightman-b3899882.pth", "b3899882", 82.008, 96.054)),
    "b4": (380, 384, torchvision_file("efficientnet_b4_rwightman-23ab8bcd.pth", "23ab8bcd", 83.384, 96.594)),
    "b5": (456, 456, torchvision_file("efficientnet_b5_lukemelas-1a07897c.pth", "1a07897c", 83.444, 96.628)),
    "b6": (528, 528, torchvision_file("efficientnet_b6_lukemelas-24a108a5.pth", "24a108a5", 84.008, 96.916)),
    "b7": (600, 600, torchvision_file("efficientnet_b7_lukemelas-c5b4e57e.pth", "c5b4e57e", 84.122, 96.908)),
}
_LARGE = ("b5", "b6", "b7")


def _cards() -> tuple[Card, ...]:
    cards = []
    for name, (side, parameters, macs) in _NETWORKS.items():
        shared = {
            "name": f"efficientnet_{name}",
            "task": "classification",
            "builder": f"visus.models.classification.efficientnet:efficientnet_{name}",
            "year": 2019,
            "paper": "Tan, Le: EfficientNet: rethinking model scaling for convolutional neural networks, ICML 2019, "
            "tables 1 and 2",
            "classes": 1000,
            "parameters": parameters,
            "citation": "tan2019efficientnet",
            "proof_level": "L2",
        }
        cards.append(
            Card(
                **shared,  # type: ignore[arg-type]
                edition="paper",
                title=f"EfficientNet-{name.upper()} as published, with the authors' ImageNet weights",
                input=(3, side, side),
                macs=macs,
                # The released code cuts the centre that leaves 32 pixels of the file's shorter side.
                preprocessing=Preprocessing(size=(side, side), crop_fraction=side / (side + 32)),
                fact=f"efficientnet_{name}",
                weights=(_timm_file(name),),
                conversions=keras_files.conversion("efficientnet"),
                released=keras_files.released("efficientnet", f"efficientnet{name}.h5", f"efficientnet{name}_notop.h5"),
                conventions=_PAPERS,
                note="Padding, BatchNorm's epsilon and the initial weights are those of the released code; the paper "
                "names none.",
            )
        )
        crop, short, file = _TORCHVISION[name]
        is_paper_size = crop == side
        cards.append(
            Card(
                **shared,  # type: ignore[arg-type]
                edition="torchvision",
                title=f"EfficientNet-{name.upper()} with torchvision's ImageNet weights",
                input=(3, crop, crop),
                macs=macs if is_paper_size else 1_087_529_456,
                preprocessing=Preprocessing(size=(crop, crop), crop_fraction=crop / short),
                fact=f"efficientnet_{name}" if is_paper_size else f"efficientnet_{name}_torchvision",
                options={"edition": "torchvision"},
                weights=(file,),
                conventions=_TORCHVISIONS_LARGE if name in _LARGE else _TORCHVISIONS,
                note="Pads half a kernel on all sides"
                + ("." if name in _LARGE else "; BatchNorm of momentum 0.9 and epsilon 1e-5.")
                + ("" if is_paper_size else " Images are larger than the paper's, as the weights are evaluated."),
            )
        )
    return tuple(cards)


def _timm_file(name: str) -> WeightsFile:
    """The released weights with AutoAugment, as section 5.2 trains, in timm's names."""
    repository = f"tf_efficientnet_{name}.aa_in1k"
    return WeightsFile(
        name=f"timm-{repository}.safetensors",
        sha256="",
        url=f"https://huggingface.co/timm/{repository}/resolve/main/model.safetensors",
        convert="visus.models.classification.efficientnet_weights:from_timm",
        trained_on="ImageNet-1k",
        licence="Apache-2.0 (timm, from TensorFlow's release)",
    )


CARDS: tuple[Card, ...] = _cards()
