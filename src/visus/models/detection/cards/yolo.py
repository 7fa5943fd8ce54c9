"""The cards of the YOLOs. Loads no torch."""

from __future__ import annotations

from dataclasses import replace

from visus.models.card import Card, Conventions, Earlier, Part, ReleasedFile, WeightsFile
from visus.models.classification.cards.darknet import DARKNET
from visus.structures.preprocessing import Preprocessing

_WITHOUT_NORM = Conventions(
    padding="half a kernel on every side, as the authors' yolov1.cfg",
    initialisation="as Darknet draws convolutions; the last layer N(0, 0.01)",
)


def _pixels(side: int) -> Preprocessing:
    """Darknet feeds pixels of 0 to 1 without a mean, and pads both sides with grey (detector.c, letterbox_image)."""
    return Preprocessing(size=(side, side), fit="letterbox", centred=True, mean=(0.0,) * 3, std=(1.0,) * 3, fill=127)


def _released(
    name: str,
    trained_on: str,
    page: str,
    *,
    part: Part = "network",
    is_partial: bool = False,
) -> ReleasedFile:
    return ReleasedFile(name, trained_on, part=part, is_partial=is_partial, source=page)


_PAGE = "https://pjreddie.com/darknet"
_VOC, _COCO, _IMAGENET = "PASCAL VOC 2007 and 2012", "COCO 2014", "ImageNet-1k"
_DARKNET19 = tuple(
    _released(name, _IMAGENET, page, part="backbone")
    for name, page in (
        ("darknet19_448.conv.23", f"{_PAGE}/yolov2/"),
        ("darknet19.weights", f"{_PAGE}/imagenet/"),
        ("darknet19_448.weights", f"{_PAGE}/imagenet/"),
    )
)
_DARKNET53 = tuple(
    _released(name, _IMAGENET, page, part="backbone")
    for name, page in (
        ("darknet53.conv.74", f"{_PAGE}/yolo/"),
        ("darknet53.weights", f"{_PAGE}/imagenet/"),
        ("darknet53_448.weights", f"{_PAGE}/imagenet/"),
    )
)
_EXTRACTION = tuple(
    _released(name, _IMAGENET, page, part="backbone")
    for name, page in (
        ("extraction.conv.weights", f"{_PAGE}/yolov1/"),
        ("extraction.weights", f"{_PAGE}/imagenet/"),
    )
)


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
    conventions=DARKNET,
    own_data="yolo",
    own_anchors=9,
    takes_backbone=True,
    weights=_file(
        "yolov3.weights", "523e4e69e1d015393a1b0a441cef1d9c7659e3eb2d7e15f793f060a21b32f297", {"map50": 0.553}
    ),
    released=(_released("yolov3-openimages.weights", "Open Images", f"{_PAGE}/yolo/"), *_DARKNET53),
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
    released=(
        _released("yolov3-tiny.conv.15", _COCO, "github.com/AlexeyAB/darknet, README.md", is_partial=True),
        _released("darknet.conv.weights", _IMAGENET, f"{_PAGE}/yolov1/", part="backbone"),
    ),
    note="not in the paper: the authors' yolov3-tiny.cfg of May 2018, whose anchors (mask 1, 2, 3 of the finer map) "
    "its weights were trained with",
)

