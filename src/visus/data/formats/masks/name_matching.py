"""Matches images and label images whose names agree but for a common beginning or ending.

``1.png`` goes with ``1_mask.png``, ``mask_1.png`` or ``1_cp_masks.png``; ``a_0000.png`` with ``a.png``;
``image_7.png`` with ``label_7.png``. What label files add is learnt from the names themselves: it must be common to
most of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LABEL_ENDINGS = (
    "_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_segmentation", "_l", "-mask", "-label",
)  # fmt: skip
"""What single label files may add to the name of their image, in lower case, whatever the others add."""

IMAGE_ENDINGS = ("_0000", "_leftimg8bit", "_image", "_img", "_im", "_sat", "_rgb", "_raw", "_x")
"""What image files may have at their end and label files not, in lower case."""

_PREFERRED = ("labeltrainids", "labelids")  # of the several labels that Cityscapes has for each image
_NO_LABELS = re.compile(r"(?i)(color|colour|rgb|instanceids|overlay|outlines?|flows?|preview|vis|visuali[sz]ation)s?$")
_NUMBER = re.compile(r"[_\-. ]?\(?\d+\)?$")
_SEPARATORS = "_-. "


@dataclass(frozen=True, slots=True)
class Matching:
    """Which labels belong to which images.

    Args:
        labels: from the number of an image to the numbers of its labels: the one that bears its name, then further ones
            that differ from that by a number (``1_mask``, ``1_mask_1``).
        added: what most labels add to the names, as "..._mask"; "" where names are equal.
    """

    labels: dict[int, tuple[int, ...]]
    added: str = ""


def match_names(images: Sequence[str], labels: Sequence[str]) -> Matching:
    """Matches stems of images with stems of labels; an empty matching where the names do not agree.

    Args:
        images: stems, perhaps with their folder before them.
        labels: the same of labels; folders must agree.
    """
    best: dict[int, list[int]] = {}
    best_added = ""
    for place, cores in enumerate(_image_cores(images)):
        by_core = {core: number for number, core in reversed(list(enumerate(cores)))}  # the first of equal names
        if place > 0 and len(by_core) < len(cores):
            continue  # several channels of an image, or a beginning that is no common one
        found, added = _match_labels(by_core, labels)
        if len(found) > len(best):
            best, best_added = found, added
        if len(found) == len(images):
            break
    return Matching({image: tuple(found) for image, found in best.items()}, best_added)


def _image_cores(images: Sequence[str]) -> Iterable[list[str]]:
    """The names of the images as labels may know them: whole, then without what all of them share."""
    yield list(images)
    lower = [name.lower() for name in images]
    for ending in IMAGE_ENDINGS:
        if any(name.endswith(ending) for name in lower):
            yield [n[: -len(ending)] if n.lower().endswith(ending) else n for n in images]
    beginning, ending = _common(images)
    for first, last in ((len(beginning), 0), (0, len(ending)), (len(beginning), len(ending))):
        if (first or last) and len(images) > 1:
            yield [_folder(name) + _stem(name)[first : len(_stem(name)) - last] for name in images]


def _match_labels(by_core: dict[str, int], labels: Sequence[str]) -> tuple[dict[int, list[int]], str]:
    """From the number of an image to those of its labels, and what most labels add to the names."""
    found: dict[int, list[int]] = {}
    left: list[int] = []
    for number, label in enumerate(labels):
        lower = label.lower()
        ending = next((end for end in LABEL_ENDINGS if lower.endswith(end)), "")
        image = by_core.get(label, by_core.get(label[: -len(ending)]) if ending else None)
        if image is None or image in found:
            left.append(number)
        else:
            found[image] = [number]
    affixes = Counter(affix for number in left for affix in _affixes(labels[number], by_core))
    added = ""
    ranked = sorted(affixes, key=lambda affix: (_rank(affix[1] or affix[0]), -affixes[affix], affix))
    for beginning, ending in ranked:
        matches = affixes[beginning, ending]
        if 2 * matches < min(len(by_core), len(left)) or (len(by_core) > 1 and matches < 2 and len(left) > 1):
            continue
        if found and 2 * len(found) >= len(by_core):
            break  # names that agree are enough
        if _NO_LABELS.search(ending):
            continue
        for number in left:
            image = by_core.get(_without(labels[number], beginning, ending) or "\0")
            if image is not None and image not in found:
                found[image] = [number]
        added = f"{beginning}...{ending}"
        break
    used = {number for numbers in found.values() for number in numbers}
    by_label = {labels[numbers[0]]: image for image, numbers in found.items()}
    for number in left:  # 1_mask_1 beside 1_mask
        first = _NUMBER.sub("", labels[number])
        if number not in used and first != labels[number] and first in by_label and labels[number] not in by_core:
            found[by_label[first]].append(number)
    return found, added


def _rank(affix: str) -> int:
    lower = affix.lower()
    return next((place for place, end in enumerate(_PREFERRED) if lower.endswith(end)), len(_PREFERRED))


def _affixes(label: str, by_core: dict[str, int]) -> list[tuple[str, str]]:
    """What a label adds to the longest image's name that it begins with, and to the longest that it ends with."""
    folder, stem = _folder(label), _stem(label)
    found = []
    for cut in range(len(stem) - 1, 0, -1):
        if folder + stem[:cut] in by_core and not (stem[cut - 1].isdigit() and stem[cut].isdigit()):
            found.append(("", stem[cut:]))
            break
    for cut in range(1, len(stem)):
        if folder + stem[cut:] in by_core and not (stem[cut - 1].isdigit() and stem[cut].isdigit()):
            found.append((stem[:cut], ""))
            break
    for cut in range(1, len(stem)):  # label_7_x: both, where the image's name is the middle
        end = next((e for e in range(len(stem) - 1, cut, -1) if folder + stem[cut:e] in by_core), 0)
        if end and stem[cut - 1] in _SEPARATORS and stem[end] in _SEPARATORS:
            found.append((stem[:cut], stem[end:]))
            break
    return found


def _without(label: str, beginning: str, ending: str) -> str:
    """A label's name without what it adds; "" if it does not add that."""
    stem = _stem(label)
    if not (stem.startswith(beginning) and stem.endswith(ending)) or len(stem) <= len(beginning) + len(ending):
        return ""
    return _folder(label) + stem[len(beginning) : len(stem) - len(ending)]


def _common(names: Sequence[str]) -> tuple[str, str]:
    """What all stems begin and end with, up to a separator or the border between letters and digits."""
    stems = [_stem(name) for name in names]
    beginning = _common_start(stems)
    ending = _common_start([stem[::-1] for stem in stems])[::-1]
    while beginning and (beginning[-1].isdigit() or beginning in stems):
        beginning = beginning[:-1]
    while ending and (ending[0] not in _SEPARATORS) and not ending.isalpha():
        ending = ending[1:]
    shortest = min((len(stem) for stem in stems), default=0)
    return (beginning, ending) if len(beginning) + len(ending) < shortest else (beginning, "")


def _common_start(words: Sequence[str]) -> str:
    first, last = min(words, default=""), max(words, default="")  # what these two share, all between them share
    length = next((place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), None)
    return first[:length] if length is not None else first[: len(last)]


def _folder(name: str) -> str:
    return name[: name.rfind("/") + 1]


def _stem(name: str) -> str:
    return name[name.rfind("/") + 1 :]
