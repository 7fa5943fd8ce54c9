"""The default recipes for a user's data; the cards of the models name them.

A recipe for own data is a function of the model's card, the facts about the data, and whether the network, or its
backbone, starts from published weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from visus.data.augmentation.settings import Augmentation
from visus.engine.recipe import Optimizer, Recipe, Schedule
from visus.errors import RecipeError
from visus.models.card import Card
from visus.structures.extensions import load_object
from visus.tasks.options import LossOptions

SMALL_IMAGE = 64
"""Images with no side longer than this, in pixels, are treated as glyphs and thumbnails, not as photos."""


@dataclass(frozen=True, slots=True)
class DataFacts:
    """The facts about the data that the choice depends on.

    Args:
        images: number of training images.
        classes: number of classes.
        size: median (height, width) of the training images, in pixels.
        grey: whether no training image that was looked at has colour.
        channels: of the images; 3 stands for grey and colour pictures.
    """

    images: int
    classes: int
    size: tuple[int, int]
    grey: bool
    channels: int = 3

    @property
    def small(self) -> bool:
        """Whether the images are glyphs or thumbnails."""
        return max(self.size) <= SMALL_IMAGE


class OwnData(Protocol):
    """Makes the default recipe of a model for a user's data."""

    def __call__(self, card: Card, facts: DataFacts, *, pretrained: bool) -> Recipe: ...


def classification(card: Card, facts: DataFacts, *, pretrained: bool) -> Recipe:
    """For any classifier."""
    if facts.small:
        return glyphs(facts)
    return fine_tuning() if pretrained else photos_from_scratch(facts)


def glyphs(facts: DataFacts) -> Recipe:
    """For classifiers of small images."""
    # Small turns, shifts and scalings, never mirroring: a mirrored 2 is no 2.
    few = facts.images < 10_000
    return Recipe(
        source="visus default for small images, tuned on the 1,797 digits of scikit-learn",
        epochs=40 if few else 12,
        batch_size=32 if few else 128,
        optimizer=Optimizer(name="adam", lr=2e-3 if few else 1e-3),
        schedule=Schedule(name="cosine", warmup_epochs=1),
        augmentation=Augmentation(rotation=12, shift=0.1, zoom=0.15, border="nearest"),
        # Few held-out images would choose the epoch by luck: the average of the last, smallest steps is taken instead.
        ema=0.99,
        keep="last",
        channels_last=False,
    )


def fine_tuning() -> Recipe:
    """For classifiers of photos that start from published weights."""
    return Recipe(
        source="visus default for fine-tuning: everything learns, the backbone at a tenth of the head's rate",
        epochs=15,
        batch_size=32,
        optimizer=Optimizer(name="adamw", lr=1e-3, weight_decay=0.01, backbone_lr=0.1),
        schedule=Schedule(name="cosine", warmup_epochs=1),
        augmentation=Augmentation(crop_area=(0.35, 1.0), mirror=0.5, brightness=0.2, contrast=0.2, saturation=0.2),
        freeze="batchnorm",
        early_stopping=6,
    )


def photos_from_scratch(facts: DataFacts) -> Recipe:
    """For classifiers of photos that start from random weights."""
    # A network of its own weights needs many passes over few images.
    return Recipe(
        source="visus default for photos from scratch",
        epochs=60 if facts.images < 10_000 else 30,
        batch_size=32,
        optimizer=Optimizer(name="adamw", lr=1e-3, weight_decay=0.02),
        schedule=Schedule(name="cosine", warmup_epochs=3),
        augmentation=Augmentation(crop_area=(0.35, 1.0), mirror=0.5, brightness=0.2, contrast=0.2, saturation=0.2),
    )


def landmarks(card: Card, facts: DataFacts, *, pretrained: bool) -> Recipe:
    """For networks that answer with points."""
    # Not mirrored unasked: names of points need not tell which of them change places.
    return Recipe(
        source="visus default for landmarks: small turns, shifts and scalings with AdamW",
        epochs=30 if pretrained else 60,
        batch_size=32 if facts.images >= 500 else 16,
        optimizer=Optimizer(name="adamw", lr=1e-3, weight_decay=0.01, backbone_lr=0.1 if pretrained else 1.0),
        schedule=Schedule(name="cosine", warmup_epochs=1),
        augmentation=Augmentation(rotation=15, shift=0.05, zoom=0.1, brightness=0.2, contrast=0.2, saturation=0.2),
        freeze="batchnorm" if pretrained else "none",
        clip_norm=10.0,
    )


