"""What a model that answers gives to everyone who asks: with its network in PyTorch, or exported. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from visus.data.pixels.intensity import with_intensity_range
from visus.data.reading.given import Image, given_images
from visus.engine.answering import Prediction
from visus.structures import Sample

if TYPE_CHECKING:
    from visus.engine.model_card import ModelInfo
    from visus.engine.progress import Progress
    from visus.tasks.scoring import Scoring

SHOWN_SCORE = 0.3
"""Objects below this score count in the scores, but would only clutter a picture."""


class AnsweringModel(Protocol):
    """A model with its classes, preprocessing and task; :class:`~visus.workflow.model.Model` says what each part is."""

    @property
    def info(self) -> ModelInfo: ...

    @property
    def path(self) -> Path: ...

    @property
    def task(self) -> Scoring | Any: ...

    @property
    def network(self) -> Any: ...

    @property
    def device(self) -> Any: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def shown_score(self) -> float: ...

    def explain(self, images: Any, *, values: Any = None) -> Any: ...

    def answers(
        self, samples: Sequence[Sample], *, batch_size: int = 16, progress: Progress | None = None
    ) -> Iterator[Prediction]: ...


def predict_images(model: AnsweringModel, images: Image | Iterable[Image], batch_size: int) -> Any:
    """The values of images, which know where their images are; see :meth:`visus.workflow.model.Model.predict`."""
    given = given_images(images)
    samples = with_intensity_range(given.samples, model.info.preprocessing.value_range)
    values = []
    for sample, answer in zip(samples, model.answers(samples, batch_size=batch_size), strict=True):
        if answer.error is not None:
            raise answer.error
        values.append(answer.value.with_image(sample.image))
    return values[0] if given.one else values
