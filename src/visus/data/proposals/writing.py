"""Writes region proposals as CSV or JSON, which :mod:`visus.data.proposals.text_file` reads again."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from visus.structures import Proposals

Named = Iterable[tuple[str, Proposals]]
"""The name of each image and its proposals."""


def as_table(images: Named) -> Iterator[str]:
    """CSV in pieces, one an image: image, x1, y1, x2, y2, and score; an image without proposals has its name alone."""
    yield "image,x1,y1,x2,y2,score\n"
    for name, proposals in images:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        scores = [None] * len(proposals) if proposals.scores is None else _numbers(proposals.scores)
        rows = zip(_numbers(proposals.boxes), scores, strict=True)
        writer.writerows([name, *box, score] for box, score in rows)
        if not len(proposals):
            writer.writerow([name, *[""] * 5])
        yield text.getvalue()


def as_json(images: Named) -> Iterator[str]:
    """JSON in pieces, one an image: {"images": [{"image", "size", "boxes", "scores"}]}, size as height and width."""
    before = '{"images": [\n'
    for name, proposals in images:
        entry: dict[str, Any] = {"image": name, "size": list(proposals.size), "boxes": _numbers(proposals.boxes)}
        if proposals.scores is not None:
            entry["scores"] = _numbers(proposals.scores)
        yield before + json.dumps(entry, ensure_ascii=False)
        before = ",\n"
    yield "\n]}\n" if before == ",\n" else before + "]}\n"


WRITERS: dict[str, Callable[[Named], Iterator[str]]] = {".csv": as_table, ".json": as_json}
"""By the suffix of a file."""


def _numbers(values: np.ndarray[Any, np.dtype[np.float32]]) -> Any:
    """Plain numbers as short as they can be written: whole ones without a point, others in single precision."""
    if (values == np.rint(values)).all() and np.abs(values).max(initial=0) < 1e9:
        return values.astype(np.int64).tolist()
    return [_numbers(row) for row in values] if values.ndim == 2 else [float(str(value)) for value in values]