_V3_TINY_CORRECTED = replace(
    _V3_TINY,
    edition="darknet-corrected",
    title="YOLO v3's tiny form, as its cfg file is since August 2018",
    fact="",
    options={"anchors": "corrected"},
    weights=(),
    note="yolov3-tiny.cfg with the mask 0, 1, 2 of today: for files trained with it; the authors' own weights were not",
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
    conventions=DARKNET,
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

_V2_VOC_2016 = replace(
    _V2,
    edition="darknet-voc-2016",
    title="YOLO v2 as first released for PASCAL VOC",
    fact="",
    proof_level="L1",
    options={"passthrough": "whole-darknet", "anchors": "voc-2016"},
    released=(_released("yolo-voc.weights", _VOC, "github.com/pjreddie/darknet, cfg/yolo-voc.2.0.cfg"), *_DARKNET19),
    note="yolo-voc.2.0.cfg: the passthrough reorganises the map as darknet's reorg_cpu does; until March 2017",
)

_V2_COCO_2016 = replace(
    _V2_VOC_2016,
    edition="darknet-coco-2016",
    title="YOLO v2 as first released for COCO",
    classes=80,
    parameters=67_445_065,
    macs=17_500_980_224,
    options={"passthrough": "whole-darknet", "anchors": "coco-2016"},
    released=(_released("yolo.weights", _COCO, "github.com/pjreddie/darknet, cfg/yolo.2.0.cfg"), *_DARKNET19),
    note="yolo.2.0.cfg: the passthrough reorganises the map as darknet's reorg_cpu does; until March 2017",
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
    released=(
        _released("yolov2-voc.weights", _VOC, f"{_PAGE}/yolov2/"),
        _released("yolo-voc.weights", _VOC, f"{_PAGE}/yolov2/"),
        *_DARKNET19,
    ),
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
    released=(_released("yolo.weights", _COCO, f"{_PAGE}/yolov2/"), *_DARKNET19),
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
    preprocessing=replace(_pixels(448), fit="stretch", fill=0, mean=(0.5,) * 3, std=(0.5,) * 3),
    fact="yolo_v1",
    citation="redmon2016you",
    conventions=_WITHOUT_NORM,
    own_data="yolo",
    released=(
        _released("yolo.weights", _VOC, f"{_PAGE}/yolov1/"),
        _released("extraction.conv.weights", _IMAGENET, "github.com/pjreddie/darknet, cfg/extraction.conv.cfg of 2015"),
    ),
    note="pixels of -1 to 1, of which the paper says nothing, are those of the crop layer of the released yolo.cfg of "
    "November 2015",
)

_V1_SMALL = replace(
    _V1,
    edition="darknet-small",
    title="YOLO's small form, as released",
    parameters=93_970_430,
    macs=20_107_419_648,
    fact="",
    options={"hidden": (512, 4096)},
    released=(_released("yolo-small.weights", _VOC, f"{_PAGE}/yolov1/"),),
    note="not in the paper: the authors' yolo-small.cfg of November 2015",
)

_V1_RELEASED = replace(
    _V1,
    conventions=DARKNET,
    edition="darknet",
    title="YOLO as released, with BatchNorm and a locally connected layer",
    parameters=197_301_875,
    macs=20_210_729_728,
    fact="yolo_v1_released",
    preprocessing=replace(_pixels(448), fit="stretch", fill=0),
    options={"end": "local", "normalised": True, "boxes": 3},
    released=(
        _released("yolov1.weights", _VOC, f"{_PAGE}/yolov1/"),
        _released("yolo.weights", _VOC, f"{_PAGE}/yolov1/"),
        *_EXTRACTION,
    ),
    note="BatchNorm behind each convolution, 256 locally connected maps for the first dense layer, three boxes a cell",
)

_V1_COCO = replace(
    _V1_RELEASED,
    edition="darknet-coco",
    title="YOLO as released for COCO",
    classes=80,
    parameters=234_184_175,
    macs=20_247_609_088,
    fact="",
    options={"end": "local", "normalised": True, "boxes": 3, "dropout": 0.0},
    released=(_released("yolo-coco.weights", _COCO, f"{_PAGE}/yolov1/"), *_EXTRACTION),
    note="yolo-coco.cfg: as for PASCAL VOC, without dropout",
)

_V1_TINY = replace(
    _V1_RELEASED,
    name="yolov1_tiny",
    conventions=DARKNET,
    edition="darknet",
    builder="visus.models.detection.yolov1:yolov1_tiny",
    title="YOLO's tiny form, as released",
    paper=f"{_V1.paper}; yolov1-tiny.cfg",
    parameters=27_095_374,
    macs=1_608_015_360,
    fact="yolo_v1_tiny",
    options={},
    released=(
        _released("tiny-yolo.weights", _VOC, f"{_PAGE}/yolov1/"),
        _released("tiny-yolov1.weights", _VOC, f"{_PAGE}/yolov1/"),
        _released("darknet.conv.weights", _IMAGENET, f"{_PAGE}/yolov1/", is_partial=True),
    ),
    proof_level="L2",
    note="the authors' yolov1-tiny.cfg: eight convolutions with BatchNorm and one dense layer; the paper's Fast YOLO "
    "has nine convolutions, and no table",
)

_V1_TINY_COCO = replace(
    _V1_TINY,
    edition="darknet-coco",
    title="YOLO's tiny form, as released for COCO",
    classes=80,
    parameters=67_051_199,
    macs=1_647_968_000,
    fact="",
    options={"boxes": 3},
    released=(
        _released("tiny-coco.weights", _COCO, f"{_PAGE}/yolov1/"),
        _released("darknet.conv.weights", _IMAGENET, f"{_PAGE}/yolov1/", is_partial=True),
    ),
    proof_level="L1",
    note="the authors' tiny-coco.cfg: three boxes a cell",
)

_V1_FAST = replace(
    _V1,
    name="yolov1_tiny",
    edition="darknet-2015",
    builder="visus.models.detection.yolov1:fast_yolo",
    title="Fast YOLO, as released with the paper",
    paper=f"{_V1.paper} and section 2.1; yolo-tiny.cfg of November 2015",
    parameters=45_089_374,
    macs=2_418_728_960,
    fact="",
    released=(_released("yolo-tiny.weights", _VOC, f"{_PAGE}/yolov1/"),),
    note="the nine convolutions of which the paper speaks, as the authors' yolo-tiny.cfg has them; the paper prints no "
    "table. Pixels of -1 to 1 are those of its crop layer",
)

_UNCENTRED = Earlier("pixels were of 0 to 1", preprocessing=_V1_RELEASED.preprocessing)
_ALIKE = Earlier("boxes counted alike in the loss", {"box_weight": "equal"})

CARDS: tuple[Card, ...] = (
    replace(_V1, earlier=(_UNCENTRED,)),
    *(_V1_SMALL, _V1_RELEASED, _V1_COCO, _V1_TINY, _V1_TINY_COCO, _V1_FAST),
    *(_V2, _V2_VOC_2016, _V2_COCO_2016),
    *(replace(released, earlier=(_ALIKE,)) for released in (_V2_VOC, _V2_COCO)),
    *(_V3, _V3_TINY, _V3_TINY_CORRECTED),
)
