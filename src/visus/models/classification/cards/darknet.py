"""The cards of YOLO's classifiers, Darknet-19 and Darknet-53 among them. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions
from visus.structures.preprocessing import Preprocessing

_DARKNET = Conventions(
    padding="half a kernel on every side, as the authors' cfg files",
    initialisation="normal, of variance 2 / fan-in, as the authors' Darknet draws them",
    epsilon=1e-05,
    epsilon_source="of the authors' Darknet (blas_kernels.cu)",
)
_WITHOUT_NORM = Conventions(
    padding="half a kernel on every side, as the authors' cfg files",
    initialisation="normal, of variance 2 / fan-in, as the authors' Darknet draws them",
)


def _values(side: int) -> Preprocessing:
    """Darknet feeds pixels of 0 to 1, without a mean."""
    return Preprocessing(size=(side, side), fit="crop", mean=(0.0,) * 3, std=(1.0,) * 3)


CARDS: tuple[Card, ...] = (
    Card(
        name="yolov1_classifier",
        edition="paper",
        task="classification",
        builder="visus.models.classification.yolov1_classifier:yolov1_classifier",
        title="The classifier whose 20 convolutions begin YOLO, as published",
        year=2016,
        paper="J. Redmon, S. Divvala, R. Girshick, A. Farhadi. You Only Look Once: Unified, Real-Time Object "
        "Detection. CVPR 2016, arXiv:1506.02640, section 2.2 and figure 3",
        input=(3, 224, 224),
        classes=1000,
        parameters=23_428_136,
        macs=4_210_188_288,
        preprocessing=_values(224),
        fact="yolo_v1_classifier",
        citation="redmon2016you",
        conventions=_WITHOUT_NORM,
        proof_level="L2",
    ),
    Card(
        name="darknet19",
        edition="paper",
        task="classification",
        builder="visus.models.classification.darknet19:darknet19",
        title="Darknet-19, the classifier of YOLO v2, as published",
        year=2017,
        paper="J. Redmon, A. Farhadi. YOLO9000: Better, Faster, Stronger. CVPR 2017, arXiv:1612.08242, table 6",
        input=(3, 224, 224),
        classes=1000,
        parameters=20_842_376,
        macs=2_790_989_824,
        preprocessing=_values(224),
        fact="darknet_19",
        citation="redmon2017yolo9000",
        conventions=_DARKNET,
        proof_level="L2",
    ),
    Card(
        name="darknet53",
        edition="paper",
        task="classification",
        builder="visus.models.classification.darknet53:darknet53",
        title="Darknet-53, the classifier of YOLO v3, as published",
        year=2018,
        paper="J. Redmon, A. Farhadi. YOLOv3: An Incremental Improvement. 2018, arXiv:1804.02767, table 1",
        input=(3, 256, 256),
        classes=1000,
        parameters=41_609_928,
        macs=9_285_115_904,
        preprocessing=_values(256),
        fact="darknet_53",
        citation="redmon2018yolov3",
        conventions=_DARKNET,
        proof_level="L2",
    ),
)
