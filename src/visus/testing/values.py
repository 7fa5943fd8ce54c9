"""The battery for kinds of answer: what every value class must do, so that no room asks which one it has."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from visus.data.augmentation.frame import Frame
from visus.data.augmentation.geometry import flip, mirror, rot90
from visus.errors import ShapeError
from visus.structures import Placement
from visus.structures.value import Value
from visus.testing.conformance import require

IMAGE_SIZE = (48, 64)
"""(height, width) of the image that the values of a case belong to."""


class ValueCase:
    """A kind of answer, by two of its values about one image of :data:`IMAGE_SIZE`.

    A value that says where something is should say so off the middle of the image: what a mirror does not move cannot
    show whether the value follows it.

    Args:
        target: the truth about the image: without scores.
        prediction: as a network's answer.
    """

    def __init__(self, target: Value, prediction: Value) -> None:
        self.target = target
        self.prediction = prediction
        ramp = np.add.outer(np.arange(IMAGE_SIZE[0]), np.arange(IMAGE_SIZE[1]))
        self.pixels: NDArray[np.uint8] = np.stack([ramp, ramp * 2, 255 - ramp]).astype(np.uint8)  # [3, H, W]

    @property
    def both(self) -> tuple[Value, Value]:
        """The target and the prediction."""
        return self.target, self.prediction


class _CountedImage:
    """An image in memory that counts how often it is decoded."""

    path: Path | None = None

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels = pixels
        self.loads = 0

    def size(self) -> tuple[int, int]:
        return (self.pixels.shape[1], self.pixels.shape[2])

    def load(self, at_least: tuple[int, int] | None = None) -> NDArray[np.uint8]:  # noqa: ARG002 - never scaled
        self.loads += 1
        return self.pixels


def _plain(value: Value) -> Any:
    """What a value says of itself, with numbers rounded to what an eye could see."""

    def rounded(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: rounded(part) for key, part in item.items()}
        if isinstance(item, list | tuple):
            return [rounded(part) for part in item]
        return round(item, 3) if isinstance(item, float) else item

    return rounded(value.to_dict())


def _equal(left: Any, right: Any) -> bool:
    """Whether two fields are equal, arrays or not."""
    return left is right or np.array_equal(left, right)


def _is_empty(value: Value) -> bool:
    """Whether the value says that its image shows nothing."""
    return value.examined(IMAGE_SIZE, value.classes).empty


def _frame(case: ValueCase, value: Value) -> Frame:
    """The image of the case with a value, for an augmentation."""
    return Frame(np.moveaxis(case.pixels, 0, -1).copy(), value, 0)


def has_all_that_a_value_does(case: ValueCase) -> None:
    """Target and prediction are of one class with every member of :class:`~visus.structures.value.Value`."""
    require(type(case.target) is type(case.prediction), "target and prediction are of one class")
    members = [name for name in vars(Value) if not name.startswith("_")] + list(Value.__annotations__)
    missing = [name for name in members if not hasattr(case.target, name)]
    require(not missing, f"{type(case.target).__name__} has every member of Value", got=f"no {', '.join(missing)}")


def is_frozen(case: ValueCase) -> None:
    """No field can be set; a value travels through threads and caches."""
    for field in fields(case.target):  # type: ignore[arg-type]
        try:
            setattr(case.target, field.name, None)
        except (FrozenInstanceError, AttributeError):
            continue
        require(False, f"the field {field.name} cannot be set")


def draws_itself_on_its_image(case: ValueCase) -> None:
    """``draw`` gives a picture that differs from the image and is at least as large; without an image it says so.

    An image that is given and the same image from a source give the same picture.
    """
    for value in case.both:
        picture = value.draw(case.pixels)
        require(isinstance(picture, Image), "draw gives a Pillow image", got=type(picture).__name__)
        large = picture.width >= IMAGE_SIZE[1] and picture.height >= IMAGE_SIZE[0]
        require(large, "the picture is as large as the image or larger", got=picture.size)
        from_source = np.asarray(value.with_image(_CountedImage(case.pixels)).draw())
        require(np.array_equal(from_source, np.asarray(picture)), "a source and a given image are drawn alike")
        bare = np.moveaxis(case.pixels, 0, -1)
        require(picture.size != IMAGE_SIZE[::-1] or (np.asarray(picture.convert("RGB")) != bare).any(), "draw draws")
        try:
            value.with_image(None).draw()
        except ShapeError as error:
            require(error.remedy or error.expected, "the refusal to draw without an image says what to do")
        else:
            require(False, "draw without any image is refused with a ShapeError")


def keeps_its_images_source_and_not_its_pixels(case: ValueCase) -> None:
    """The image is decoded when the value is drawn, and neither before nor for anything else."""
    for value in case.both:
        source = _CountedImage(case.pixels)
        shown = value.with_image(source)
        require(shown.image is source, "with_image keeps the source")
        shown.words(), shown.to_dict(), shown.rows("a.png"), shown.mentions(), shown.parts(), shown.above(0.5)
        require(source.loads == 0, "nothing but drawing decodes the image", got=f"{source.loads} decodings")
        shown.draw()
        require(source.loads == 1, "drawing decodes the image once", got=f"{source.loads} decodings")


def tells_itself_in_one_line(case: ValueCase) -> None:
    """``words`` is one line, and not an empty one."""
    for value in case.both:
        words = value.words()
        require(words.strip() and "\n" not in words, "words gives one line", got=repr(words))


def turns_into_plain_data(case: ValueCase) -> None:
    """``to_dict`` is ready for JSON; ``rows`` for CSV, with the image's name in the column "image"."""
    for value in case.both:
        plain = value.to_dict()
        require(json.loads(json.dumps(plain, allow_nan=False)) is not None, "to_dict is ready for JSON")
        rows = value.rows("folder/a.png")
        require(rows or not value.mentions(), "a value that mentions a class has a row")
        for row in rows:
            require(row.get("image") == "folder/a.png", "each row names its image", got=row.get("image"))
            odd = {key: cell for key, cell in row.items() if not isinstance(cell, str | int | float | bool | None)}
            require(not odd, "each cell is a text, a number, or empty", got=odd)