def localization(card: Card, facts: DataFacts, *, pretrained: bool) -> Recipe:
    """For networks that answer with a class and one box."""
    return Recipe(
        source="visus default for a class and one box: SSD's sampler and colours with AdamW",
        epochs=30 if pretrained else 60,
        batch_size=32 if facts.images >= 500 else 16,
        optimizer=Optimizer(name="adamw", lr=1e-3, weight_decay=0.01, backbone_lr=0.1 if pretrained else 1.0),
        schedule=Schedule(name="cosine", warmup_epochs=1),
        augmentation=Augmentation(iou_crop=True, mirror=0.5, brightness=0.125, contrast=0.3, saturation=0.3),
        freeze="batchnorm" if pretrained else "none",
        clip_norm=10.0,
    )


def retinanet(card: Card, facts: DataFacts, *, pretrained: bool) -> Recipe:
    """For RetinaNet."""
    return detection(card, facts, pretrained=pretrained).with_changes(
        {
            "model_options": {"match_best": True},  # own data often has objects that no anchor covers by half
            "source": "visus default for RetinaNet: SSD's crops and colours, 512 pixels instead of 800, AdamW",
            "size": (512, 512),  # a good third of the operations at 800
            "optimizer.lr": 3e-4,  # of the deep subnets, which no norm steadies; at 1e-3 BCCD's loss stops falling
            "optimizer.backbone_lr": 0.3 if pretrained else 1.0,
            "optimizer.weight_decay": 1e-4,
        }
    )


def yolo(card: Card, facts: DataFacts, *, pretrained: bool) -> Recipe:
    """For the YOLOs."""
    return detection(card, facts, pretrained=pretrained).with_changes(
        {
            "source": "visus default for YOLO: the first paper's zoom and shift by up to 20 %, SSD's colours, AdamW",
            "schedule.warmup_epochs": 2,
            "augmentation.iou_crop": False,
            "augmentation.zoom": 0.2,
            "augmentation.shift": 0.2,
            "clip_norm": 100.0,  # of losses that are sums over an image's predictors
        }
    )


