"""The cards of MobileNet v1. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions, Earlier, WeightsFile
from visus.structures.preprocessing import Preprocessing

_SLIM = Conventions(
    padding="SAME: the authors' release (tensorflow/models, slim's mobilenet_v1)",
    initialisation="a cut normal distribution of deviation 0.09: that release",
    epsilon=0.001,
    epsilon_source="of that release",
)
_TIMMS = Conventions(
    padding="half a kernel on every side, timm's",
    initialisation="as in the paper's edition",
    epsilon=1e-05,
    epsilon_source="timm's",
)
_FOLDED = Conventions(
    padding="SAME: the released graphs",
    initialisation="dense layer as in the paper's edition, convolutions He et al. (2015), for no BatchNorm "
    "follows them",
)

_HALF = (0.5, 0.5, 0.5)
_ONE = (1.0, 1.0, 1.0)

# name: width, parameters and MACs of the paper's edition; side, parameters, MACs and SHA-256 of the released graph's
_WIDTHS = {
    "mobilenet_v1": (1.0, 4_231_976, 568_740_352, None),
    "mobilenet_v1_075": (
        0.75,
        2_585_560,
        325_400_448,
        (192, 2_578_121, 239_274_240, "35c4addb6f592822e84341e8e467fd3f6862b63d715fde9d02e19f6fb78fc53c"),
    ),
    "mobilenet_v1_050": (
        0.5,
        1_331_592,
        149_497_088,
        (160, 1_326_633, 76_525_312, "9766f465011d918fc8297a4c3581ed1d64b7028005c9c9c1e4285dca663ea8df"),
    ),
    "mobilenet_v1_025": (
        0.25,
        470_072,
        41_030_272,
        (128, 467_593, 13_570_304, "09f0cca65a5bd3769690c86a25717ad17fb054319944305bf4a4a487bbc5b835"),
    ),
}


def _cards() -> tuple[Card, ...]:
    cards = []
    for name, (width, parameters, macs, released) in _WIDTHS.items():
        shared = {
            "name": name,
            "task": "classification",
            "year": 2017,
            "paper": "Howard, Zhu, Chen, Kalenichenko, Wang, Weyand, Andreetto, Adam: MobileNets: efficient "
            "convolutional neural networks for mobile vision applications, 2017, table 1",
            "classes": 1000,
            "citation": "howard2017mobilenets",
            "proof_level": "L2",
        }
        plain = {
            **shared,
            "builder": "visus.models.classification.mobilenet_v1:mobilenet_v1",
            "input": (3, 224, 224),
            "parameters": parameters,
            "macs": macs,
            "preprocessing": Preprocessing(mean=_HALF, std=_HALF),  # [-1, 1], as the released code
            "fact": name,
        }
        cards.append(
            Card(
                **plain,  # type: ignore[arg-type]
                edition="paper",
                title=f"MobileNet v1 of width {width:g} as published",
                options={"width": width} if width < 1 else {},
                conventions=_SLIM,
                earlier=(Earlier("convolutions were padded by 1", {"edition": "padded"}),),
                note="The paper names neither padding, initial weights, BatchNorm's epsilon nor dropout; those are "
                "the released code's.",
            )
        )
        if width == 1:
            cards.append(
                Card(
                    **{**plain, "fact": f"{name}_timm"},  # type: ignore[arg-type]
                    edition="timm",
                    title="MobileNet v1 of width 1 with timm's ImageNet weights",
                    options={"edition": "timm"},
                    conventions=_TIMMS,
                    weights=(_timm_file(),),
                    note="ReLU6 in place of ReLU, as in the released code; padded by 1 on every side, BatchNorm's "
                    "epsilon 1e-5.",
                )
            )
        if released is None:
            continue
        side, parameters, macs, sha256 = released
        cards.append(
            Card(
                **shared,  # type: ignore[arg-type]
                builder="visus.models.classification.mobilenet_v1:mobilenet_v1_tf",
                input=(3, side, side),
                parameters=parameters,
                macs=macs,
                preprocessing=Preprocessing(size=(side, side), scale=128.0, mean=_ONE, std=_ONE),
                fact=f"{name}_tf",
                edition="tf",
                title=f"MobileNet v1 of width {width:g} with TensorFlow's released ImageNet weights",
                options={"width": width},
                conventions=_FOLDED,
                weights=(_tflite_file(f"mobilenet_v1_{width:g}_{side}", sha256),),
                note="ReLU6, SAME padding of TensorFlow, BatchNorm folded into the convolutions, one more output for "
                "background.",
            )
        )
    return tuple(cards)


def _timm_file() -> WeightsFile:
    return WeightsFile(
        name="timm-mobilenetv1_100.ra4_e3600_r224_in1k.safetensors",
        sha256="",
        url="https://huggingface.co/timm/mobilenetv1_100.ra4_e3600_r224_in1k/resolve/main/model.safetensors",
        trained_on="ImageNet-1k",
        licence="Apache-2.0 (timm)",
    )


def _tflite_file(graph: str, sha256: str) -> WeightsFile:
    return WeightsFile(
        name=f"{graph}.npz",
        sha256=sha256,
        url="",
        convert="visus.models.classification.tflite_weights:from_tflite",
        trained_on="ImageNet-1k, 8-bit quantised",
        licence=f"Apache-2.0 (google-coral/test_data, {graph}_quant.tflite)",
    )


CARDS: tuple[Card, ...] = _cards()