def gives_pictures_of_its_size(case: ValueCase) -> None:
    """``pictures`` is from the end of a file's name to an image as large as the value's own."""
    for value in case.both:
        for ending, picture in value.pictures().items():
            require(ending and "/" not in ending, "pictures are named by the end of a file's name", got=repr(ending))
            require(picture.size == IMAGE_SIZE[::-1], f"{ending} is as large as the image", got=picture.size)


def outlines_lie_in_the_image(case: ValueCase) -> None:
    """The pieces of ``outlined`` have pixels, lie in the image, and are of one of the classes."""
    for value in case.both:
        for piece in value.outlined() or ():
            left, top = piece.corner
            height, width = piece.mask.shape
            inside = 0 <= top <= IMAGE_SIZE[0] - height and 0 <= left <= IMAGE_SIZE[1] - width
            window = f"{height} x {width} pixels at row {top}, column {left}"
            require(inside, "a piece of outlined lies in the image", got=window)
            require(piece.mask.any(), "a piece of outlined has pixels")
            require(0 <= piece.label < len(value.classes), "a piece of outlined has a class", got=piece.label)


def loses_only_masks(case: ValueCase) -> None:
    """``without_masks`` leaves each field as it is, except fields with "mask" in their name; it loses no class."""
    for value in case.both:
        bare = value.without_masks()
        require(type(bare) is type(value), "without_masks gives a value of the same class", got=type(bare).__name__)
        names = [field.name for field in fields(value) if "mask" not in field.name]  # type: ignore[arg-type]
        changed = [name for name in names if not _equal(getattr(bare, name), getattr(value, name))]
        require(not changed, "without_masks loses nothing but masks", got=f"a change in {', '.join(changed)}")
        require(bare.mentions() == value.mentions(), "without_masks loses no class", got=bare.mentions())
        require(bare.pictures().keys() <= value.pictures().keys(), "without_masks adds no picture")


