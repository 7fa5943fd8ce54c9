"""The tasks: what each one is called, answers with, and expects of data and networks. Loads no torch.

``TASKS`` is the one place that lists the names of visus's own tasks. Installed packages add others through the
entry-point group "visus.tasks" (see :mod:`visus.structures.extensions`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from visus.errors import TaskMismatchError
from visus.structures.extensions import extensions
from visus.structures.values.detections import Detections
from visus.structures.values.label import Label
from visus.structures.values.label_set import LabelSet
from visus.structures.values.landmarks import Landmarks
from visus.structures.values.multilabel import MultiLabelMap
from visus.structures.values.segmentation import SegmentationMap

Names = Literal["classes", "points", "words", "identities", ""]


@dataclass(frozen=True, slots=True)
class TaskCard:
    """What is known of a task before torch is loaded.

    Args:
        name: as users write it, such as "detection".
        title: one line for people.
        value: the class of its targets and predictions.
        builder: "package.module:Class"; it takes (classes, loss), and by keyword ``frequencies`` if ``weighs_classes``.
        scoring: "package.module:Class" of the half that scores answers; it takes (classes) and loads no torch. "": only
            the whole task scores, so that an exported model of it predicts and is not evaluated.
        names: what ``Dataset.classes`` names for this task; "" where nothing is named.
        supervised: whether a training needs a target for every image.
        unit: what a class is counted in.
        imbalance: so many times as frequent as another may a class be before ``data check`` remarks on it.
        least_classes: data with fewer classes are refused.
        needs_every_class: whether a class that another split has and train lacks stops a training.
        weighs_classes: whether the loss can weight classes by how frequent they are in the training targets.
        masks: whether a training reads the masks of objects.
        options: choices of how data are opened that this task knows: "touching", "crowds".
        augmentations: fields of ``Augmentation`` that not every task's targets allow and this one's do.
        derive: "package.module:function" from a ``Dataset`` to one that has this task too, where the labels of another
            task imply its targets; "" where only labels of its own will do.
        models: the task whose networks do this one; "" for its own.
        default_model, default_backbone: of a training that names none; the backbone is "" where the model needs none.
    """

    name: str
    title: str
    value: type[Any]
    builder: str
    scoring: str = ""
    names: Names = "classes"
    supervised: bool = True
    unit: str = "examples"
    imbalance: int = 10
    least_classes: int = 1
    needs_every_class: bool = False
    weighs_classes: bool = False
    masks: bool = False
    options: tuple[str, ...] = ()
    augmentations: tuple[str, ...] = ()
    derive: str = ""
    models: str = ""
    default_model: str = ""
    default_backbone: str = ""

    @property
    def model_task(self) -> str:
        """The ``task`` on the cards of the networks that do this task."""
        return self.models or self.name


TASKS: tuple[TaskCard, ...] = (
    TaskCard(
        name="classification",
        title="one class for an image",
        value=Label,
        builder="visus.tasks.classification:Classification",
        scoring="visus.tasks.scoring:ClassificationScoring",
        unit="images",
        least_classes=2,
        needs_every_class=True,
        weighs_classes=True,
        augmentations=("policy",),
        default_model="resnet18",
    ),
    TaskCard(
        name="multilabel_classification",
        title="any number of classes for an image",
        value=LabelSet,
        builder="visus.tasks.multilabel_classification:MultiLabelClassification",
        scoring="visus.tasks.scoring:MultiLabelClassificationScoring",
        unit="images",
        imbalance=20,
        weighs_classes=True,
        augmentations=("policy",),
        derive="visus.data.reading.shown_classes:with_shown_classes",
        models="classification",
        default_model="resnet18",
    ),
    TaskCard(
        name="localization",
        title="the class and the box of an image's largest object",
        value=Detections,
        builder="visus.tasks.localization:Localization",
        scoring="visus.tasks.scoring:LocalizationScoring",
        unit="objects",
        options=("crowds",),
        augmentations=("iou_crop",),
        derive="visus.data.reading.largest_object:with_largest",
        default_model="localizer",
        default_backbone="mobilenet_v2",
    ),
    TaskCard(
        name="landmarks",
        title="named points of an image",
        value=Landmarks,
        builder="visus.tasks.landmarks:LandmarkTask",
        scoring="visus.tasks.scoring:LandmarkScoring",
        names="points",
        unit="points",
        default_model="landmarks",
        default_backbone="mobilenet_v2",
    ),
    TaskCard(
        name="detection",
        title="the class and the box of every object",
        value=Detections,
        builder="visus.tasks.detection:Detection",
        scoring="visus.tasks.scoring:DetectionScoring",
        unit="objects",
        options=("crowds",),
        augmentations=("iou_crop", "mosaic"),
        default_model="yolov3",
        default_backbone="mobilenet_v2",
    ),
    TaskCard(
        name="instance_segmentation",
        title="the class, the box and the mask of every object",
        value=Detections,
        builder="visus.tasks.instance_segmentation:InstanceSegmentation",
        unit="objects",
        masks=True,
        options=("crowds",),
        augmentations=("iou_crop", "mosaic"),
        derive="visus.data.reading.instances:with_instances",
        default_model="mask_rcnn",
        default_backbone="mobilenet_v2",
    ),
    TaskCard(
        name="segmentation",
        title="one class for every pixel",
        value=SegmentationMap,
        builder="visus.tasks.segmentation:Segmentation",
        scoring="visus.tasks.scoring:SegmentationScoring",
        unit="pixels",
        imbalance=100,
        weighs_classes=True,
        options=("touching", "crowds"),
        augmentations=("object_window",),
        default_model="unet@padded",
    ),
    TaskCard(
        name="multilabel_segmentation",
        title="any number of classes for every pixel",
        value=MultiLabelMap,
        builder="visus.tasks.multilabel_segmentation:MultiLabelSegmentation",
        scoring="visus.tasks.scoring:MultiLabelSegmentationScoring",
        unit="pixels",
        imbalance=100,
        options=("crowds",),
        models="segmentation",
        default_model="unet@padded",
    ),
)
"""visus's own tasks, the most specific kind of answer last."""


def all_tasks() -> tuple[TaskCard, ...]:
    """visus's own tasks, then those of other installed packages.

    Raises:
        ExtensionError: if an installed package's tasks cannot be loaded.
    """
    return (*TASKS, *extensions("visus.tasks", TaskCard, tuple(card.name for card in TASKS)))


def task_names() -> tuple[str, ...]:
    """The names of all tasks; raises as :func:`all_tasks`."""
    return tuple(card.name for card in all_tasks())


def task_card(name: str) -> TaskCard:
    """The card of a task.

    Raises:
        TaskMismatchError: if there is no task of this name.
        ExtensionError: if it is none of visus's own, and an installed package's tasks cannot be loaded.
    """
    for card in TASKS:  # first without looking at other packages
        if card.name == name:
            return card
    for card in all_tasks():
        if card.name == name:
            return card
    raise TaskMismatchError(f"there is no task named {name}", expected=" or ".join(task_names()), got=name)
