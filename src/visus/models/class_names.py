"""The names of the classes that released weights tell apart, where the project knows them."""

from __future__ import annotations

from pathlib import Path

from visus.data.formats.voc.voc import VOC_CLASSES
from visus.models.card import Card
from visus.models.detection.darknet_weights import is_darknet

COCO_CLASSES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard",
    "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip # in the order of the category ids of COCO's annotations, as the authors' lists have them

_NEVER_LABELLED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
"""Category ids up to 90 that COCO's annotations do not use; torchvision's detectors have classes for them."""

_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def class_names(card: Card, classes: int) -> tuple[str, ...]:
    """The names of a released network's classes, in the order of their ids.

    Args:
        card: of its edition.
        classes: how many its file tells apart.

    Returns:
        The names of PASCAL VOC, COCO, CIFAR-10 or ImageNet where the edition was trained on it; else "class 0",
        "class 1" ...
    """
    known: tuple[str, ...] = ()
    if classes == card.classes:
        known = {
            ("detection", 20): VOC_CLASSES,
            ("detection", 80): COCO_CLASSES,
            ("detection", 90): _with_gaps(),
            ("instance_segmentation", 80): COCO_CLASSES,
            ("instance_segmentation", 90): _with_gaps(),
            ("segmentation", 21): ("background", *VOC_CLASSES),
            ("classification", 10): _CIFAR10 if any(file.trained_on == "CIFAR-10" for file in card.files) else (),
            ("classification", 1000): () if _is_darknets(card) else _imagenet(),
        }.get((card.task, classes), ())
    return known or tuple(f"class {number}" for number in range(classes))


def _with_gaps() -> tuple[str, ...]:
    names = iter(COCO_CLASSES)
    return tuple(f"unused {number}" if number in _NEVER_LABELLED else next(names) for number in range(1, 91))


def _is_darknets(card: Card) -> bool:
    """Whether the edition was trained with Darknet, whose list of ImageNet's classes has an order of its own."""
    return any(is_darknet(Path(file.name)) for file in card.files) or card.name.startswith("darknet")


def _imagenet() -> tuple[str, ...]:
    """The 1000 classes in the order of their WordNet ids, as torchvision names them."""
    from torchvision.models import ResNet18_Weights

    names: list[str] = ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    return tuple(f"{name} {number}" if names.count(name) > 1 else name for number, name in enumerate(names))
