"""Proposals in pickles, as Detectron and detectron2 take them; no code of the file runs.

A mapping with ``ids``, ``boxes`` and ``objectness_logits``, a list of as many entries each, and ``bbox_mode``:
``load_proposals_into_dataset`` in data/build.py of facebookresearch/detectron2. In files of Detectron there is no mode,
the logits are ``scores``, the ids may be called ``indexes`` (core/rpn_generator.py and datasets/json_dataset.py of
facebookresearch/Detectron), and the last pixel belongs to a box (utils/boxes.py there). detectron2 reads them too, and
passes over that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from visus.data.proposals.given import GivenProposals
from visus.errors import DataError
from visus.files.plain_pickle import PickledArray, read_pickle
from visus.files.regular import GIB

_EXPECTED = "a mapping with ids, boxes and objectness_logits, as detectron2 has it"
_LARGEST = 8 * GIB
_MODES = {"XYXY_ABS": 0, "XYWH_ABS": 1, "XYXY_REL": 2, "XYWH_REL": 3, "XYWHA_ABS": 4}
"""detectron2's structures/boxes.py, BoxMode."""


def read_pickled(path: Path) -> list[GivenProposals]:
    """The proposals of each image of a pickle.

    Raises:
        DataError: if it cannot be read, holds something else, or names code.
    """
    modes = {("detectron2.structures.boxes", "BoxMode"): _MODES}
    content = read_pickle(path, limit=_LARGEST, expected=_EXPECTED, enumerations=modes)
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no proposals", expected=_EXPECTED, got=type(content).__name__)
    of_detectron = "objectness_logits" not in content and "bbox_mode" not in content
    ids, boxes = _list(content.get("ids", content.get("indexes"))), _list(content.get("boxes"))
    scores = _list(content.get("objectness_logits", content.get("scores")))
    if ids is None or boxes is None or len(ids) != len(boxes):
        lengths = [
            f"{name}: {'none' if part is None else len(part)}" for name, part in (("ids", ids), ("boxes", boxes))
        ]
        raise DataError(f"{path} holds no proposals", expected=_EXPECTED, got=", ".join(lengths))
    if scores is not None and len(scores) != len(ids):
        raise DataError(f"{path} has scores of other images", expected=f"{len(ids)} lists", got=f"{len(scores)}")
    mode = content.get("bbox_mode", _MODES["XYXY_ABS"])
    if mode not in (_MODES["XYXY_ABS"], _MODES["XYWH_ABS"]):
        names = {number: name for name, number in _MODES.items()}
        raise DataError(
            f"{path} has boxes of another kind",
            expected="bbox_mode XYXY_ABS or XYWH_ABS: pixels",
            got=names.get(mode, repr(mode)[:50]) if isinstance(mode, int) else type(mode).__name__,
        )
    return [
        GivenProposals.of(
            _name(ids[i], path),
            _corners(_array(boxes[i]), sizes=mode == _MODES["XYWH_ABS"], last=of_detectron),
            None if scores is None else _array(scores[i]),
            path,
        )
        for i in range(len(ids))
    ]


def _list(value: Any) -> list[Any] | None:
    value = value.array if isinstance(value, PickledArray) else value
    return list(value) if isinstance(value, list | tuple | np.ndarray) else None


def _array(value: Any) -> Any:
    return value.array if isinstance(value, PickledArray) else value


def _name(value: Any, path: Path) -> str | int:
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, int | str) and not isinstance(value, bool):
        return value if isinstance(value, int) else str(value)
    raise DataError(f"{path}: an id of an image is neither a number nor text", got=repr(value)[:100])


def _corners(boxes: Any, *, sizes: bool, last: bool) -> Any:
    """xyxy, with the end behind the last pixel; what is no [P,4] as it is."""
    if not isinstance(boxes, np.ndarray) or boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.dtype.kind not in "fiu":
        return boxes
    corners = boxes.astype(np.float64)
    if sizes:
        corners[:, 2:] += corners[:, :2]
    elif last:
        corners[:, 2:] += 1
    return corners
