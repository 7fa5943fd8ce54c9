"""Which reader reads which kind of outputs. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from visus.answers.reader import Reader
from visus.errors import WeightsError

READERS: Mapping[str, str] = {
    "softmax": "visus.answers.classification:SoftmaxReader",
    "binary": "visus.answers.classification:BinaryReader",
    "scores": "visus.answers.classification:ScoresReader",
    "sigmoid": "visus.answers.label_sets:SigmoidReader",
    "localizer": "visus.answers.localization:LocalizerReader",
    "landmarks": "visus.answers.landmarks:LandmarkReader",
    "softmax_map": "visus.answers.maps:SoftmaxMapReader",
    "sigmoid_map": "visus.answers.maps:SigmoidMapReader",
    "ssd": "visus.answers.ssd:SSDReader",
    "retinanet": "visus.answers.retinanet:RetinaNetReader",
    "yolo": "visus.answers.yolo:YOLOReader",
    "yolov1": "visus.answers.yolo:YOLOv1Reader",
}
"""Kind of outputs -> module and class of its reader."""


def reader_from(values: Any) -> Reader:
    """The reader of what :meth:`Reader.to_dict` gave.

    Raises:
        WeightsError: if it is no reader, of a kind that this version does not know, or has other fields.
    """
    kind = values.get("kind") if isinstance(values, Mapping) else None
    place = READERS.get(kind) if isinstance(kind, str) else None
    if place is None:
        raise WeightsError(
            "the file does not say how its outputs become answers, or in a way that this version does not know",
            expected=f"one of {', '.join(sorted(READERS))}",
            got=repr(kind)[:80],
            remedy="export the model again with this version, or install the version that exported it",
        )
    module, _, name = place.partition(":")
    reader: type[Reader] = getattr(import_module(module), name)
    return reader.from_dict({key: value for key, value in values.items() if key != "kind"})
