"""Matches the classes of data to those of a model by name: test data may lack some, or order them otherwise.

Letters: K classes of the data.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.data.arranging.other_classes import ids_among, in_classes
from visus.data.messages import listed, with_count
from visus.errors import DataError
from visus.structures import Sample
from visus.structures.class_names import object_ids

MEANS: Mapping[str, str] = {"macro_f1": "f1", "mean_iou": "iou", "mean_dice": "dice"}
"""Scores that are means over the classes in truth or prediction, and the score of a class that each is the mean of."""

UNNAMED: Mapping[str, str] = {"background": "class_0", "foreground": "class_1"}
"""Masks without names that hold 0 and 1 alone have the first two classes of those that hold more numbers."""

_NAMED = 5  # files that an error names


def match_classes(
    samples: Sequence[Sample], task: str, data_classes: Mapping[str, tuple[str, ...]], classes: Sequence[str], name: str
) -> Sequence[Sample]:
    """The samples with targets in a model's classes; the same samples where the data have these classes already.

    Of segmentation the labelled objects are matched, too, for scores of counted objects.

    Args:
        samples: to be judged.
        task: of the model.
        data_classes: of the data, by task.
        classes: of the model.
        name: of the data, for errors.

    Raises:
        DataError: if a sample is of a class that the model does not know.
    """
    wanted = {task: tuple(classes)}
    if task != "detection" and "detection" in data_classes:
        wanted["detection"] = tuple(classes[i] for i in object_ids(classes))
    for kind, names in wanted.items():
        theirs = data_classes[kind]
        if theirs == names:
            continue
        meant = (
            tuple(UNNAMED[label] for label in theirs) if set(theirs) == set(UNNAMED) and "class_0" in names else theirs
        )
        ids = ids_among(meant, names)
        if (ids < 0).any():
            if kind != task:
                continue  # counted objects are then the pieces of the true map
            _require_known(samples, kind, theirs, ids, names, name)
        samples = [in_classes(sample, kind, names, ids) for sample in samples]
    return samples


def over_classes_with_examples(metrics: dict[str, Any], absent: Sequence[str]) -> dict[str, Any]:
    """The scores with their means over classes without the absent ones, which count in none of them.

    A class that is only predicted has a score of 0: it says that the data lack the class, not how good the model is;
    the wrong prediction counts for the class that was there.
    """
    scores = dict(metrics)
    for mean, part in MEANS.items():
        if isinstance(metrics.get(mean), float):
            rows = [row.get(part) for label, row in metrics["per_class"].items() if label not in absent]
            known = [value for value in rows if value is not None]
            scores[mean] = float(np.mean(known)) if known else None
    return scores


def _require_known(
    samples: Sequence[Sample],
    task: str,
    theirs: tuple[str, ...],
    ids: NDArray[np.int64],
    classes: tuple[str, ...],
    name: str,
) -> None:
    """Raises DataError if a sample is of a class without an id; a class that is named and never used is no harm."""
    files: dict[str, list[str]] = {}
    for sample in samples:
        counts = sample.target(task, masks=False).class_counts()
        for index in np.flatnonzero((counts > 0) & (ids < 0)):
            files.setdefault(theirs[index], []).append(sample.id)
    if not files:
        return
    parts = [
        f"{label} in " + with_count("{count} images: ", len(found)) + listed(found, _NAMED)
        for label, found in files.items()
    ]
    near = {label: _near(label, classes) for label in files}
    meant = [f"{label} as {like}" for label, like in near.items() if like]
    raise DataError(
        f"{name} has images of classes that the model does not know",
        expected=f"the model's {len(classes)}: " + ", ".join(classes),
        got="; ".join(parts),
        remedy=("did you mean " + ", ".join(meant) + "? Rename them" if meant else "leave these images out")
        + ", or train on data with these classes",
    )


def _near(label: str, classes: Sequence[str]) -> str | None:
    """The class whose name differs in case, spaces or a letter; None if there is none."""
    plain = {name.strip().casefold().replace("_", " "): name for name in classes}
    found = difflib.get_close_matches(label.strip().casefold().replace("_", " "), plain, n=1, cutoff=0.8)
    return plain[found[0]] if found else None
