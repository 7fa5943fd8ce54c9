"""What labelling tools store of an image - objects, points and tags -, and the samples that follow from it.

Readers of tools fill :class:`AnnotatedImages`; which tasks their labels allow is decided here, for all of them. Objects
are to be detected, and segmented if all have outlines. Points are landmarks if their names differ. Tags of whole images
are their classes, one or several.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from visus.data.formats.labelled import class_order, note_missing_classes, note_unknown_class, reference_split
from visus.data.formats.listing import Listing, split_name
from visus.data.formats.objects.boxes import repair_and_tally
from visus.data.formats.objects.drawn_shapes import Box
from visus.data.formats.objects.object_targets import Entry, read_objects
from visus.data.formats.objects.outlined_objects import Objects, Outline
from visus.data.formats.objects.stated_sizes import settle_sizes
from visus.data.formats.reading import ALL, Loss, Reading, Tally
from visus.data.pixels.images import FileImage
from visus.errors import DataError
from visus.structures import Label, LabelSet, Landmarks, Sample, TargetSource, Value
from visus.structures.values.landmarks import flip_pairs

Size = tuple[int, int]
"""(height, width)"""

_FARTHEST = 1e9  # pixels; a point beyond is no place in an image, nor is one that is no number

Point = tuple[str, float, float, bool]
"""Name, x, y, whether it is visible."""


@dataclass(slots=True)
class DrawnObject:
    """One object.

    Args:
        label: the name of its class.
        box: xyxy in pixels.
        outline: None where only a box was drawn.
        ignored: whether it counts neither as hit nor as miss.
    """

    label: str
    box: Box
    outline: Outline | None = None
    ignored: bool = False


@dataclass(slots=True)
class PointSet:
    """The named points of one object or image: from name to (x, y, whether it is visible). area: of the object."""

    points: Mapping[str, tuple[float, float, bool]]
    area: float = 0


@dataclass(slots=True)
class AnnotatedImage:
    """One image with all that was labelled in it.

    Args:
        path: of the image file.
        split: its split.
        size: of the image, from its header.
        source: the file that labels it, for messages.
        stated: the size that the labels state, if they do.
    """

    path: Path
    split: str
    size: Size
    source: str
    stated: Size | None = None
    objects: list[DrawnObject] = field(default_factory=list)
    points: list[PointSet] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)

    def extent(self) -> tuple[float, float]:
        """How far (x, y) the objects and points reach; 0 without any."""
        places = [item.box[2:] for item in self.objects]
        places += [place[:2] for part in self.points for place in part.points.values() if place[2]]
        return (max((x for x, _ in places), default=0), max((y for _, y in places), default=0))

    def scale(self, factor: float) -> None:
        """Multiplies the places of all objects and points."""
        for item in self.objects:
            x1, y1, x2, y2 = item.box
            item.box = (x1 * factor, y1 * factor, x2 * factor, y2 * factor)
            if item.outline is not None and not isinstance(item.outline, dict):
                item.outline = tuple(polygon * factor for polygon in item.outline)
        for part in self.points:
            part.points = {name: (x * factor, y * factor, seen) for name, (x, y, seen) in part.points.items()}


def split_of(listing: Listing, folder: Path) -> str:
    """The split that the folders between the root and ``folder`` name; "all" if none does."""
    try:
        parts = folder.relative_to(listing.root).parts
    except ValueError:
        return ALL
    return next((split for part in parts if (split := split_name(part))), ALL)


class AnnotatedImages:
    """The images of a data set that a labelling tool wrote.

    Args:
        listing: the data set's folder.
        tally: is told what is lost.
    """

    def __init__(self, listing: Listing, tally: Tally) -> None:
        self._listing = listing
        self._tally = tally
        self._images: dict[Path, AnnotatedImage] = {}
        self._single_points: dict[Path, list[Point]] = {}
        self._questions: dict[str, dict[Path, list[str]]] = {}

    def open(self, path: Path, split: str, source: str, stated: Size | None = None) -> AnnotatedImage | None:
        """A new image to fill; None, tallied, if its size cannot be read or if it was labelled before.

        Args:
            path: of the image file.
            split: as the labels say it; if they say none, that of the folder of the image.
            source: the file that labels it.
            stated: the size that the labels state, if they do.
        """
        name = self._listing.name_of(path)
        if split == ALL:
            split = split_of(self._listing, path.parent)
        if path in self._images:
            message = "{count} images are labelled more than once"
            self._tally.add("conflicting-labels", "stop", message, f"{name}: {self._images[path].source} and {source}")
            return None
        try:
            size = FileImage(path).size()
        except DataError:
            message = "{count} images cannot be read"
            self._tally.lose("unreadable-image", message, name, unit="image files", split=split, file=path)
            return None
        image = AnnotatedImage(path, split, size, source, stated)
        self._images[path] = image
        return image

    def labels(self) -> set[str]:
        """The class names of all objects so far."""
        return {item.label for image in self._images.values() for item in image.objects}

    def tag_names(self) -> set[str]:
        """The tags of all images so far."""
        return {tag for image in self._images.values() for tag in image.tags}

    def answer(self, image: AnnotatedImage, question: str, *answers: str) -> None:
        """Notes answers to a question about an image; the question with most answers is taken for the tags."""
        self._questions.setdefault(question, {}).setdefault(image.path, []).extend(answers)

    def _settle_questions(self) -> None:
        """Takes the answers to one question as the tags of the images."""
        asked = sorted(self._questions.items(), key=lambda item: -len(item[1]))
        for path, answers in asked[0][1].items() if asked else ():
            self._images[path].tags += answers
        if len(asked) > 1:
            names = [name or "tags without a value" for name, _ in asked]
            message = f"{{count}} questions about whole images are not used; {names[0]} is the class of an image"
            self._tally.lose("question-not-used", message, ", ".join(names[1:]), len(names) - 1, unit="columns")

    def tell_turned(self, image: AnnotatedImage, label: str) -> None:
        """Says that a box is turned, so that the box around it is taken."""
        message = "{count} boxes are turned; the upright boxes around them are taken"
        self._tally.add("turned-box", "note", message, f"{image.source}: {label}")

    def lose_shape(self, image: AnnotatedImage, kind: str, label: str) -> None:
        """Tallies a drawn thing that covers no area. kind: what it is, such as "a line"."""
        self._tally.found("objects")
        self._tally.lose(
            "shape-without-area",
            "{count} shapes have no area (lines and the like)",
            f"{image.source}: {label} ({kind})",
            split=image.split,
            label=label,
            cause="draw the objects as boxes, polygons or masks",
        )

    def lose_unreadable(self, image: AnnotatedImage, error: Exception, label: str = "") -> None:
        """Tallies an object that cannot be understood, and why."""
        reason = (error.got if isinstance(error, DataError) else "") or f"{type(error).__name__}: {error}"
        self._tally.found("objects")
        message = "{count} objects cannot be understood"
        self._tally.lose(
            "unreadable-object", message, f"{image.source}: {reason[:200]}", split=image.split, label=label
        )

    def add_point(self, image: AnnotatedImage, *points: Point) -> None:
        """Adds points that were drawn one by one: together they are the points of the image."""
        self._single_points.setdefault(image.path, []).extend(points)

    def add_points(self, image: AnnotatedImage, points: Sequence[Point], area: float = 0) -> None:
        """Adds the points of one object; those whose names are there more than once are lost.

        area: of the object.
        """
        counts = Counter(name for name, *_ in points)
        for name, count in counts.items():
            if count > 1:
                message = "{count} points have a name that others of the same image or object have, too"
                cause = "give each point of an object a name of its own; points that are to be counted are not learnt"
                self._tally.found("points", count)
                self._tally.lose("point-name-twice", message, f"{image.source}: {name}", count, unit="points",
                                 split=image.split, cause=cause)  # fmt: skip
        single = {name: (x, y, visible) for name, x, y, visible in points if counts[name] == 1}
        if single:
            image.points.append(PointSet(single, area))

    def reading(self, classes: Sequence[str] = (), tags: Sequence[str] = ()) -> Reading:
        """The samples of all images.

        Args:
            classes: the classes of objects in their order, where the tool declares them.
            tags: the same of tags.

        Raises:
            DataError: if no label allows a task.
        """
        images = list(self._images.values())
        self._settle_questions()
        for path, points in self._single_points.items():
            self.add_points(self._images[path], points)
        splits = [split for split in ("train", "val", "test", ALL) if any(image.split == split for image in images)]
        if not images:
            raise DataError(
                f"no image that the labels in {self._listing.source} name is there",
                expected="the images beside the labels, or in folders there",
                got=self._losses() or "labels of no image",
                remedy=next((loss.cause for loss in self._lost() if loss.cause), "put the images beside the labels"),
            )
        self._lose_unlabelled_splits(set(splits))
        self._settle_sizes(images)
        reference = reference_split(dict.fromkeys(splits))
        targets: dict[Path, dict[str, Value | TargetSource]] = {image.path: {} for image in images}
        others = self._add_points(images, targets) | self._add_tags(images, reference, tuple(tags), targets)
        names = {split: {item.label for image in images if image.split == split for item in image.objects}
                 for split in splits}  # fmt: skip
        if any(names.values()):
            return self._with_objects(images, splits, self._classes(names, reference, tuple(classes)), targets, others)
        if not others:
            raise DataError(
                f"no image of {self._listing.source} has a label that a task can learn",
                expected="boxes, outlines, named points or tags of images",
                got=self._losses() or f"{len(images)} images, none with a label",
            )
        samples = {
            split: [
                Sample(self._listing.name_of(image.path), FileImage(image.path), targets[image.path])
                for image in images
                if image.split == split
            ]
            for split in splits
        }
        return self._tally.reading(others, samples)

    def _lose_unlabelled_splits(self, labelled: set[str]) -> None:
        """Tallies the images of a folder called train or val of which none is labelled; test images need no labels."""
        folders = {} if self._listing.is_file else self._listing.split_folders()
        for split, folder in folders.items():
            if split in labelled or split == "test":
                continue
            for path in self._listing.images_below(folder):
                message, cause = "{count} images have no labels", f"label the images in {folder.name}, or move them"
                self._tally.lose("unlabelled-image", message, self._listing.name_of(path), unit="image files",
                                 split=split, cause=cause, file=path)  # fmt: skip

    def _losses(self) -> str:
        """What was lost so far, with the first example of each reason."""
        return "; ".join(
            loss.message.replace("{count}", f"{loss.count:,}") + (f" ({loss.examples[0]})" if loss.examples else "")
            for loss in self._lost()
        )

    def _lost(self) -> tuple[Loss, ...]:
        return self._tally.reading({}, {}).account.losses

    def _settle_sizes(self, images: Sequence[AnnotatedImage]) -> None:
        """Holds the stated sizes to those of the images; labels of images that were scaled later are scaled."""
        stated = np.asarray([image.stated or (0, 0) for image in images], np.int64)
        if not stated.any():
            return
        extents = np.asarray([image.extent() for image in images], np.float64)
        names = [image.source for image in images]
        settled = settle_sizes([FileImage(image.path) for image in images], stated, extents, self._tally, names)
        for image, size in zip(images, settled.sizes.tolist(), strict=True):
            has_mask = any(isinstance(item.outline, dict) for item in image.objects)
            if tuple(size) != image.size or (has_mask and settled.factor != 1):
                numbers = "{} x {}, the image {} x {} (height x width)".format(*(image.stated or size), *image.size)
                message = "{count} images have another size than their labels state"
                self._tally.add("size-differs", "stop", message, f"{image.source}: {numbers}")
            elif settled.factor != 1:
                image.scale(settled.factor)

    def _classes(self, names: Mapping[str, set[str]], reference: str, declared: tuple[str, ...]) -> tuple[str, ...]:
        """The classes in their order. names: those that each split uses."""
        classes = declared or class_order(names[reference])
        for split, used in names.items():
            note_missing_classes(self._tally, split, reference, (names[reference] & set(classes)) - used)
        return classes

    def _with_objects(
        self,
        images: Sequence[AnnotatedImage],
        splits: Sequence[str],
        classes: tuple[str, ...],
        targets: Mapping[Path, dict[str, Value | TargetSource]],
        others: Mapping[str, tuple[str, ...]],
    ) -> Reading:
        """The reading of images with objects. targets: of the tasks ``others``."""
        if len(set(classes)) < len(classes):
            raise DataError("a class is declared twice", expected="different names", got=", ".join(classes))
        ids = {name: index for index, name in enumerate(classes)}
        self._tally.found("objects", sum(item.label in ids for image in images for item in image.objects))
        entries: dict[str, list[Entry]] = {split: [] for split in splits}
        for image in images:
            objects = self._objects(image, ids, classes, reference_split(entries))
            name = self._listing.name_of(image.path)
            entries[image.split].append((name, objects.image, objects, targets[image.path]))
        return read_objects(entries, classes, self._tally, others, mark="ignored")

    def _objects(
        self, image: AnnotatedImage, ids: Mapping[str, int], classes: tuple[str, ...], reference: str
    ) -> Objects:
        for item in image.objects:
            if item.label not in ids:
                note_unknown_class(self._tally, image.split, item.label, reference)
        items = [item for item in image.objects if item.label in ids]
        boxes = np.asarray([item.box for item in items], np.float64).reshape(-1, 4)
        labels = [item.label for item in items]
        repaired, kept = repair_and_tally(
            boxes, image.size, self._tally, image.source, split=image.split, labels=labels
        )
        outlines = tuple(items[i].outline for i in kept)
        return Objects(
            image=FileImage(image.path),
            classes=classes,
            boxes=repaired,
            labels=np.asarray([ids[labels[i]] for i in kept], np.int64),
            ignored=np.asarray([items[i].ignored for i in kept], bool),
            outlines=outlines if any(outline is not None for outline in outlines) else None,
            size=image.size,
        )

    def _add_points(
        self, images: Sequence[AnnotatedImage], targets: dict[Path, dict[str, Value | TargetSource]]
    ) -> dict[str, tuple[str, ...]]:
        names = tuple(dict.fromkeys(name for image in images for part in image.points for name in part.points))
        if not names:
            return {}
        pairs = flip_pairs(names)
        found = 0
        for image in images:
            if not image.points:
                continue
            best = max(image.points, key=lambda part: part.area)
            found += len(best.points)
            rest = sum(len(part.points) for part in image.points) - len(best.points)
            if rest:
                message = "{count} points are not those of the largest object of their image; not used"
                self._tally.add("points-of-other-objects", "note", message, image.source, rest)
            points, visible = np.zeros((len(names), 2), np.float32), np.zeros(len(names), bool)
            for k, name in enumerate(names):
                x, y, seen = best.points.get(name, (0.0, 0.0, False))
                if seen and np.abs([x, y]).max() < _FARTHEST:
                    points[k], visible[k] = (x, y), True
            if visible.any():
                landmarks = Landmarks(names, points, visible, image.size, flip_pairs=pairs)
                targets[image.path]["landmarks"] = landmarks
        self._tally.found("points", found)
        return {"landmarks": names}

    def _add_tags(
        self,
        images: Sequence[AnnotatedImage],
        reference: str,
        declared: tuple[str, ...],
        targets: dict[Path, dict[str, Value | TargetSource]],
    ) -> dict[str, tuple[str, ...]]:
        names: dict[str, set[str]] = {image.split: set() for image in images}
        for image in images:
            names[image.split].update(image.tags)
        if not any(names.values()):
            return {}
        classes = self._classes(names, reference, declared)
        ids = {name: index for index, name in enumerate(classes)}
        several = any(len(set(image.tags)) > 1 for image in images)
        for image in images:
            for name in image.tags:
                if name not in ids:
                    note_unknown_class(self._tally, image.split, name, reference)
            present = sorted({ids[name] for name in image.tags if name in ids})
            if several:
                targets[image.path]["multilabel_classification"] = LabelSet.of_ids(classes, present)
            elif present:
                targets[image.path]["classification"] = Label(classes, present[0])
        return {"multilabel_classification" if several else "classification": classes}