def stays_itself_where_nothing_moves(case: ValueCase) -> None:
    """The identity placement and pairs of opposite moves change nothing that the value says."""
    for value in case.both:
        same = value.undo(Placement.identity(IMAGE_SIZE))
        require(_plain(same) == _plain(value), "the identity placement changes nothing", got=_plain(same))
        frame = _frame(case, value)
        pairs = {
            "two mirrorings": mirror(mirror(frame)),
            "two flips": flip(flip(frame)),
            "four quarters of a rotation": rot90(rot90(frame, 1), 3),
        }
        for name, moved in pairs.items():
            require(moved.target is not None, "a move leaves a target")
            if moved.target is not None:
                require(_plain(moved.target) == _plain(value), f"{name} change nothing", got=_plain(moved.target))


def comes_home_from_network_pixels(case: ValueCase) -> None:
    """Undoing a placement gives a value about the file: of the file's size, where the value has a size."""
    placement = Placement(
        file_size=(IMAGE_SIZE[0] * 2, IMAGE_SIZE[1] * 2), network_size=IMAGE_SIZE, scale=(0.5, 0.5), offset=(0.0, 0.0)
    )
    for value in case.both:
        home = value.undo(placement)
        require(type(home) is type(value), "undo gives a value of the same class", got=type(home).__name__)
        size = getattr(home, "size", placement.file_size)
        require(size == placement.file_size, f"the size is that of the file, {placement.file_size}", got=size)
        require(_plain(home).keys() == _plain(value).keys(), "undo loses nothing that the value says")


def is_located_if_it_moves(case: ValueCase) -> None:
    """``located`` says whether ``moved`` and ``undo`` change the value; judged by its picture on a grey image."""
    grey = np.full_like(case.pixels, 90)
    shift = Placement(file_size=IMAGE_SIZE, network_size=IMAGE_SIZE, scale=(1.0, 1.0), offset=(5.0, 7.0))
    for value in case.both:
        if _is_empty(value):
            continue
        drawn = np.asarray(value.draw(grey))
        changed = {"undo": value.undo(shift), "moved": mirror(_frame(case, value)).target}
        for method, other in changed.items():
            require(other is not None, f"{method} leaves a value")
            if other is not None:
                differs = not np.array_equal(np.asarray(other.draw(grey)), drawn)
                rule = f"{method} changes a value that is located, and no other"
                require(differs == value.located, rule, got=f"located = {value.located}")


def answers_for_one_class(case: ValueCase) -> None:
    """``narrowed`` to a class gives the same kind of value, which mentions no other class."""
    for label in case.prediction.classes:
        narrow = case.prediction.narrowed(label)
        require(type(narrow) is type(case.prediction), "narrowed gives a value of the same class")
        others = set(narrow.mentions()) - {label}
        require(not others, f"narrowed to {label} it mentions no other class", got=sorted(others))
        lost = label in case.prediction.mentions() and label not in narrow.mentions()
        require(not lost, f"narrowed to {label}, which it mentions, it still mentions it", got="no class")


def falls_into_parts(case: ValueCase) -> None:
    """``parts`` and ``above`` give values of the same kind; nothing is below a score of 0."""
    for value in case.both:
        kinds = {type(part) for part in value.parts()}
        require(kinds == {type(value)}, "each part is a value of the same class", got=kinds)
        mentioned = {name for part in value.parts() for name in part.mentions()}
        require(mentioned <= set(value.mentions()), "parts mention no further class", got=sorted(mentioned))
        require(_plain(value.above(0.0)) == _plain(value), "nothing is below a score of 0")
        require(type(value.above(1.0)) is type(value), "above gives a value of the same class")


def agrees_with_itself(case: ValueCase) -> None:
    """``agreement`` is 1 with the value itself, and within 0..1 with another."""
    for value in case.both:
        require(value.agreement(value) == 1, "a value agrees with itself", got=value.agreement(value))
    ours, theirs = case.prediction.agreement(case.target), case.target.agreement(case.prediction)
    require(0 <= ours <= 1 and 0 <= theirs <= 1, "an agreement is within 0..1", got=(ours, theirs))


