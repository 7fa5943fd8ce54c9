"""An exported model, ready to predict without torch: one file, a runtime, and our reading of its outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from visus.answers.reader import Reader
from visus.answers.table import reader_from
from visus.data.augmentation.normalising import normalised
from visus.data.augmentation.prepared import Prepared
from visus.data.augmentation.preparing import Preparer
from visus.data.reading.given import Image
from visus.engine.answering import Prediction, answer_each
from visus.engine.exported_card import ExportedCard
from visus.engine.model_card import ModelInfo
from visus.errors import DivergedError, MemoryExhaustedError, TaskMismatchError, UsageError, WeightsError
from visus.files.onnx_header import read_onnx_header
from visus.ops.stopwatch import timed
from visus.runtimes.runtime import Runtime, open_runtime
from visus.structures import Sample
from visus.structures.extensions import load_object
from visus.structures.task_cards import task_card
from visus.workflow.answering import SHOWN_SCORE, predict_images

if TYPE_CHECKING:
    from visus.engine.progress import Progress
    from visus.tasks.scoring import Scoring

SUFFIX = ".onnx"

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """A network that left PyTorch as a file; it answers as :class:`~visus.workflow.model.Model` does.

    Args:
        runtime: runs the network.
        card: of the file.
        reader: reads the outputs.
        path: of the file.
    """

    runtime: Runtime
    card: ExportedCard
    reader: Reader
    path: Path

    @classmethod
    def open(cls, path: Path, *, engine: str = "onnxruntime", threads: int | None = None) -> ExportedModel:
        """Opens an exported file; errors as of :func:`visus.load`."""
        card = read_exported_card(path)
        reader = reader_from(card.reader)
        runtime = open_runtime(path, engine, threads)
        card.require_graph(runtime.inputs, runtime.outputs, str(path))
        missing = sorted(set(reader.names) - set(card.outputs))
        if missing:
            raise WeightsError(
                f"{path} lacks outputs that its answers are read from",
                expected=", ".join(reader.names),
                got=", ".join(card.outputs),
                remedy="export the model again",
            )
        return cls(runtime, card, reader, path)

    @property
    def info(self) -> ModelInfo:
        """The card of the model that was exported: classes, preprocessing, metrics ..."""
        return self.card.info

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their ids."""
        return self.info.classes

    @property
    def example_size(self) -> tuple[int, int]:
        """(height, width) of a typical input, in pixels."""
        return self.card.input.size or self.info.example_size

    @property
    def shown_score(self) -> float:
        """From this score on an object is shown; see :attr:`visus.Model.shown_score`."""
        return float(self.info.answer_settings.get("counted_from", SHOWN_SCORE))

    @property
    def task(self) -> Scoring:
        """What scores its answers.

        Raises:
            TaskMismatchError: if another package's task says of no half that scores without torch.
        """
        place = task_card(self.info.task).scoring
        if not place:
            raise TaskMismatchError(
                f"the answers of {self.info.task} are scored by the whole task alone",
                expected="a model that was not exported",
                got=str(self.path),
                remedy="evaluate the run that it was exported from",
            )
        scoring: Scoring = load_object(place)(self.classes)
        return scoring

    @property
    def network(self) -> None:
        """None: there is no module of PyTorch."""
        return None

    @property
    def device(self) -> str:
        """Where it computes, and by what."""
        threads = self.runtime.threads
        return f"cpu, {self.runtime.engine}, {threads} thread{'s' * (threads > 1)}"

    def predict(self, images: Image | Iterable[Image], *, batch_size: int = 16) -> Any:
        """Predicts one image or several; arguments, answers and errors as of :meth:`visus.Model.predict`."""
        return predict_images(self, images, batch_size)

    def answers(
        self, samples: Sequence[Sample], *, batch_size: int = 16, progress: Progress | None = None
    ) -> Iterator[Prediction]:
        """Predicts samples, in file pixels; an image that cannot be read gives an answer with an error."""
        return answer_each(
            samples,
            Preparer(self.info.task, self.info.preprocessing, None, 0),
            self._answer,
            batch_size=batch_size,
            progress=progress,
        )

    def explain(self, *_: object, **__: object) -> NoReturn:
        """Raises TaskMismatchError: an exported network gives no gradients."""
        raise self._needs_torch("be explained: it gives no gradients", "visus explain RUN, with the run")

    def explain_targets(self, *_: object, **__: object) -> NoReturn:
        """Raises TaskMismatchError: an exported network does not say where its objects are learned."""
        raise self._needs_torch("show what it learned from", "visus explain RUN --targets, with the run")

    def truncated(self, ranks: Mapping[str, int]) -> NoReturn:  # noqa: ARG002
        """Raises TaskMismatchError: the layers of an exported network are as they are."""
        raise self._needs_torch("be truncated", "visus compress RUN, then visus export, with the run")

    def summary(self) -> NoReturn:
        """Raises TaskMismatchError: an exported network has operators and no layers."""
        raise self._needs_torch("be summarised", f"visus summary {self.info.model}, with the run or the model's name")

    def save(self, path: str | Path) -> NoReturn:  # noqa: ARG002
        """Raises UsageError: the file is the model."""
        raise UsageError(
            "an exported model is not saved again",
            expected="a model with its network in PyTorch",
            got=str(self.path),
            remedy=f"copy the file {self.path}",
        )

    def _needs_torch(self, what: str, use: str) -> TaskMismatchError:
        return TaskMismatchError(
            f"an exported model cannot {what}",
            expected="a run folder or model.safetensors",
            got=str(self.path),
            remedy=f"use {use} that it was exported from",
        )

    def _answer(self, images: Sequence[Prepared]) -> list[Any]:
        """The values of images of one size, in network pixels, with the names of their classes."""
        batch = normalised([item.image for item in images], self.info.preprocessing)
        with timed("answer"):
            if self.card.input.size is None and not hasattr(self.reader, "rule"):
                self.card.input.require((batch.shape[2], batch.shape[3]))
            values = self.reader.answers(self._run, batch, input_size=self.card.input.size)
        return [value.named(self.classes) for value in values]

    def _run(self, images: Array) -> dict[str, Array]:
        """The raw outputs of normalised images; of half as many at a time where memory is short."""
        count, fixed = len(images), self.card.input.batch
        if fixed is not None and count != fixed:
            return _joined([self._fixed(images[i : i + fixed], fixed) for i in range(0, count, fixed)])
        try:
            with timed("network"):
                outputs = self.runtime.run(images)
        except MemoryExhaustedError:
            if count < 2 or fixed is not None:
                raise
            return _joined([self._run(part) for part in (images[: count // 2], images[count // 2 :])])
        for values in outputs.values():
            if not np.isfinite(values).all():
                raise DivergedError(
                    "the outputs of the network are not finite",
                    expected="numbers",
                    got="NaN or infinity, from weights that are too large or not finite themselves",
                    remedy="export an earlier model, or train again with a lower optimizer.lr",
                )
        return outputs

    def _fixed(self, images: Array, fixed: int) -> dict[str, Array]:
        """The outputs of at most ``fixed`` images, of a network that takes so many and no fewer."""
        missing = fixed - len(images)
        filled = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)]) if missing else images
        return {name: values[: len(images)] for name, values in self._run(filled).items()}


def read_exported_card(path: Path) -> ExportedCard:
    """The card of an exported file, without opening its network.

    Raises:
        WeightsError: if the file is missing, damaged, or not exported by visus.
    """
    return ExportedCard.from_metadata(read_onnx_header(path).metadata, str(path))


def _joined(parts: Sequence[dict[str, Array]]) -> dict[str, Array]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
