"""Slides a classifier or a localizer over images of any size, to detect objects.

A classifier answers with its surest windows. A localizer says of every window where in it the object is; these boxes
are merged as in OverFeat (Sermanet et al. 2014, arXiv:1312.6229, section 4.3).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from visus.answers.probabilities import softmax
from visus.engine.answering import Prediction
from visus.engine.progress import Progress, Silent
from visus.errors import DataError, UsageError
from visus.structures import Detections, Heatmap, Sample
from visus.structures.class_names import BACKGROUND_NAMES
from visus.workflow.exported_model import ExportedModel

if TYPE_CHECKING:
    from torch import Tensor

    from visus.workflow.model import Model

_Objects = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]
"""Boxes [N,4], labels [N] and scores [N], the surest first."""

STEP = math.sqrt(2)
"""From one level of the pyramid to the next."""

MOST_LEVELS = 10
CANDIDATES, KEPT = 400, 200  # windows a class that compete, and objects an image that remain
LOCALIZERS_ZOOM = 2.0
"""From a localizer's first level to its last, as in OverFeat's table 5: windows of 221 pixels, images of up to 461."""
CLASSES_A_LEVEL = 5
"""OverFeat's k, of section 4.3 (a), which it does not state: as many as there are guesses."""


@dataclass(frozen=True, slots=True, eq=False)
class SlidLevel:
    """The results at one size of the image.

    Args:
        scale: network pixels for one file pixel, (down, right).
        scores: [K,h',w'] float32: the probability of each class in each window.
        boxes: [h',w',4] float32 xyxy: the windows in file pixels.
        cell: (height, width) in file pixels of the step from one window to the next.
        found: [K,h',w',4] float32 xyxy in file pixels: where a localizer sees an object of each class in each window;
            None of a classifier.
    """

    scale: tuple[float, float]
    scores: NDArray[np.float32]
    boxes: NDArray[np.float32]
    cell: tuple[float, float]
    found: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Slid:
    """The results of a classifier or localizer that was slid over an image.

    Args:
        levels: of the pyramid, from the whole image in about one window to the smallest windows.
        detections: a classifier's windows that are left after non-maximum suppression, or a localizer's merged boxes,
            the surest first; keeps the image.
        shared: whether all windows of a level were computed at once.
    """

    levels: tuple[SlidLevel, ...]
    detections: Detections
    shared: bool

    def heatmap(self, label: str | None = None) -> Heatmap:
        """The scores of a class over the image: each window's stands on the cell around its middle, the highest of all
        levels. label: None for the class of the surest window.

        Raises:
            UsageError: if there is no class of this name.
        """
        classes, size = self.detections.classes, self.detections.size
        if label is not None and label not in classes:
            raise UsageError(f"there is no class {label}", expected=" or ".join(classes), got=label)
        objects = _object_ids(classes)
        best = max(objects, key=lambda k: max(float(level.scores[k].max()) for level in self.levels))
        class_index = best if label is None else classes.index(label)
        values = np.zeros(size, np.float32)
        for level in self.levels:
            middles = (level.boxes[..., :2] + level.boxes[..., 2:]) / 2  # (x, y)
            half = np.asarray(level.cell[::-1]) / 2
            low = np.floor(middles - half).astype(int).clip(0)
            high = np.ceil(middles + half).astype(int)
            for y, x in np.ndindex(*level.scores.shape[1:]):
                part = values[low[y, x, 1] : high[y, x, 1], low[y, x, 0] : high[y, x, 0]]
                np.maximum(part, level.scores[class_index, y, x], out=part)
        return Heatmap(values.clip(0, 1), image=self.detections.image, label=classes[class_index])


