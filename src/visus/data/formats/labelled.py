"""Builds samples of one class each, for several formats: class ids come from the training split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from visus.data.formats.reading import ALL, Reading, Tally
from visus.structures import ImageSource, Label, Sample

_DIGITS = 19  # longer ones are no class numbers, and thousands of them cannot be converted

Entry = tuple[str, ImageSource, str]
"""(id, image, name of its class)."""


def class_order(names: set[str]) -> tuple[str, ...]:
    """Names in the order of their ids: numbers by value, everything else by spelling."""
    if all(name.isdecimal() and len(name) < _DIGITS for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def reference_split(splits: Mapping[str, object]) -> str:
    """The split that defines the classes: train, else all, else the first."""
    return next((name for name in ("train", ALL) if name in splits), next(iter(splits)))


def read_labelled(
    splits: Mapping[str, Sequence[Entry]], tally: Tally, classes: tuple[str, ...] | None = None
) -> Reading:
    """Samples with labels.

    Args:
        splits: from split to entries; at least one split.
        tally: notes classes that the training split lacks ("unknown-class", a stop; their images are left out) and
            classes that another split lacks ("missing-class").
        classes: all names in the order of their ids, where the data declare them; None: those of the training split.
    """
    reference = reference_split(splits)
    if classes is None:
        classes = class_order({name for _, _, name in splits[reference]})
    targets = {name: {"classification": Label(classes, index)} for index, name in enumerate(classes)}
    samples: dict[str, list[Sample]] = {}
    for split, entries in splits.items():
        samples[split] = []
        for identity, image, name in entries:
            if name in targets:
                samples[split].append(Sample(identity, image, targets[name]))
            else:
                note_unknown_class(tally, split, name, reference)
        present = {name for _, _, name in entries}
        note_missing_classes(tally, split, reference, {name for _, _, name in splits[reference]} - present)
    return tally.reading({"classification": classes}, samples)


def note_unknown_class(tally: Tally, split: str, name: str, reference: str, count: int = 1) -> None:
    """Notes images or objects whose class is missing in the training data."""
    tally.add(
        "unknown-class",
        "stop",
        f"{{count}} labels outside {reference} name classes that {reference} does not have, and class ids come "
        f"from {reference}",
        f"{split}: {name}",
        count,
    )


def note_missing_classes(tally: Tally, split: str, reference: str, missing: set[str]) -> None:
    """Notes classes of the training data that are missing in another split."""
    if split == reference:
        return
    for name in sorted(missing):
        tally.add("missing-class", "note", f"{{count}} classes of {reference} have no example in another split",
                  f"{split}: {name}")  # fmt: skip