def faster_rcnn(card: Card, facts: DataFacts, *, pretrained: bool) -> Recipe:
    """For Faster R-CNN with one map."""
    # As many pixels as the images have, up to VOC's: more would show nothing more.
    side = min(max(min(facts.size) // 32 * 32, 224), 480)
    return detection(card, facts, pretrained=pretrained).with_changes(
        {
            "source": "visus default for Faster R-CNN: RoIAlign, anchors of the data, small changes of scale, AdamW",
            # own data has small objects, and images of which few regions overlap one
            "model_options": {"pooling": "align", "smallest": 1.0, "background": 0.0},
            "size": (side, round(side * 5 / 3 / 32) * 32),
            "batch_size": 4,  # each step learns from 128 regions and 256 anchors of every image
            "optimizer.lr": 3e-4,
            "optimizer.backbone_lr": 0.3 if pretrained else 1.0,
            "optimizer.weight_decay": 1e-4,
            "augmentation.iou_crop": False,
            "augmentation.zoom": 0.2,
            "augmentation.shift": 0.1,
        }
    )


def faster_rcnn_fpn(card: Card, facts: DataFacts, *, pretrained: bool) -> Recipe:
    """For Faster R-CNN on a feature pyramid."""
    return detection(card, facts, pretrained=pretrained).with_changes(
        {
            "source": "visus default for Faster R-CNN on a pyramid: RoIAlign, a narrow pyramid, half the paper's size "
            "and anchors, small changes of scale, AdamW",
            "model_options": _NARROW_PYRAMID,
            "size": _side_by_side(facts, 512),
            "batch_size": 4,  # each step learns from many regions and anchors of every image
            "optimizer.lr": 5e-4,
            "optimizer.backbone_lr": 0.3 if pretrained else 1.0,
            "optimizer.weight_decay": 1e-4,
            "augmentation.iou_crop": False,
            "augmentation.zoom": 0.2,
            "augmentation.shift": 0.1,
        }
    )


def mask_rcnn(card: Card, facts: DataFacts, *, pretrained: bool) -> Recipe:
    """For Mask R-CNN."""
    recipe = faster_rcnn_fpn(card, facts, pretrained=pretrained)
    source = "visus default for Mask R-CNN: as Faster R-CNN's on a pyramid, with a narrow mask branch and more objects"
    if "mask_rcnn_c4" in card.name:  # which has no pyramid
        return recipe.with_changes({"source": source, "model_options": {"keep": 200}})
    return recipe.with_changes(
        {
            "source": source,
            "model_options": {**_NARROW_PYRAMID, "mask_width": 64, "proposals": 500, "sampled": 256, "keep": 300},
        }
    )


# The paper's 256 channels and 1000 proposals would be most of a step's work on a small backbone.
_NARROW_PYRAMID = {
    "pooling": "align",
    "anchor_side": 4.0,  # for images of half the paper's 800 pixels
    "width": 96,
    "hidden": 256,
    "proposals": 300,
    "sampled": 128,
}


def _side_by_side(facts: DataFacts, longest: int) -> tuple[int, int]:
    """The (height, width) of an input in which an image of the data fits, enlarged by half at most."""
    scale = min(longest / max(facts.size), 1.5)
    height, width = (max(-(-round(side * scale) // 32) * 32, 64) for side in facts.size)
    return height, width


def fast_rcnn(card: Card, facts: DataFacts, *, pretrained: bool) -> Recipe:
    """For Fast R-CNN."""
    return faster_rcnn(card, facts, pretrained=pretrained).with_changes(
        {
            "source": "visus default for Fast R-CNN: RoIAlign, all background, small changes of scale, AdamW",
            "model_options": {"pooling": "align", "background": 0.0},
        }
    )


def r_fcn(card: Card, facts: DataFacts, *, pretrained: bool) -> Recipe:
    """For R-FCN."""
    return faster_rcnn(card, facts, pretrained=pretrained).with_changes(
        {
            "source": "visus default for R-FCN: anchors of the data, small changes of scale, AdamW",
            # a quarter of the channels before the score maps is enough for a small backbone
            "model_options": {"smallest": 1.0, **({"width": 256} if card.backbone else {})},
        }
    )


def ssd(card: Card, facts: DataFacts, *, pretrained: bool) -> Recipe:
    """For SSD."""
    recipe = detection(card, facts, pretrained=pretrained)
    if not card.backbone:
        return recipe
    # The paper's smaller default boxes (sec. 3.4, for COCO): own data often has small objects.
    return recipe.with_changes({"model_options": {"scales": "coco"}})


def detection(card: Card, facts: DataFacts, *, pretrained: bool) -> Recipe:
    """For any detector."""
    return Recipe(
        source="visus default for detection: SSD's sampler and colours with AdamW instead of 120k steps of SGD",
        epochs=40,
        batch_size=16 if facts.images >= 500 else 8,  # few images give few steps
        optimizer=Optimizer(name="adamw", lr=1e-3, weight_decay=5e-4, backbone_lr=0.1 if pretrained else 1.0),
        schedule=Schedule(name="cosine", warmup_epochs=1),
        augmentation=Augmentation(
            iou_crop=True, mirror=0.5, brightness=0.125, contrast=0.3, saturation=0.3, hue=0.02, photometric=0.5
        ),
        freeze="batchnorm" if pretrained else "none",
        clip_norm=10.0,
        evaluate_every=2,
    )


def segmentation(card: Card, facts: DataFacts, *, pretrained: bool) -> Recipe:
    """For networks that answer pixel by pixel."""
    # Windows of at most 256 pixels, a multiple of 32: whatever the file's size, a step costs the same.
    side = max(32, min(256, min(facts.size) // 32 * 32))
    return Recipe(
        source="visus default for segmentation: windows at the file's own resolution, turns and mirrors, Dice beside "
        "cross-entropy",
        epochs=60 if facts.images < 1000 else 30,
        batch_size=8,
        size=(side, side),
        optimizer=Optimizer(name="adamw", lr=1e-3, weight_decay=1e-4, backbone_lr=0.1 if pretrained else 1.0),
        schedule=Schedule(name="cosine", warmup_epochs=1),
        freeze="batchnorm" if pretrained else "none",
        augmentation=Augmentation(
            random_crop=True,
            scale_range=(0.8, 1.25),
            mirror=0.5,
            brightness=0.2,
            contrast=0.2,
            border="mirror",
        ),
        loss=LossOptions(dice=1.0),
        evaluate_every=2,
    )


def instance_segmentation(card: Card, facts: DataFacts, *, pretrained: bool) -> Recipe:
    """For any network that answers with masks."""
    source = "visus default for instance segmentation: that for detection, masks moved too"
    return detection(card, facts, pretrained=pretrained).with_changes({"source": source})


def rcnn(card: Card, facts: DataFacts, *, pretrained: bool) -> Recipe:
    """For R-CNN: a short fine-tuning; on other backbones than the paper's of smaller regions, which take a fifth."""
    recipe = Recipe(
        source="visus default for R-CNN: a short fine-tuning with AdamW, then SVMs and box regressions as published",
        epochs=12 if pretrained else 40,
        batch_size=8,
        size=(512, 512),  # about that of VOC's images
        fit="letterbox",
        optimizer=Optimizer(name="adamw", lr=1e-3, weight_decay=0.01, backbone_lr=0.1 if pretrained else 1.0),
        schedule=Schedule(name="cosine", warmup_epochs=1),
        augmentation=Augmentation(mirror=0.5, brightness=0.125, contrast=0.3, saturation=0.3),
        freeze="batchnorm" if pretrained else "none",
        clip_norm=10.0,
        keep="last",
        evaluate_every=1000,  # a validation looks at all proposals of all images
    )
    smaller = {"side": 96, "context": 7} if card.backbone else {}  # of the paper's 227 and 16
    return recipe.with_changes({"model_options": {"sampled": 16, **smaller}})


def spp_net(card: Card, facts: DataFacts, *, pretrained: bool) -> Recipe:
    """For SPP-net: its dense layers alone learn where the convolutions have learned before."""
    return Recipe(
        source="visus default for SPP-net: the dense layers learn with AdamW, then SVMs and box regressions as "
        "published",
        epochs=12 if pretrained else 40,
        batch_size=8,
        size=(640, 640),  # small regions are a few cells of a map of stride 16
        fit="letterbox",
        optimizer=Optimizer(name="adamw", lr=3e-4, weight_decay=0.01),
        schedule=Schedule(name="cosine", warmup_epochs=1),
        augmentation=Augmentation(mirror=0.5, brightness=0.125, contrast=0.3, saturation=0.3),
        freeze="backbone" if pretrained else "none",
        clip_norm=10.0,
        keep="last",
        evaluate_every=1000,
        model_options={"sampled": 16, **({"width": 1024} if card.backbone else {})},
    )


OWN_DATA: Mapping[str, OwnData] = {
    "classification": classification,
    "localization": localization,
    "landmarks": landmarks,
    "detection": detection,
    "rcnn": rcnn,
    "retinanet": retinanet,
    "spp_net": spp_net,
    "fast_rcnn": fast_rcnn,
    "faster_rcnn": faster_rcnn,
    "r_fcn": r_fcn,
    "faster_rcnn_fpn": faster_rcnn_fpn,
    "mask_rcnn": mask_rcnn,
    "ssd": ssd,
    "yolo": yolo,
    "instance_segmentation": instance_segmentation,
    "segmentation": segmentation,
}
"""By the name that a card gives as ``own_data``; the card that gives none gets the recipe of its task."""


def own_data_recipe(card: Card) -> OwnData:
    """The function that makes the recipe of a model for a user's data.

    Raises:
        RecipeError: if the card names none that there is.
    """
    if ":" in card.own_data:
        function: OwnData = load_object(card.own_data)
        return function
    if not card.own_data:
        return OWN_DATA.get(card.task, classification)
    if card.own_data not in OWN_DATA:
        raise RecipeError(
            f"the card of {card.full_name} names an unknown recipe for own data",
            expected=f"one of {', '.join(OWN_DATA)}, or package.module:function",
            got=card.own_data,
        )
    return OWN_DATA[card.own_data]
