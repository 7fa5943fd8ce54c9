"""Class masks: an image file of class ids or colours for every image."""

from __future__ import annotations

import re
from dataclasses import dataclass

from visus.data.formats.class_lists import find_class_list
from visus.data.formats.instance_maps import holds_instances
from visus.data.formats.listing import Listing
from visus.data.formats.mask_maps import MapRule, MaskSource, learn_rule
from visus.data.formats.pairs import Pairs, find_pairs, note_unpaired
from visus.data.formats.reading import Format, Reading, Tally
from visus.data.pixels.images import FileImage
from visus.errors import DataError
from visus.structures import Sample


@dataclass(frozen=True, slots=True)
class KnownLayout:
    """A known data set that declares no classes, recognised by its folders and file names.

    Args:
        title: the data set, and where its classes are published.
        ending: of its folders of labels, as in ``trainannot``.
        stem: what every image's name begins with.
        names: of all stored values.
        void: the values to ignore.
    """

    title: str
    ending: str
    stem: re.Pattern[str]
    names: tuple[str, ...]
    void: tuple[int, ...]

    def fits(self, pairs: Pairs) -> bool:
        """Whether a folder has the folders and files of this data set."""
        return pairs.ending == self.ending and all(
            self.stem.match(pair.image.name) for part in pairs.splits.values() for pair in part
        )


_CAMVID = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign_symbol", "fence", "car", "pedestrian", "bicyclist",
    "unlabelled",
)  # fmt: skip

KNOWN_LAYOUTS: tuple[KnownLayout, ...] = (
    KnownLayout(
        title="CamVid as prepared for SegNet (V. Badrinarayanan et al., 2017, 11 classes and void)",
        ending="annot",
        stem=re.compile(r"(0001TP|0006R0|0016E5|Seq05VD)_"),
        names=_CAMVID,
        void=(11,),
    ),
)
"""Taken only if the masks hold no value that the data set does not have, and no class file says otherwise."""


def _recognise(listing: Listing) -> bool:
    return listing.once(find_pairs) is not None and not listing.once(holds_instances)


def _read(listing: Listing) -> Reading:
    pairs = listing.once(find_pairs)
    if pairs is None:
        raise DataError(
            f"{listing.source} holds no pairs of images and masks",
            expected="images/ and masks/ with files of the same names",
        )
    layout = next((layout for layout in KNOWN_LAYOUTS if layout.fits(pairs)), None)
    known = MapRule.of_indices(layout.names, layout.void) if layout else None
    rule = learn_rule(pairs.labels, find_class_list(listing), known)
    tally = Tally()
    note_unpaired(pairs, listing, tally)
    splits = {}
    for split, split_pairs in pairs.splits.items():
        samples = []
        for pair in split_pairs:
            image = FileImage(pair.image)
            target = MaskSource(pair.label, image, rule)
            samples.append(Sample(listing.name_of(pair.image), image, {"segmentation": target}))
        splits[split] = samples
    return tally.reading({"segmentation": rule.classes}, splits)


FORMAT = Format("masks", "images and masks of class ids or colours, paired by their names", _recognise, _read)