class Slider:
    """Slides a classifier or localizer over images; arguments as for :func:`visus.slide`."""

    def __init__(
        self,
        model: Model | ExportedModel,
        *,
        score: float = 0.5,
        overlap: float = 0.5,
        misfit: float = 0.5,
        smallest: float | None = None,
        scales: Sequence[float] | None = None,
        shared: bool | None = None,
    ) -> None:
        if isinstance(model, ExportedModel):
            raise UsageError(
                "an exported model cannot slide: its network takes images of its own size",
                expected="a run folder or model.safetensors",
                got=str(model.path),
                remedy="slide the run that it was exported from",
            )
        if model.info.task not in ("classification", "localization"):
            raise UsageError(
                "only a classifier or a localizer can be slid over images",
                expected="a model for classification or localization",
                got=f"{model.info.model}, a model for {model.info.task}",
                remedy="predict without sliding",
            )
        for option, value, range_, in_range in (
            ("score", score, "0 to 1", 0 <= score <= 1),
            ("overlap", overlap, "0 to 1", 0 <= overlap <= 1),
            ("misfit", misfit, "0 or more", misfit >= 0),
            ("smallest", smallest, "a side above 0 pixels", smallest is None or smallest > 0),
            ("scales", scales, "numbers above 0", all(scale > 0 for scale in scales or ())),
        ):
            if not in_range:
                raise UsageError(f"{option} is out of range", expected=range_, got=f"{value}")
        from visus.errors import TaskMismatchError
        from visus.workflow.dense_evaluation import SlidNetwork

        self.model = model
        self.score = score
        self.overlap = overlap
        self.misfit = misfit
        self.is_localizer = model.info.task == "localization"
        self.smallest = smallest
        self.scales = scales
        self.window = model.info.example_size
        self.network: SlidNetwork | None = None
        if shared is not False:
            try:
                self.network = SlidNetwork(model.network, self.window, model.info.in_channels)
            except TaskMismatchError:
                if shared:
                    raise

    def __call__(self, sample: Sample) -> Slid:
        """The windows of one image.

        Raises:
            DataError: if it cannot be read.
        """
        size = sample.image.size()
        levels = tuple(self._level(sample, size, scale) for scale in self._scales(size))
        boxes, labels, scores = self._merged(levels) if self.is_localizer else self._suppressed(levels, size)
        detections = Detections(self.model.classes, boxes, labels, size, scores=scores, image=sample.image)
        return Slid(levels, detections, self.network is not None)

    def _suppressed(self, levels: Sequence[SlidLevel], size: tuple[int, int]) -> _Objects:
        """Keeps a classifier's windows whose score is higher than that of their neighbours."""
        from visus.answers.selection import Selection

        boxes = np.concatenate([level.boxes.reshape(-1, 4) for level in levels])
        scores = np.concatenate([level.scores.reshape(len(self.model.classes), -1).T for level in levels])
        hidden = [k for k in range(len(self.model.classes)) if k not in _object_ids(self.model.classes)]
        scores[:, hidden] = 0
        return Selection(self.score, self.overlap, CANDIDATES, KEPT).among(boxes, scores, size)

    def _merged(self, levels: Sequence[SlidLevel]) -> _Objects:
        """The boxes of a localizer, merged (OverFeat, section 4.3)."""
        from visus.ops.box_merging import merge_boxes

        boxes, labels, totals = [np.zeros((0, 4))], [np.zeros(0, np.int64)], [np.zeros(0)]
        classes_by_level = [np.argsort(-level.scores.max((1, 2)), kind="stable")[:CLASSES_A_LEVEL] for level in levels]
        for k in sorted({int(k) for labels_of_level in classes_by_level for k in labels_of_level}):
            levels_of_class = [level for level, classes in zip(levels, classes_by_level, strict=True) if k in classes]
            class_boxes = np.concatenate(
                [level.found[k].reshape(-1, 4) for level in levels_of_class if level.found is not None]
            )
            scores = np.concatenate([level.scores[k].flatten() for level in levels_of_class])
            best = np.argsort(-scores, kind="stable")[:CANDIDATES]
            best = best[scores[best] > 0]  # a window of which this class was not guessed has no box of it
            merged = merge_boxes(class_boxes[best], scores[best], limit=self.misfit)
            boxes.append(merged.boxes)
            labels.append(np.full(len(merged.boxes), k))
            totals.append(merged.totals)
        surest = [level.scores.max(0) for level in levels]  # of each window
        whole = sum(float(part.sum()) for part in surest)
        share = max(float(part.max()) for part in surest) / whole if whole > 0 else 0.0
        values = np.concatenate(totals) * share
        order = [int(i) for i in np.argsort(-values, kind="stable") if values[i] > self.score][:KEPT]
        return (
            np.concatenate(boxes)[order].astype(np.float32),
            np.concatenate(labels)[order],
            values[order].clip(0, 1).astype(np.float32),
        )

    def answer(self, sample: Sample) -> Prediction:
        """Slides over one image; an image that cannot be read gives an answer with an error."""
        try:
            return Prediction(sample.id, self(sample))
        except DataError as error:
            return Prediction(sample.id, None, error)

    def answers(self, samples: Sequence[Sample], progress: Progress | None = None) -> Iterator[Prediction]:
        """Slides over images, in order; the answers are like those of :meth:`Model.answers`."""
        progress = progress or Silent()
        progress.begin("slide", len(samples))
        try:
            for sample in samples:
                answer = self.answer(sample)
                yield answer if answer.value is None else Prediction(sample.id, answer.value.detections)
                progress.advance(1)
        finally:
            progress.end()

    def _scales(self, size: tuple[int, int]) -> list[float]:
        """The scales, in network pixels for one file pixel, at which a window fits into the image."""
        least = max(self.window[0] / size[0], self.window[1] / size[1])
        if self.scales is not None:
            return sorted({max(scale, least) for scale in self.scales})
        scales = [least]
        most = LOCALIZERS_ZOOM * least if self.is_localizer else 1.0
        if self.smallest is not None:
            most = min(self.window) / self.smallest
        while len(scales) < MOST_LEVELS and scales[-1] < most:
            scales.append(min(scales[-1] * STEP, most))
        return scales

    def _level(self, sample: Sample, size: tuple[int, int], scale: float) -> SlidLevel:
        import torch

        from visus.data.augmentation.preparing import Preparer
        from visus.engine.device_batches import to_device
        from visus.workflow.dense_evaluation import slide_windows

        info, network = self.model.info, self.model.network
        sides = (max(round(size[0] * scale), self.window[0]), max(round(size[1] * scale), self.window[1]))
        prepare = Preparer(info.task, replace(info.preprocessing, size=sides, fit="stretch"), None, 0)
        batch = to_device(info.preprocessing, self.model.device)(
            self.model.task.collate([prepare(replace(sample, targets={}), 0, 0)])
        )
        with torch.no_grad():
            if self.network is not None:
                logits, stride = self.network(batch.images), self.network.stride
            else:
                step = max(getattr(network, "channels", {1: 0}))
                stride = (step, step)
                logits = slide_windows(network, batch.images, self.window, stride)
        exact = (sides[0] / size[0], sides[1] / size[1])
        tops = np.arange(logits.shape[2]) * stride[0] / exact[0]
        lefts = np.arange(logits.shape[3]) * stride[1] / exact[1]
        y, x = np.meshgrid(tops, lefts, indexing="ij")
        boxes = np.stack([x, y, x + self.window[1] / exact[1], y + self.window[0] / exact[0]], -1).astype(np.float32)
        cell = (stride[0] / exact[0], stride[1] / exact[1])
        if not self.is_localizer:
            return SlidLevel(exact, softmax(logits.float().cpu().numpy())[0], boxes, cell)
        scores, inside = self._located(logits)
        object_boxes = (inside / np.asarray(exact[::-1] * 2) + boxes[..., [0, 1, 0, 1]]).astype(np.float32)
        return SlidLevel(exact, scores, boxes, cell, object_boxes)

    def _located(self, vectors: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """A localizer's vectors [1,V,h',w'] -> scores [K,h',w'] and boxes [K,h',w',4] in network pixels of a window.

        Of each window the codec tells the surest guesses; the other classes have scores of 0.
        """
        from visus.models.localization.localizer import LocalizerOutput

        rows, columns = vectors.shape[2:]
        codec: Any = self.model.network.codec
        guesses = codec.decode(LocalizerOutput(vectors[0].flatten(1).T, self.window))
        scores = np.zeros((len(self.model.classes), rows * columns), np.float32)
        boxes = np.zeros((len(self.model.classes), rows * columns, 4), np.float32)
        for index, guess in enumerate(guesses):
            scores[guess.labels, index] = guess.scores
            boxes[guess.labels, index] = guess.boxes
        return scores.reshape(-1, rows, columns), boxes.reshape(-1, rows, columns, 4)


def _object_ids(classes: Sequence[str]) -> list[int]:
    """All classes but those named background; all, if there is no other."""
    return [k for k, name in enumerate(classes) if name.lower() not in BACKGROUND_NAMES] or list(range(len(classes)))
