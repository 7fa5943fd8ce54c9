"""The cards of YOLO's classifiers, Darknet-19 and Darknet-53 among them. Loads no torch."""

from __future__ import annotations

from dataclasses import replace

from visus.models.card import Card, Conventions, Earlier, ReleasedFile
from visus.structures.preprocessing import Preprocessing

DARKNET = Conventions(
    padding="half a kernel on every side, as the authors' cfg files",
    initialisation="normal, of variance 2 / fan-in, as the authors' Darknet draws them",
    epsilon=1e-05,
    epsilon_source="of the authors' Darknet (blas_kernels.cu)",
)
"""Those of every network with BatchNorm that Darknet trained, the detectors too."""
_WITHOUT_NORM = Conventions(
    padding="half a kernel on every side, as the authors' cfg files",
    initialisation="normal, of variance 2 / fan-in, as the authors' Darknet draws them",
)


def _values(side: int) -> Preprocessing:
    """Darknet feeds pixels of 0 to 1, without a mean."""
    return Preprocessing(size=(side, side), fit="crop", mean=(0.0,) * 3, std=(1.0,) * 3)


def _file(name: str, *, is_partial: bool = False) -> ReleasedFile:
    page = "https://pjreddie.com/darknet/imagenet/"
    return ReleasedFile(name, "ImageNet-1k", is_partial=is_partial, source=page)


_V1 = Card(
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
    preprocessing=replace(_values(224), mean=(0.5,) * 3, std=(0.5,) * 3),
    fact="yolo_v1_classifier",
    citation="redmon2016you",
    conventions=_WITHOUT_NORM,
    proof_level="L2",
    note="pixels of -1 to 1, of which the paper says nothing, are those of the crop layer of the released "
    "extraction.cfg of November 2015",
)

_V1_RELEASED = replace(
    _V1,
    edition="darknet",
    title="The classifier whose 20 convolutions begin YOLO, as released",
    parameters=23_437_224,
    macs=4_259_340_288,
    preprocessing=_values(224),
    fact="",
    conventions=DARKNET,
    options={"normalised": True, "answer": "convolution"},
    released=(_file("extraction.weights"), _file("extraction.conv.weights", is_partial=True)),
    proof_level="L1",
    note="the authors' extraction.cfg: BatchNorm behind the 20 convolutions, and a 1x1 convolution with a leaky ReLU "
    "before the pooling for the dense layer",
)

_19 = Card(
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
    conventions=DARKNET,
    released=(_file("darknet19.weights"), _file("darknet19.conv.23", is_partial=True)),
    proof_level="L2",
)

_19_LARGE = replace(
    _19,
    edition="darknet-448",
    title="Darknet-19, trained further on larger images",
    input=(3, 448, 448),
    macs=11_163_959_296,
    preprocessing=_values(448),
    fact="",
    released=(_file("darknet19_448.weights"), _file("darknet19_448.conv.23", is_partial=True)),
    note="the same network; ten more epochs at 448x448 (section 3, training for classification)",
)

_53 = Card(
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
    conventions=DARKNET,
    released=(_file("darknet53.weights"), _file("darknet53.conv.74", is_partial=True)),
    proof_level="L2",
)

_53_LARGE = replace(
    _53,
    edition="darknet-448",
    title="Darknet-53, trained further on larger images",
    input=(3, 448, 448),
    macs=28_433_555_456,
    preprocessing=_values(448),
    fact="",
    released=(_file("darknet53_448.weights"),),
    note="the same network at 448x448: the authors' darknet53_448.cfg",
)

_UNCENTRED = Earlier("pixels were of 0 to 1", preprocessing=_values(224))

CARDS: tuple[Card, ...] = (replace(_V1, earlier=(_UNCENTRED,)), _V1_RELEASED, _19, _19_LARGE, _53, _53_LARGE)
