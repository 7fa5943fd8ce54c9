"""The tasks and samples of data whose objects have boxes, outlines and points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from visus.data.formats.objects.outlined_objects import (
    BACKGROUND,
    MULTILABEL,
    DetectionSource,
    ObjectLabelsSource,
    ObjectMapSource,
    Objects,
)
from visus.data.formats.reading import Reading, Tally
from visus.data.messages import counted
from visus.structures import ImageSource, Sample, TargetSource, Value

IGNORED = "ignored-objects"
"""The finding that counts objects which their labels mark as not to be counted."""

_MARKED_BY = {
    "crowds": "a tool marked ordinary objects so (CVAT's and Datumaro's brush masks, supervision's masks with holes)",
}

Entry = tuple[str, ImageSource, Objects | None, Mapping[str, Value | TargetSource]]
"""The sample's id, its image, its objects (None where nobody looked for objects), and its targets for other tasks."""


def read_objects(
    splits: Mapping[str, Sequence[Entry]],
    classes: tuple[str, ...],
    tally: Tally,
    others: Mapping[str, tuple[str, ...]] | None = None,
    *,
    mark: str = "crowds",
) -> Reading:
    """The reading of objects: detection, and segmentation where the objects have outlines.

    An object without an outline among outlined ones is ignored in maps; where there are many, no maps are offered.

    Args:
        splits: from split to entries.
        classes: the names of all classes.
        tally: of the reader.
        others: from further tasks to their names.
        mark: what the format calls objects that are to be ignored.
    """
    outlined = _note_bare_objects(splits, classes, tally)
    note_ignored(splits, classes, tally, mark)
    maps = (BACKGROUND, *classes)
    several = outlined and len(classes) > 1
    for name in classes if outlined else ():
        if name.lower() == BACKGROUND:
            message = "{count} classes of objects are called background, and stay apart from that of maps; rename them"
            tally.add("background-class", "note", message, name)
    samples: dict[str, list[Sample]] = {}
    for split, entries in splits.items():
        samples[split] = part = []
        for name, image, item, more in entries:
            targets: dict[str, Value | TargetSource] = dict(more)
            if item is not None:
                targets = {"detection": DetectionSource(item), **more}
                if outlined:
                    targets["segmentation"] = ObjectMapSource(item, maps)
                if several:
                    targets[MULTILABEL] = ObjectLabelsSource(item)
            part.append(Sample(name, image, targets))
    tasks = ({"detection": classes} if classes else {}) | ({"segmentation": maps} if outlined else {})
    tasks |= {MULTILABEL: classes} if several else {}
    return tally.reading(tasks | dict(others or {}), samples)


def _note_bare_objects(splits: Mapping[str, Sequence[Entry]], classes: tuple[str, ...], tally: Tally) -> bool:
    """Counts objects without outline; returns whether any object has one."""
    if not any(item and item.outlines is not None for entries in splits.values() for _, _, item, _ in entries):
        return False
    tasks = ("segmentation", MULTILABEL) if len(classes) > 1 else ("segmentation",)
    for split, entries in splits.items():
        for name, _, item, _ in entries:
            if item is None:
                continue
            bare = item.labels if item.outlines is None else item.labels[item.bare]
            for label, count in Counter(bare.tolist()).items():
                tally.lose("object-without-outline", "{count} objects have no outline", name, count, split=split,
                           label=classes[label], cause="draw the missing outlines, or train for detection",
                           tasks=tasks)  # fmt: skip
    return True


def note_ignored(splits: Mapping[str, Sequence[Entry]], classes: tuple[str, ...], tally: Tally, mark: str) -> None:
    """Says how many objects are marked as not to be counted; a stop where they are most objects of a class.

    mark: what the format calls them, such as "crowds".
    """
    items = [(name, item) for entries in splits.values() for name, _, item, _ in entries if item is not None]
    marked = [
        (name, item.labels[item.ignored]) for name, item in items if item.ignored is not None and item.ignored.any()
    ]
    none = np.zeros(0, np.int64)
    total = np.bincount(np.concatenate([none, *(item.labels for _, item in items)]), minlength=len(classes))
    ignored = np.bincount(np.concatenate([none, *(labels for _, labels in marked)]), minlength=len(classes))
    count = int(ignored.sum())
    if not count:
        return
    message = f"{count:,} of {counted(int(total.sum()), 'objects are')} marked as {mark} and ignored"
    most = [name for name, part, whole in zip(classes, ignored, total, strict=True) if 2 * part > whole]
    if most:
        message += f", most objects of {', '.join(most[:5])}{' ...' if len(most) > 5 else ''}"
        message += f": if {_MARKED_BY.get(mark, 'they are ordinary objects')}, take them with --crowds objects"
    for name, labels in marked:
        tally.add(IGNORED, "stop" if most else "note", message, name, len(labels))