def is_examined_with_its_image(case: ValueCase) -> None:
    """A target that fits its image has no fault; one of another size has; repairing a faultless one changes nothing."""
    target = case.target
    state = target.examined(IMAGE_SIZE, target.classes)
    require(not state.fault, "a target that fits its image has no fault", got=f"{state.fault}: {state.reason}")
    counted = state.counts is not None and np.array_equal(state.counts, target.class_counts())
    require(counted, "an examination counts as class_counts does", got=state.counts)
    if hasattr(target, "size") and not state.empty:
        fault = target.examined((2, 2), target.classes).fault
        require(fault == "size-differs", "a target of another size than its image has a fault", got=repr(fault))
    repaired, faults = target.repaired()
    require(repaired is target and not faults, "a faultless target is not repaired", got=faults)


def counts_its_classes(case: ValueCase) -> None:
    """``class_counts`` and ``class_amounts`` have a number a class, and agree on which classes there are."""
    for value in case.both:
        counts, amounts = value.class_counts(), value.class_amounts()
        require(counts.shape == (len(value.classes),), "class_counts has one number a class", got=counts.shape)
        require(amounts.shape == counts.shape, "class_amounts has one number a class", got=amounts.shape)
        agree = np.array_equal(amounts > 0, counts > 0)
        require(agree, "class_amounts and class_counts are above 0 for the same classes", got=amounts)
        require(value.unit or not value.classes, "class_amounts has a unit")
        require(not value.averaged or amounts.max(initial=0) <= 1, "what is averaged is a share", got=amounts)


def is_compared_with_its_target(case: ValueCase) -> None:
    """``compared`` has something for a report with and without a target, and draws what it promises."""
    for target in (case.target, None):
        comparison = case.prediction.compared(target)
        for caption, draw in comparison.pictures.items():
            require(isinstance(draw(case.pixels), Image), f"{caption} is drawn on the image")
    require(case.prediction.compared(case.prediction).right is not False, "a value that equals its target is right")


def keeps_its_classes_under_other_ids(case: ValueCase) -> None:
    """A target in classes of another order and number names the same ones, so that data are judged by names."""
    classes = (*reversed(case.target.classes), "visus: no such class")
    ids = np.arange(len(case.target.classes))[::-1].copy()
    if not case.target.classes:
        return
    matched = case.target.with_classes(classes, ids)
    require(tuple(matched.classes) == classes, "a target in other classes has these classes")
    require(set(matched.mentions()) == set(case.target.mentions()), "a target in other classes names the same ones")


def takes_other_names(case: ValueCase) -> None:
    """A network names its classes by number; under their own names again, the value says what it said."""
    numbers = tuple(str(k) for k in range(len(case.prediction.classes)))
    numbered = case.prediction.named(numbers)
    require(tuple(numbered.classes) == numbers, "a renamed value has the new names")
    again = numbered.named(case.prediction.classes)
    require(_plain(again) == _plain(case.prediction), "a value says under its own names what it said before")


def survives_a_pickle(case: ValueCase) -> None:
    """A value goes through a pipe between processes unchanged."""
    for value in case.both:
        again = pickle.loads(pickle.dumps(value))
        require(_plain(again) == _plain(value), "a pickled value says what it said before")


VALUE_CHECKS: tuple[Callable[[ValueCase], None], ...] = (
    has_all_that_a_value_does,
    is_frozen,
    draws_itself_on_its_image,
    keeps_its_images_source_and_not_its_pixels,
    tells_itself_in_one_line,
    turns_into_plain_data,
    gives_pictures_of_its_size,
    outlines_lie_in_the_image,
    loses_only_masks,
    stays_itself_where_nothing_moves,
    comes_home_from_network_pixels,
    is_located_if_it_moves,
    answers_for_one_class,
    falls_into_parts,
    agrees_with_itself,
    is_examined_with_its_image,
    counts_its_classes,
    is_compared_with_its_target,
    keeps_its_classes_under_other_ids,
    takes_other_names,
    survives_a_pickle,
)
"""The battery, a check each."""


def check_value(target: Value, prediction: Value) -> None:
    """Runs every check of the battery on a kind of answer; see :class:`ValueCase` for the arguments.

    Raises:
        ConformanceError: at the first check that fails.
    """
    case = ValueCase(target, prediction)
    for check in VALUE_CHECKS:
        check(case)
