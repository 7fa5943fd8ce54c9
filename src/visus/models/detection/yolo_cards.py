"""The cards of the YOLOs. Loads no torch."""

from __future__ import annotations

from dataclasses import replace

from visus.models.card import Card, WeightsFile
from visus.structures.preprocessing import Preprocessing


def _pixels(side: int) -> Preprocessing:
    """Darknet feeds pixels of 0 to 1 without a mean, and pads with grey (detector.c, letterbox_image)."""
    return Preprocessing(size=(side, side), fit="letterbox", mean=(0.0,) * 3, std=(1.0,) * 3, fill=127)


def _file(name: str, sha256: str, metrics: dict[str, float]) -> tuple[WeightsFile, ...]:
    """A file of the authors' page; the hashes are those that at least two independent public scripts pin."""
    return (
        WeightsFile(
            name=name,
            sha256=sha256,
            url=f"https://data.pjreddie.com/files/{name}",
            layout="darknet",
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
    takes_backbone=True,
    weights=_file(
        "yolov3.weights", "523e4e69e1d015393a1b0a441cef1d9c7659e3eb2d7e15f793f060a21b32f297", {"map50": 0.553}
    ),
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
    weights=_file(
        "yolov3-tiny.weights", "dccea06f59b781ec1234ddf8d1e94b9519a97f4245748a7d4db75d5b7080a42c", {"map50": 0.331}
    ),
    proof_level="L2",
    note="not in the paper: the authors' yolov3-tiny.cfg",
)

CARDS: tuple[Card, ...] = (_V3, _V3_TINY)
