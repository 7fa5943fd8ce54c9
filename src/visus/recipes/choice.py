"""The model and the recipe for own data, from a few facts about it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from visus.data.augmentation.settings import Augmentation
from visus.data.pixels.intensity import PixelValues
from visus.engine.recipe import Optimizer, Recipe, Schedule
from visus.errors import TaskMismatchError
from visus.models.card import Card
from visus.structures import Preprocessing
from visus.structures.task_cards import task_card
from visus.tasks.options import LossOptions

SMALL_IMAGE = 64
"""Images with no side longer than this, in pixels, are treated as glyphs and thumbnails, not as photos."""


OWN_ANCHORS = {"yolov2": 5, "yolov3": 9, "yolov3_tiny": 6}
"""Models whose anchors fit own boxes better if they are found among them, and how many the papers have."""


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What the choice depends on.

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


def choose_model(task: str, facts: DataFacts) -> tuple[str, str]:
    """(model, backbone) for own data; the backbone is "" where the model needs none.

    Raises:
        TaskMismatchError: if the task is unknown, or its card names no default model.
    """
    if task == "classification" and facts.small:
        return "mnist_cnn", ""
    card = task_card(task)
    if not card.default_model:
        raise TaskMismatchError(
            f"{task} has no default model",
            expected="the name of a model",
            got="none",
            remedy=f"choose one with --model; visus models --task {task} lists them",
        )
    return card.default_model, card.default_backbone


def own_anchors(card: Card, classes: int, *, pretrained: bool) -> int:
    """How many anchors to find among own boxes; 0 for a model that has none, or whose weights know published ones.

    A head starts from published weights only where a whole network does, for as many classes.
    """
    if pretrained and not card.backbone and classes == card.classes:
        return 0
    return OWN_ANCHORS.get(card.name.partition("+")[0], 0)


def choose_recipe(card: Card, facts: DataFacts, *, pretrained: bool) -> Recipe:
    """The default recipe for a model on own data.

    Args:
        card: the model.
        facts: the data.
        pretrained: whether the network, or its backbone, starts from published weights.
    """
    if card.task == "landmarks":
        recipe = _landmarks(facts, pretrained)
    elif card.task == "localization":
        recipe = _localization(facts, pretrained)
    elif card.task == "detection":
        if card.name.startswith("retinanet"):
            recipe = _retinanet(facts, pretrained)
        else:
            recipe = _yolo(facts, pretrained) if card.name.startswith("yolo") else _ssd(card, facts, pretrained)
    elif card.task == "segmentation":
        recipe = _segmentation(facts, pretrained)
    elif facts.small:
        recipe = _glyphs(facts)
    else:
        recipe = _fine_tuning() if pretrained else _photos_from_scratch(facts)
    if facts.channels not in (1, 3):  # what is no picture has no colours to be changed
        recipe = recipe.with_changes({"augmentation.saturation": 0.0, "augmentation.hue": 0.0})
    return recipe


def _glyphs(facts: DataFacts) -> Recipe:
    # Small rotations, shifts and scalings, never mirroring: a mirrored 2 is no 2.
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


def _fine_tuning() -> Recipe:
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


def _photos_from_scratch(facts: DataFacts) -> Recipe:
    # A network of its own weights needs many passes over few images.
    return Recipe(
        source="visus default for photos from scratch",
        epochs=60 if facts.images < 10_000 else 30,
        batch_size=32,
        optimizer=Optimizer(name="adamw", lr=1e-3, weight_decay=0.02),
        schedule=Schedule(name="cosine", warmup_epochs=3),
        augmentation=Augmentation(crop_area=(0.35, 1.0), mirror=0.5, brightness=0.2, contrast=0.2, saturation=0.2),
    )


def _landmarks(facts: DataFacts, pretrained: bool) -> Recipe:
    # Not mirrored unasked: names of points need not tell which of them change places.
    return Recipe(
        source="visus default for landmarks: small rotations, shifts and scalings with AdamW",
        epochs=30 if pretrained else 60,
        batch_size=32 if facts.images >= 500 else 16,
        optimizer=Optimizer(name="adamw", lr=1e-3, weight_decay=0.01, backbone_lr=0.1 if pretrained else 1.0),
        schedule=Schedule(name="cosine", warmup_epochs=1),
        augmentation=Augmentation(rotation=15, shift=0.05, zoom=0.1, brightness=0.2, contrast=0.2, saturation=0.2),
        freeze="batchnorm" if pretrained else "none",
        clip_norm=10.0,
    )


def _localization(facts: DataFacts, pretrained: bool) -> Recipe:
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


def _retinanet(facts: DataFacts, pretrained: bool) -> Recipe:
    recipe = _detection(
        facts, pretrained, {"match_best": True}
    )  # own data often has objects that no anchor covers by half
    return recipe.with_changes(
        {
            "source": "visus default for RetinaNet: SSD's crops and colours, 512 pixels instead of 800, AdamW",
            "size": (512, 512),  # a good third of the operations at 800
            "optimizer.lr": 3e-4,  # of the deep subnets, which no norm steadies; at 1e-3 BCCD's loss stops falling
            "optimizer.backbone_lr": 0.3 if pretrained else 1.0,
            "optimizer.weight_decay": 1e-4,
        }
    )


def _yolo(facts: DataFacts, pretrained: bool) -> Recipe:
    recipe = _detection(facts, pretrained, {})
    return recipe.with_changes(
        {
            "source": "visus default for YOLO: the first paper's zoom and shift by up to 20 %, SSD's colours, AdamW",
            "schedule.warmup_epochs": 2,
            "augmentation.iou_crop": False,
            "augmentation.zoom": 0.2,
            "augmentation.shift": 0.2,
            "clip_norm": 100.0,  # of losses that are sums over an image's predictors
        }
    )


def _ssd(card: Card, facts: DataFacts, pretrained: bool) -> Recipe:
    # The paper's smaller default boxes (sec. 3.4, for COCO): own data often has small objects.
    return _detection(facts, pretrained, {"scales": "coco"} if card.backbone else {})


def _detection(facts: DataFacts, pretrained: bool, options: dict[str, object]) -> Recipe:
    return Recipe(
        source="visus default for detection: SSD's sampler and colours with AdamW instead of 120k steps of SGD",
        epochs=40,
        batch_size=16 if facts.images >= 500 else 8,  # few images give few steps
        optimizer=Optimizer(name="adamw", lr=1e-3, weight_decay=5e-4, backbone_lr=0.1 if pretrained else 1.0),
        schedule=Schedule(name="cosine", warmup_epochs=1),
        augmentation=Augmentation(
            iou_crop=True, mirror=0.5, brightness=0.125, contrast=0.3, saturation=0.3, hue=0.02, photometric=0.5
        ),
        model_options=options,
        freeze="batchnorm" if pretrained else "none",
        clip_norm=10.0,
        evaluate_every=2,
    )


def _segmentation(facts: DataFacts, pretrained: bool) -> Recipe:
    # Windows of at most 256 pixels, a multiple of 32: whatever the file's size, a step costs the same.
    side = max(32, min(256, min(facts.size) // 32 * 32))
    return Recipe(
        source="visus default for segmentation: windows at the file's own resolution, rotations and mirrors, Dice "
        "beside cross-entropy",
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


def training_preprocessing(
    card: Card, recipe: Recipe, channels: int, values: PixelValues | None = None
) -> Preprocessing:
    """What a training image goes through: the card's own way, with the recipe's size and fit, for any channels.

    Args:
        card: of the model.
        recipe: its size and fit, if it has any.
        channels: of the network's input.
        values: what the images hold: their range, and for other than 1 or 3 channels their mean and deviation, which no
            card can know. None: pictures of 8 bits.
    """
    own = card.preprocessing
    if recipe.size is not None:
        own = replace(own, size=recipe.size)
    if recipe.fit is not None:
        own = replace(own, fit=recipe.fit, size=None if recipe.fit == "none" else own.size)
    if values is not None and values.value_range is not None:
        own = replace(own, value_range=values.value_range)
    if channels not in (1, 3):
        seen = values or PixelValues(channels)
        return replace(
            own,
            channels=channels,
            order="RGB",
            scale=255.0,
            mean=seen.mean or (0.5,) * channels,
            std=seen.std or (0.25,) * channels,
        )
    if channels != own.channels:
        own = replace(own, channels=channels, mean=(own.mean * 3)[:channels], std=(own.std * 3)[:channels])
    return own


def prediction_preprocessing(training: Preprocessing, recipe: Recipe) -> Preprocessing:
    """What an image goes through when the network answers.

    A network trained on windows at the file's own resolution (``random_crop``) sees whole files, unscaled; not so where
    the files are scaled to one shorter side first.
    """
    own = recipe.augmentation
    windows = own.random_crop and own.short_side is None
    if windows and training.size is not None and recipe.size is not None:
        return replace(training, size=None, fit="none")
    return training
