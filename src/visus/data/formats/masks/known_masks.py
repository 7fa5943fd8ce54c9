"""Known data sets of masks that declare no classes, recognised by their folders and file names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from visus.data.formats.masks.mask_maps import MapRule
from visus.data.formats.masks.pairs import Pairs
from visus.structures import IGNORE


@dataclass(frozen=True, slots=True)
class KnownLayout:
    """A known data set that declares no classes.

    Args:
        title: the data set, and where its classes are published.
        ids: from stored value to the name of its class; None for values to ignore.
        image: what every image's name matches, or None.
        label: what every label's name matches, or None.
        ending: of its folders of labels, as in ``trainannot``; None for any.
        folder: of its labels, or None.
    """

    title: str
    ids: Mapping[int, str | None]
    image: re.Pattern[str] | None = None
    label: re.Pattern[str] | None = None
    ending: str | None = None
    folder: str | None = None

    def fits(self, pairs: Pairs) -> bool:
        """Whether a folder has the folders and files of this data set."""
        return (self.ending is None or pairs.ending == self.ending) and all(
            (self.image is None or self.image.match(pair.image.name) is not None)
            and (self.label is None or self.label.search(pair.label.name) is not None)
            and (self.folder is None or pair.label.parent.name == self.folder)
            for part in pairs.splits.values()
            for pair in part
        )

    def rule(self) -> MapRule:
        """The rule of its values: class ids in their order, closed up over what is ignored."""
        kept = [value for value, name in self.ids.items() if name is not None]
        ids = dict.fromkeys(self.ids, IGNORE) | {value: index for index, value in enumerate(kept)} | {IGNORE: IGNORE}
        return MapRule(tuple(name for name in self.ids.values() if name is not None), ids)


_CAMVID = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign_symbol", "fence", "car", "pedestrian", "bicyclist",
)  # fmt: skip
_CITYSCAPES = {
    7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic light",
    20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car", 27: "truck",
    28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle",
}  # fmt: skip
_CITYSCAPES_IDS = {value: _CITYSCAPES.get(value) for value in (-1, *range(34))}

KNOWN_LAYOUTS: tuple[KnownLayout, ...] = (
    KnownLayout(
        title="CamVid as prepared for SegNet (V. Badrinarayanan et al., 2017, 11 classes and void)",
        ids={**dict(enumerate(_CAMVID)), 11: None},
        image=re.compile(r"(0001TP|0006R0|0016E5|Seq05VD)_"),
        ending="annot",
    ),
    KnownLayout(
        title="Cityscapes (M. Cordts et al., 2016): the 19 classes that are scored, by their training numbers",
        ids=dict(enumerate(_CITYSCAPES.values())),
        label=re.compile(r"_gt(Fine|Coarse)_labelTrainIds\."),
    ),
    KnownLayout(
        title="Cityscapes: the 19 classes that are scored, by the numbers of all 34",
        ids=_CITYSCAPES_IDS,
        label=re.compile(r"_gt(Fine|Coarse)_labelIds\."),
    ),
    KnownLayout(
        title="KITTI's semantic segmentation (2018), which has the numbers of Cityscapes",
        ids=_CITYSCAPES_IDS,
        image=re.compile(r"\d{6}_\d\d\."),
        folder="semantic",
    ),
    KnownLayout(
        title="the Oxford-IIIT Pet data set (O. M. Parkhi et al., 2012): 3 is not classified",
        ids={2: "background", 1: "foreground", 3: None},
        image=re.compile(r"[A-Za-z]+(_[A-Za-z]+)*_\d+\."),
        folder="trimaps",
    ),
)
"""Taken only if the masks hold no value that the data set does not have, and no class file says otherwise."""


def known_layout(pairs: Pairs) -> KnownLayout | None:
    """The known data set that a folder is, or None."""
    return next((layout for layout in KNOWN_LAYOUTS if layout.fits(pairs)), None)
