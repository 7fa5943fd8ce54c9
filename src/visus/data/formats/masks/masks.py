"""Class masks: an image file of class ids or colours for every image."""

from __future__ import annotations

from visus.data.formats.listing import Listing
from visus.data.formats.masks.class_lists import find_class_list
from visus.data.formats.masks.instance_maps import holds_instances
from visus.data.formats.masks.known_masks import known_layout
from visus.data.formats.masks.mask_maps import BackgroundSource, MaskSource
from visus.data.formats.masks.mask_rules import learn_rule
from visus.data.formats.masks.pairs import find_pairs, label_files, note_unpaired, why_unpaired
from visus.data.formats.reading import Format, Reading, Tally
from visus.data.pixels.images import FileImage
from visus.errors import DataError
from visus.structures import Label, Sample, TargetSource, Value


def _recognise(listing: Listing) -> bool:
    return listing.once(find_pairs) is not None and not listing.once(holds_instances)


def _read(listing: Listing) -> Reading:
    pairs = listing.once(find_pairs)
    if pairs is None:
        raise DataError(
            f"{listing.source} holds no pairs of images and masks",
            expected="images/ and masks/ with files of the same names",
        )
    declared = find_class_list(listing)
    known = known_layout(pairs)
    known_rule = None if known is None else known.rule()
    learned = learn_rule(pairs.labels, declared, known_rule)
    tally = Tally()
    note_unpaired(pairs, listing, tally)
    if declared is not None:
        tally.read(declared.path)
    learned.note(tally)
    if known is not None and learned.rule is known_rule:
        tally.add("known-masks", "note", f"the values of the masks are read as those of {known.title}")
    if pairs.splits.keys() == {"test"}:
        message = (
            "only the images of test have masks, and these are not used to train; to train with some of them, move "
            "them with their masks to folders train/images and train/masks"
        )
        tally.add("test-masks-only", "note", message)
    groups = tuple(sorted(set(pairs.groups.values())))  # folders of classes, in which images lie with their masks
    splits = {}
    for split, split_pairs in pairs.splits.items():
        samples = []
        for pair in split_pairs:
            if pair.label in learned.unfit:
                kind, message, values = learned.unfit[pair.label]
                example = listing.name_of(pair.label) + (f": {values}" if values else "")
                tally.lose(
                    kind,
                    message,
                    example,
                    unit="image files",
                    split=split,
                    cause="save the masks without smoothing and in a lossless format, or declare their classes in a "
                    "classes.txt beside the data",
                    file=pair.image,
                )
                continue
            image = FileImage(pair.image)
            targets: dict[str, Value | TargetSource] = {
                "segmentation": MaskSource(pair.label, image, learned.rule, pair.others)
            }
            if pairs.groups:
                targets["classification"] = Label(groups, groups.index(pairs.groups[pair.image]))
            samples.append(Sample(listing.name_of(pair.image), image, targets))
        splits[split] = samples
    for path in sorted(pairs.without_objects):
        image = FileImage(path)
        nothing = BackgroundSource(learned.rule.classes, image)
        next(iter(splits.values())).append(Sample(listing.name_of(path), image, {"segmentation": nothing}))
    classes = {"segmentation": learned.rule.classes} | ({"classification": groups} if groups else {})
    return tally.reading(classes, splits)


FORMAT = Format(
    "masks",
    "images and masks of class ids or colours, paired by their names",
    _recognise,
    _read,
    near=why_unpaired,
    label_images=label_files,
)
