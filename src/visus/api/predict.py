"""Using a trained model on files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visus.api.folders import free_name, make_folder
from visus.errors import DiskError
from visus.structures import Detections, Label, SegmentationMap

if TYPE_CHECKING:
    from visus.api.model import Image, Model


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """What a model said of one file.

    Args:
        name: of the file.
        value: a Label, Detections or SegmentationMap in file pixels; None if the file could not be read.
        error: why not, then.
        saved: the picture that was written, or None.
    """

    name: str
    value: Any
    error: str | None = None
    saved: str | None = None

    def line(self) -> str:
        """One line for people."""
        if self.error is not None:
            return f"{self.name}: ERROR {self.error}"
        return f"{self.name}: {_words(self.value)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        values: dict[str, Any] = {"image": self.name}
        values |= {"error": self.error} if self.error is not None else self.value.to_dict()
        return values | ({"picture": self.saved} if self.saved else {})


def predict(model: str | Path | Model, images: Image | Sequence[Image], *, device: str = "auto") -> Any:
    """Answers of a trained model for one image or several; see :meth:`visus.Model.predict`.

    Args:
        model: a run folder, a model file, or a loaded model.
        images: a file, a folder, an array, or a list of such.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".

    Raises:
        DataError: if an image cannot be read.
    """
    return _loaded(model, device).predict(images)


def predict_files(
    model: str | Path | Model,
    images: Sequence[str | Path],
    *,
    save: str | Path | None = None,
    score: float = 0.3,
    batch_size: int = 16,
    device: str = "auto",
) -> Iterator[FileAnswer]:
    """An answer a file, in order; a file that cannot be read becomes an answer with an error.

    Args:
        model: a run folder, a model file, or a loaded model.
        images: files and folders.
        save: a folder for pictures with the answers drawn, class maps (segmentation), predictions.csv and .json.
        score: detection: objects below this score are left out.
        batch_size: images at a time.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".

    Raises:
        DataError: if a file or folder does not exist, or a folder holds no image.
        DiskError: if the answers cannot be written.
    """
    from visus.data.opening import open_images
    from visus.data.value_ranges import ranged

    loaded = _loaded(model, device)
    samples = ranged(open_images([Path(image) for image in images]), loaded.info.preprocessing.value_range)
    from visus.api.model import with_image

    folder = None if save is None else make_folder(Path(save))
    given: list[FileAnswer] = []
    taken: set[str] = set()
    for sample, answer in zip(samples, loaded.answers(samples, batch_size=batch_size), strict=True):
        name = str(sample.image.path or sample.id)
        if answer.error is not None:
            result = FileAnswer(name, None, error=answer.error.problem)
        else:
            value = answer.value.above(score) if isinstance(answer.value, Detections) else answer.value
            result = FileAnswer(name, value)
            if folder is not None:
                stem = free_name(Path(name).stem, taken)
                result = replace(result, saved=_save(folder, stem, with_image(value, sample)))
        if folder is not None:
            given.append(result)
        yield result
    if folder is not None:
        _write(folder / "predictions.csv", _table(given))
        text = json.dumps({"predictions": [answer.to_dict() for answer in given]}, indent=2, ensure_ascii=False)
        _write(folder / "predictions.json", text + "\n")


def _loaded(model: str | Path | Model, device: str) -> Model:
    if isinstance(model, str | Path):
        from visus.api.load import load

        return load(model, device=device)
    return model


def _words(value: Label | Detections | SegmentationMap) -> str:
    if isinstance(value, Label):
        return f"{value.name} {value.score:.1%}"
    if isinstance(value, Detections):
        counts = {name: int((value.labels == index).sum()) for index, name in enumerate(value.classes)}
        return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing found"
    return ", ".join(f"{name} {share:.1%}" for name, share in value.fractions().items() if share > 0)


def _save(folder: Path, stem: str, value: Label | Detections | SegmentationMap) -> str:
    picture = folder / f"{stem}.png"
    try:
        value.draw().save(picture)
        if isinstance(value, SegmentationMap):
            from PIL import Image

            Image.fromarray(value.map).save(folder / f"{stem}.classes.png")
    except OSError as error:
        raise DiskError(f"cannot write {picture}", got=error.strerror or str(error)) from None
    return str(picture)


def _table(answers: Sequence[FileAnswer]) -> str:
    """CSV: a row an image (classification, segmentation) or an object (detection); errors in a column of their own."""
    rows: list[dict[str, Any]] = []
    for answer in answers:
        if answer.error is not None:
            rows.append({"image": answer.name, "error": answer.error})
        elif isinstance(answer.value, Label):
            rows.append({"image": answer.name, "label": answer.value.name, "score": answer.value.score})
        elif isinstance(answer.value, Detections):
            for found in answer.value.to_dict()["objects"]:
                box = dict(zip(("x1", "y1", "x2", "y2"), found["box"], strict=True))
                rows.append({"image": answer.name, "label": found["label"], "score": found["score"], **box})
        else:
            rows.append({"image": answer.name, **answer.value.fractions()})
    columns = list(dict.fromkeys(column for row in rows for column in row)) or ["image"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise DiskError(f"cannot write {path}", got=error.strerror or str(error)) from None
