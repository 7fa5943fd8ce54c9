"""The random changes of a training image; a field at its default changes nothing."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from visus.errors import RecipeError
from visus.structures.task_cards import TASKS, task_card

Probability = Annotated[float, Field(ge=0, le=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Degrees = Annotated[float, Field(ge=0, le=180)]
Positive = Annotated[float, Field(gt=0)]
Pixels = Annotated[int, Field(ge=1, le=16_384)]
Scaling = Annotated[float, Field(gt=0, le=1000)]

_OF_COLOURS = ("saturation", "hue", "pca_noise")
_OF_DARKNET = ("jitter", "jitter_scale", "aspect")
_NOT_RELEASED = {
    "ssd": ("crop_area", "random_crop", "jitter", "jitter_scale"),
    "darknet": ("crop_area", "iou_crop", "zoom_out", "contrast"),
}
_OF_RANDOM_CROP = ("scale_range", "short_side", "central_square", "corners", "pad")


class Augmentation(BaseModel):
    """Random changes of a training image and its target, drawn per image from (seed, epoch, index)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    crop_area: tuple[Positive, Fraction] | None = Field(
        None, description="cut a rectangle of this share of the area and scale it to the input (Inception crop)"
    )
    crop_aspect: tuple[Scaling, Scaling] = Field((3 / 4, 4 / 3), description="width : height of that rectangle")
    pad: Annotated[int, Field(ge=0, le=16_384)] = Field(
        0, description="pixels of the network's input that are added on every side before random_crop"
    )
    random_crop: bool = Field(
        False, description="cut a window of the input's size at a random place, in the file's own resolution"
    )
    scale_range: tuple[Scaling, Scaling] | None = Field(
        None, description="scale the image by a random factor before random_crop"
    )
    short_side: tuple[Pixels, Pixels] | None = Field(
        None, description="scale the shorter side to so many pixels, drawn from this range, before random_crop"
    )
    central_square: bool = Field(False, description="random_crop stays within the image's central square")
    corners: bool = Field(False, description="random_crop cuts one of the four corners or the centre")
    sides: tuple[Pixels, ...] = Field(
        (), description="square inputs of these sides in turn, one an epoch (SPP-net); none: the input's own size"
    )
    sides_every: Annotated[int, Field(ge=1, le=10**9)] | None = Field(
        None, description="draw one of the sides anew after so many steps (YOLO v2: 10); none: in turn, one an epoch"
    )
    mirror: Probability = Field(0.0, description="probability of swapping left and right")
    flip: Probability = Field(0.0, description="probability of swapping top and bottom")
    quarter_turns: bool = Field(
        False, description="rotate by 0, 90, 180 or 270 degrees; an input that is not square by 0 or 180"
    )
    rotation: Degrees = Field(0.0, description="rotate by up to this many degrees either way")
    shift: Fraction = Field(0.0, description="move by up to this share of each side")
    zoom: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="scale by a factor within 1 - zoom .. 1 + zoom")
    shear: Annotated[float, Field(ge=0, lt=90)] = Field(0.0, description="shear by up to this many degrees either way")
    border: Literal["constant", "nearest", "mirror"] = Field(
        "constant", description="what fills the pixels that random_crop, rotating, moving, shearing or elastic uncovers"
    )
    elastic: float = Field(
        0.0, ge=0, le=1000, description="standard deviation in pixels of a smooth 3x3-grid warp (U-Net)"
    )
    brightness: Fraction = Field(
        0.0, description="multiply by a factor within 1 - b .. 1 + b; released=ssd: add up to so large a share of 255"
    )
    contrast: Fraction = Field(
        0.0, description="scale the distance from the mean grey (released=ssd: from black) by 1 - c .. 1 + c"
    )
    saturation: Fraction = Field(
        0.0, description="scale the distance from grey (released: HSV's saturation) by 1 - s .. 1 + s"
    )
    hue: Annotated[float, Field(ge=0, le=0.5)] = Field(0.0, description="shift the hue by up to this share of a circle")
    photometric: Probability = Field(1.0, description="probability of each of the four colour changes")
    pca_noise: Annotated[float, Field(ge=0)] = Field(
        0.0, description="deviation of a shift along ImageNet's principal components of colour (AlexNet: 0.1)"
    )
    policy: Literal["none", "autoaugment"] = Field(
        "none",
        description="classification, also multi-label: AutoAugment's policy for ImageNet, after all other changes",
    )
    zoom_out: Probability = Field(0.0, description="probability of placing the image on a larger canvas (SSD)")
    zoom_out_ratio: Annotated[float, Field(ge=1, le=100)] = Field(4.0, description="largest side ratio of that canvas")
    iou_crop: bool = Field(
        False, description="SSD's sampler: a random patch that overlaps an object by 0.1, 0.3, 0.5, 0.7, 0.9 or anyhow"
    )

    released: Literal["none", "ssd", "darknet"] = Field(
        "none",
        description="colours, zoom_out and iou_crop exactly as in SSD's released code; or jitter (of classifiers "
        "random_crop) and colours as in Darknet, whose factors of brightness and saturation are 1 .. 1 + b or the "
        "inverse, in HSV",
    )
    jitter: Fraction = Field(
        0.0, description="released=darknet: move each edge by up to this share of its side, or change the sides' ratio"
    )
    jitter_scale: tuple[Scaling, Scaling] | None = Field(
        None,
        description="released=darknet: jitter changes the ratio, and the image is placed on the fill at a scale in "
        "this range (Darknet since 2017); none: jitter moves the edges (before)",
    )

    aspect: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0,
        description="released=darknet with random_crop, which turns by rotation too: divide the width by a factor of "
        "aspect .. 1 or by its inverse",
    )

    mosaic: Probability = Field(
        0.0, description="detection: probability of an image made of parts of four, after all other changes (YOLOv4)"
    )
    object_window: Literal["none", "centred", "overlapping"] = Field(
        "none",
        description="segmentation: a random object's box, 1.2 times enlarged, and nothing else labelled; or a window "
        "that overlaps it by half (DeconvNet's two stages)",
    )

    @model_validator(mode="after")
    def _act_together(self) -> Self:
        ways = ("crop_area", "random_crop", "iou_crop")
        cropping = [name for name in ways if getattr(self, name)]
        cropping += ["object_window"] if self.object_window != "none" else []
        if len(cropping) > 1:
            raise ValueError(f"choose one way of cropping: {' and '.join(cropping)} exclude one another")
        acting = [name for name in _OF_RANDOM_CROP if getattr(self, name) != type(self).model_fields[name].default]
        if acting and not self.random_crop:
            raise ValueError(f"{acting[0]} needs random_crop: set random_crop too")
        for name in _OF_DARKNET:
            if getattr(self, name) != type(self).model_fields[name].default and self.released != "darknet":
                raise ValueError(f"{name} is Darknet's: set released=darknet too")
        refused = [
            name
            for name in _NOT_RELEASED.get(self.released, ())
            if getattr(self, name) != type(self).model_fields[name].default
        ]
        if refused:
            raise ValueError(f"released={self.released} has no {refused[0]}: leave it at its default")
        if self.released == "darknet" and self.random_crop and (acting != ["short_side"] or self.jitter):
            raise ValueError("random_crop with released=darknet needs short_side, and no other field of random_crop")
        if self.aspect != 1 and not self.random_crop:
            raise ValueError("aspect needs random_crop: set random_crop too")
        if self.released == "darknet" and self.photometric != 1:
            raise ValueError("released=darknet changes the colours of every image: leave photometric at 1")
        if self.released != "none" and self.object_window != "none":
            raise ValueError(
                f"choose one way of cropping: released={self.released} and object_window exclude one another"
            )
        if self.sides_every is not None and not self.sides:
            raise ValueError("sides_every needs sides: set sides too")
        if self.scale_range is not None and self.short_side is not None:
            raise ValueError("choose one way of scaling: scale_range and short_side exclude one another")
        for name in ("crop_area", "crop_aspect", "scale_range", "short_side", "jitter_scale"):
            values = getattr(self, name)
            if values is not None and values[0] > values[1]:
                raise ValueError(f"{name} must give the smaller value first, not {list(values)}")
        return self

    def require(self, task: str, channels: int) -> None:
        """Checks that these changes suit the task's targets and the images' channels.

        Raises:
            RecipeError: if they have not.
        """
        for name, why in (
            ("iou_crop", "chooses patches by the boxes in them"),
            ("mosaic", "shows the objects of four images"),
            ("object_window", "finds objects in class maps"),
            ("policy", "moves what is in an image, and no boxes or masks with it"),
        ):
            default = type(self).model_fields[name].default
            if getattr(self, name) != default and name not in task_card(task).augmentations:
                tasks = sorted(card.name for card in TASKS if name in card.augmentations)
                raise RecipeError(
                    f"augmentation.{name} {why}",
                    expected=f"the task {' or '.join(tasks)}",
                    got=task,
                    remedy=f"set augmentation.{name}={str(default).lower()}",
                )
        if channels in (1, 3):
            return
        for name in _OF_COLOURS:
            if getattr(self, name):
                raise RecipeError(
                    f"augmentation.{name} changes colours, but images of {channels} channels have none",
                    expected=f"augmentation.{name} of 0",
                    got=str(getattr(self, name)),
                    remedy=f"set augmentation.{name}=0; brightness and contrast change any channels",
                )
        if self.policy != "none":
            raise RecipeError(
                f"augmentation.policy changes colours, but images of {channels} channels have none",
                expected="grey or colour pictures",
                got=f"{channels} channels",
                remedy="set augmentation.policy=none",
            )
