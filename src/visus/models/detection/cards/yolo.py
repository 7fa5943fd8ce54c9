"""The cards of the YOLOs. Loads no torch."""

from __future__ import annotations

from dataclasses import replace

from visus.models.card import Card, WeightsFile
from visus.structures.preprocessing import Preprocessing


def _pixels(side: int) -> Preprocessing:
    """Darknet feeds pixels of 0 to 1 without a mean, and pads both sides with grey (detector.c, letterbox_image)."""
    return Preprocessing(size=(side, side), fit="letterbox", centred=True, mean=(0.0,) * 3, std=(1.0,) * 3, fill=127)


def _file(name: str, sha256: str, metrics: dict[str, float]) -> tuple[WeightsFile, ...]:
    """A file of the authors' page; the hashes are those that at least two independent public scripts pin."""
    return (
        WeightsFile(
            name=name,
            sha256=sha256,
            url=f"https://data.pjreddie.com/files/{name}",
            trained_on="COCO 2014",
            licence="public domain (Darknet's licence)",
            metrics=metrics,
        ),
    )


_V3 = Card(
    name="yolov3",
    edition="paper",
    task="detection",
    builder="visus.models.detection.yolov3:yolov3",
    title="YOLO v3: three maps of Darknet-53 answer",
    year=2018,
    paper="J. Redmon, A. Farhadi. YOLOv3: An Incremental Improvement. 2018, arXiv:1804.02767, sections 2.1 to 2.4",
    input=(3, 416, 416),
    classes=80,
    parameters=61_949_149,
    macs=32_932_037_632,
    preprocessing=_pixels(416),
    fact="yolo_v3",
    citation="redmon2018yolov3",
    own_data="yolo",
    own_anchors=9,
    takes_backbone=True,
    weights=_file(
        "yolov3.weights", "523e4e69e1d015393a1b0a441cef1d9c7659e3eb2d7e15f793f060a21b32f297", {"map50": 0.553}
    ),
    proof_level="L2",
    note="what the paper leaves open (the layers between the maps, the weight of small boxes, which overlap counts as "
    "an ignored one) is that of the released yolov3.cfg and yolo_layer.c",
)

_V3_TINY = replace(
    _V3,
    name="yolov3_tiny",
    edition="darknet",
    builder="visus.models.detection.yolov3:yolov3_tiny",
    title="YOLO v3's tiny form, as released",
    paper="J. Redmon, A. Farhadi. YOLOv3: An Incremental Improvement. 2018, arXiv:1804.02767; yolov3-tiny.cfg",
    parameters=8_852_366,
    macs=2_782_480_896,
    fact="yolo_v3_tiny",
    own_anchors=6,
    weights=_file(
        "yolov3-tiny.weights", "dccea06f59b781ec1234ddf8d1e94b9519a97f4245748a7d4db75d5b7080a42c", {"map50": 0.331}
    ),
    note="not in the paper: the authors' yolov3-tiny.cfg, with the anchors that its weights were trained with",
)

_V2 = Card(
    name="yolov2",
    edition="paper",
    task="detection",
    builder="visus.models.detection.yolov2:yolov2",
    title="YOLO v2 on Darknet-19, as published",
    year=2017,
    paper="J. Redmon, A. Farhadi. YOLO9000: Better, Faster, Stronger. CVPR 2017, arXiv:1612.08242, section 2",
    input=(3, 416, 416),
    classes=20,
    parameters=67_137_565,
    macs=17_449_063_424,
    preprocessing=_pixels(416),
    fact="yolo_v2",
    citation="redmon2017yolo9000",
    own_data="yolo",
    own_anchors=5,
    takes_backbone=True,
    proof_level="L2",
    note="what the paper leaves open (the last layers, the weights of the losses) is that of the released yolo-voc.cfg "
    "and region_layer.c; boxes count alike in the loss, as in region_layer.c when the paper was written",
)

_NARROWED = (
    "the passthrough narrows the finer map to 64 channels, and reorganises it as darknet's reorg_cpu does; small boxes "
    "count more in the loss, as in region_layer.c since its cfg was released"
)

_V2_VOC = replace(
    _V2,
    edition="darknet-voc",
    title="YOLO v2 as released for PASCAL VOC",
    parameters=50_655_389,
    macs=14_680_167_424,
    fact="yolo_v2_voc",
    proof_level="L1",
    options={"passthrough": "narrow", "box_weight": "small_more"},
    note=_NARROWED,
)

_V2_COCO = replace(
    _V2_VOC,
    edition="darknet-coco",
    title="YOLO v2 as released for COCO",
    input=(3, 608, 608),
    classes=80,
    parameters=50_962_889,
    macs=31_469_126_656,
    preprocessing=_pixels(608),
    fact="yolo_v2_coco",
    options={"passthrough": "narrow", "anchors": "coco", "box_weight": "small_more"},
    weights=_file(
        "yolov2.weights", "d9945162ed6f54ce1a901e3ec537bdba4d572ecae7873087bd730e5a7942df3f", {"map50": 0.481}
    ),
    note=f"{_NARROWED}; anchors found on COCO",
)

_V1 = Card(
    name="yolov1",
    edition="paper",
    task="detection",
    builder="visus.models.detection.yolov1:yolov1",
    title="YOLO, as published",
    year=2016,
    paper="J. Redmon, S. Divvala, R. Girshick, A. Farhadi. You Only Look Once: Unified, Real-Time Object Detection. "
    "CVPR 2016, arXiv:1506.02640, figure 3",
    input=(3, 448, 448),
    classes=20,
    parameters=271_703_550,
    macs=20_285_153_280,
    preprocessing=replace(_pixels(448), fit="stretch", fill=0),
    fact="yolo_v1",
    citation="redmon2016you",
    own_data="yolo",
)

_V1_RELEASED = replace(
    _V1,
    edition="darknet",
    title="YOLO as released, with BatchNorm and a locally connected layer",
    parameters=197_301_875,
    macs=20_210_729_728,
    fact="yolo_v1_released",
    options={"end": "local", "normalised": True, "boxes": 3},
    note="BatchNorm behind each convolution, 256 locally connected maps for the first dense layer, three boxes a cell",
)

_V1_TINY = replace(
    _V1,
    name="yolov1_tiny",
    edition="darknet",
    builder="visus.models.detection.yolov1:yolov1_tiny",
    title="YOLO's tiny form, as released",
    paper=f"{_V1.paper}; yolov1-tiny.cfg",
    parameters=27_095_374,
    macs=1_608_015_360,
    fact="yolo_v1_tiny",
    proof_level="L2",
    note="the authors' yolov1-tiny.cfg: eight convolutions with BatchNorm and one dense layer; the paper's Fast YOLO "
    "has nine convolutions, and no table",
)

CARDS: tuple[Card, ...] = (_V1, _V1_RELEASED, _V1_TINY, _V2, _V2_VOC, _V2_COCO, _V3, _V3_TINY)
