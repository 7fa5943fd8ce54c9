"""Finds which classes occur together in images that may show several, and those that cannot be told apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from visus.data.dataset import MOST_EXAMPLES, Finding
from visus.data.messages import counted

MOST_CLASSES = 200
"""Of more classes no pairs are counted."""

_SHOWN_PAIRS = 5


def count_together(classes: int, shown: Iterable[Sequence[int]]) -> NDArray[np.int64] | None:
    """[K,K] images that show both classes, on the diagonal those that show one; None for too many classes.

    Args:
        classes: K.
        shown: the class ids of each image.
    """
    if classes > MOST_CLASSES:
        return None
    together = np.zeros((classes, classes), np.int64)
    for ids in shown:
        together[np.ix_(ids, ids)] += 1
    return together


def together_findings(classes: Sequence[str], shown: Sequence[Sequence[int]]) -> list[Finding]:
    """The findings about the training images of a task that allows several classes an image.

    Args:
        classes: all K names.
        shown: the class ids of each training image.
    """
    count = len(shown)
    single = np.bincount([index for ids in shown for index in ids], minlength=len(classes))
    if count and single.any() and np.isin(single, (0, count)).all():
        message = "every image of train shows the same classes: there is nothing to tell apart"
        names = tuple(name for name, images in zip(classes, single, strict=True) if images)
        return [Finding("nothing-to-learn", "stop", message, count, names[:MOST_EXAMPLES])]
    together = count_together(len(classes), shown)
    if together is None or not (np.triu(together, 1) > 0).any():
        return []
    findings = []
    always = [name for name, images in zip(classes, single, strict=True) if images == count]
    if always:
        message = "{count} classes are in every image of train: an absence cannot be learnt"
        findings.append(Finding.about("always-shown", "note", message, (), always))
    rows, columns = np.nonzero(np.triu(together, 1))
    pairs = sorted(zip(rows.tolist(), columns.tolist(), strict=True), key=lambda pair: -together[pair])
    same = [(a, b) for a, b in pairs if together[a, b] == single[a] == single[b] < count and single[a] > 1]
    if same:
        message = "{count} pairs of classes are in the same images of train: nothing tells them apart"
        told = [f"{classes[a]} + {classes[b]}: {counted(together[a, b], 'images')}" for a, b in same]
        findings.append(Finding.about("always-together", "note", message, (), told))
    mean = sum(len(ids) for ids in shown) / count
    message = f"{{count}} pairs of classes occur together in images of train, which show {mean:.1f} classes on average"
    most = [f"{classes[a]} + {classes[b]}: {counted(together[a, b], 'images')}" for a, b in pairs]
    finding = Finding.about("co-occurrence", "note", message, (), most)
    return [*findings, Finding(finding.kind, "note", finding.message, finding.count, finding.examples[:_SHOWN_PAIRS])]
