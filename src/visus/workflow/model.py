"""A trained model, ready to predict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from visus.data.augmentation.preparing import Preparer
from visus.data.pixels.intensity import with_intensity_range
from visus.data.reading.given import Image, given_image, given_images
from visus.engine.answering import Prediction
from visus.engine.device_batches import to_device
from visus.engine.model_card import ModelInfo
from visus.engine.predict import predict as predict_each
from visus.engine.progress import Progress
from visus.errors import UsageError
from visus.structures import Detections, Heatmap, Sample, Value
from visus.structures.task_cards import task_card
from visus.tasks.mirroring import fitted
from visus.tasks.task import Task
from visus.workflow.answering import SHOWN_SCORE, predict_images

if TYPE_CHECKING:
    from visus.analysis.summary import Summary
    from visus.explanation.assignments import Explained


@dataclass(frozen=True, slots=True)
class Model:
    """A trained network with its classes, preprocessing and task.

    Args:
        network: in eval mode, on ``device``.
        task: what its outputs mean.
        info: the card of its file: classes, preprocessing, metrics ...
        device: where it computes.
        path: where it came from.
    """

    network: nn.Module
    task: Task
    info: ModelInfo
    device: torch.device
    path: Path

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their ids."""
        return self.info.classes

    @property
    def example_size(self) -> tuple[int, int]:
        """(height, width) of a typical input, in pixels."""
        return self.info.example_size

    @property
    def shown_score(self) -> float:
        """From this score on an object is shown: where the objects of the validation images are counted best, if the
        task has looked for that, else :data:`SHOWN_SCORE`."""
        return float(getattr(self.task, "counted_from", SHOWN_SCORE))

    def predict(self, images: Image | Iterable[Image], *, batch_size: int = 16) -> Any:
        """Predicts one image or several.

        Args:
            images: a file, a folder, an array or a tensor, a Pillow image, the bytes of an image file, an open file, or
                an iterable of these; see :mod:`visus.data.reading.given` for the axes and values of arrays.
            batch_size: images at a time.

        Returns:
            A Label, LabelSet, Landmarks, Detections, SegmentationMap or MultiLabelMap, which knows where its image is,
            for ``draw()`` (``value.image.load()`` gives its pixels); a list of them for several images (a folder, an
            iterable, an array [N,H,W,C]).

        Raises:
            DataError: if an image cannot be read, or the values of an array have no known range.
            UsageError: if something is given that no image is read from, or has another shape.
        """
        return predict_images(self, images, batch_size)

    def answers(
        self, samples: Sequence[Sample], *, batch_size: int = 16, progress: Progress | None = None
    ) -> Iterator[Prediction]:
        """Predicts samples, in file pixels; an image that cannot be read gives an answer with an error."""
        return predict_each(
            self.network,
            self.task,
            samples,
            Preparer(self.info.task, self.info.preprocessing, None, 0),
            to_device=to_device(self.info.preprocessing, self.device),
            batch_size=batch_size,
            progress=progress,
        )

    def explain(
        self,
        images: Image | Iterable[Image],
        *,
        label: str | None = None,
        values: Sequence[Value] | None = None,
    ) -> Any:
        """Makes Grad-CAM heat maps: the image regions that support a prediction.

        Args:
            images: as for :meth:`predict`.
            label: explain this class instead of the predicted one; for boxes, the objects of this class.
            values: explain these answers, one an image; None, or values with places in the image: the network's own.

        Returns:
            A Heatmap that knows where its image is, for ``draw()``; a list of them for several images. Where an image
            has several labels, its ``parts`` are the heat maps of each.

        Raises:
            UsageError: if there is no class of this name; and what :meth:`predict` raises.
        """
        if label is not None and label not in self.classes:
            raise UsageError(f"there is no class {label}", expected=" or ".join(self.classes), got=label)
        given = given_images(images)
        samples = with_intensity_range(given.samples, self.info.preprocessing.value_range)
        heatmaps = [
            self._explain_one(sample, label, None if values is None else values[index])
            for index, sample in enumerate(samples)
        ]
        return heatmaps[0] if given.one else heatmaps

    def explain_targets(
        self, image: Image, truth: Detections | None = None, *, score: float = SHOWN_SCORE
    ) -> Explained:
        """Shows how a detector assigns the objects of an image to its anchors, default boxes or proposals.

        Args:
            image: a file, an array, or a source of pixels.
            truth: its objects in pixels of the file, of the model's classes; None: nothing is said of who learns what.
            score: answers below this are not shown.

        Raises:
            DataError: if the image cannot be read, or the truth is not of it or has other classes.
            TaskMismatchError: if the model is no detector that says where its objects are learned.
        """
        from visus.workflow.assignment import explained, require_task

        require_task(self.info.model, self.info.task)
        return explained(
            self.network,
            given_image(image),
            truth,
            self.info.preprocessing,
            classes=self.classes,
            model=self.info.model,
            score=score,
            answers=True,
        )

    def truncated(self, ranks: Mapping[str, int]) -> Model:
        """The model with dense layers of lower rank: faster, smaller, a little less exact; this one stays as it is.

        Truncated singular value decomposition: Girshick, Fast R-CNN, ICCV 2015, section 3.1, with
        ``{"fc6": 1024, "fc7": 256}`` on VGG-16.

        Args:
            ranks: how many singular values are left of each layer, by its name.

        Raises:
            UsageError: if the network has no such layers.
            RecipeError: if there is no dense layer of a name, or it has no such rank.
        """
        from visus.workflow.truncation import truncate

        small = truncate(self.network, self.info, ranks)
        return replace(self, network=small.network, info=small.info)

    def save(self, path: str | Path) -> Path:
        """Writes a model file, which :func:`visus.load` reads, and its card as JSON beside it; returns the file.

        Args:
            path: a file ending in .safetensors, or a folder for ``model.safetensors``, which is made.

        Raises:
            UsageError: for another ending.
            DiskError: if it cannot be written; an older file is then untouched.
        """
        from visus.engine.model_file import save_as

        return save_as(Path(path), self.network, self.info)

    def summary(self) -> Summary:
        """Summarises the network layer by layer; see :func:`visus.summary`."""
        from visus.analysis.summary import summarize

        return summarize(self.network, (self.info.in_channels, *self.example_size), model=self.info.model)

    def _explain_one(self, sample: Sample, label: str | None, value: Value | None) -> Heatmap:
        from visus.explanation.gradcam import grad_cam_of_each

        prepare = Preparer(self.info.task, self.info.preprocessing, None, 0)
        batch = to_device(self.info.preprocessing, self.device)(
            self.task.collate([prepare(replace(sample, targets={}), 0, 0)])
        )
        with torch.no_grad():
            answer: Value = self.task.predict(self.network, batch)[0]
        sure = answer.above(SHOWN_SCORE)
        answer = sure if sure.mentions() else answer  # what is too unsure to be shown would drown what is
        if label is not None:
            answer = answer.narrowed(label)
        elif value is not None and not value.located:
            answer = value  # a value with places is in file pixels, which the network does not see
        if task_card(self.info.task).model_task == "segmentation":
            batch = fitted(self.network, batch)
        heatmaps = grad_cam_of_each(self.network, self.task, batch, answer.parts())
        values = np.max([heatmap.values for heatmap in heatmaps], axis=0)
        names = list(dict.fromkeys(heatmap.label for heatmap in heatmaps))
        # Objects are told apart by their places; classes of a whole image only by a map of their own.
        whole = answer.located or len(heatmaps) < 2
        parts = () if whole else tuple(replace(heatmap, image=sample.image) for heatmap in heatmaps)
        return Heatmap(values, image=sample.image, label=", ".join(names), parts=parts)
