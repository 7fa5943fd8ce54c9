"""Predicts with a trained model on files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visus.errors import DataError, ShapeError, UsageError
from visus.workflow.companions import refuse_beside, require_companion
from visus.workflow.folders import free_name, output_folder

if TYPE_CHECKING:
    from visus.data.reading.given import Image
    from visus.data.writing.coco import CocoWriter
    from visus.workflow.exported_model import ExportedModel
    from visus.workflow.model import Model


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """The prediction for one file.

    Args:
        name: of the file.
        value: a Label, LabelSet, Landmarks, Detections, SegmentationMap or MultiLabelMap in file pixels; None if the
            file could not be read.
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
        return f"{self.name}: {self.value.words()}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        values: dict[str, Any] = {"image": self.name}
        values |= {"error": self.error} if self.error is not None else self.value.to_dict()
        return values | ({"picture": self.saved} if self.saved else {})


def predict(model: str | Path | Model | ExportedModel, images: Image | Iterable[Image], *, device: str = "auto") -> Any:
    """Predicts one image or several with a trained model; see :meth:`visus.Model.predict`.

    Args:
        model: a run folder, a model file, an exported file, or a loaded model.
        images: files, folders, arrays, tensors, Pillow images, bytes, open files, or an iterable of these; see
            :meth:`visus.Model.predict`.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".

    Raises:
        DataError: if an image cannot be read, or the values of an array have no known range.
        UsageError: if something is given that no image is read from.
    """
    return _loaded(model, device).predict(images)


def predict_files(
    model: str | Path | Model | ExportedModel,
    images: Sequence[str | Path],
    *,
    save: str | Path | None = None,
    score: float | None = None,
    objects: bool = False,
    min_area: int = 1,
    grow: float | None = None,
    slide: bool = False,
    smallest: float | None = None,
    ranks: Mapping[str, int] | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    edition: str | None = None,
    proposals: Sequence[str | Path] = (),
    quiet: bool = False,
) -> Iterator[FileAnswer]:
    """Predicts files in order; a file that cannot be read gives an answer with an error.

    Args:
        model: a run folder, a model file, an exported file, or a loaded model.
        images: files and folders.
        save: a folder for pictures with the answers drawn, predictions.csv and .json; segmentation: also class maps as
            index and colour PNG, and the outlines of all images as coco.json.
        score: detection: objects below this score are left out. With ``slide``: windows below it. None: 0.3, or of
            instance segmentation the score at which the validation images were counted best.
        objects: segmentation: answer with counted objects (pieces of a class that hang together) in place of maps;
            instance segmentation answers with objects anyway.
        min_area: objects of fewer pixels are left out.
        grow: objects get back, up to so many pixels away, what a gap or a border took from them; None: as much as the
            training took.
        slide: slide the network over each image at several sizes, and answer with what is left: of a classifier windows
            after non-maximum suppression, of a localizer merged boxes (see :func:`visus.slide`); ``save`` then also
            writes a map of scores.
        smallest: with ``slide``: the shorter side of the smallest windows in pixels; None: that of the network's input,
            or of a localizer half of the image's.
        ranks: of dense layers that keep only their largest singular values; see :func:`visus.compress`.
        batch_size: images at a time; None: 16, or with ``slide`` one.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        edition: of a released file of weights, where several fit; see :func:`visus.load`.
        proposals: files of region proposals, for a network that makes none of its own; none: they are computed.
        quiet: say nothing on standard error.

    Raises:
        DataError: if a file or folder does not exist, or a folder holds no image; if files of proposals lack an image.
        DiskError: if the answers cannot be written.
        UsageError: if objects are asked of a model with neither maps nor masks, or sliding of one that is not for
            classification or localization; if the network takes no ``proposals``; for an option that does nothing, such
            as ``smallest`` without ``slide``.
    """
    from visus.data.pixels.intensity import with_intensity_range
    from visus.data.reading.images import open_images
    from visus.engine.progress import choose_progress
    from visus.structures import Detections
    from visus.structures.task_cards import task_card

    require_companion("--smallest", smallest is not None, "--slide", slide)
    require_companion("--min-area", min_area != 1, "--objects", objects)
    require_companion("--grow", grow is not None, "--objects", objects)
    refuse_beside("--batch-size", batch_size is not None, "--slide", slide, "windows are looked at one image at a time")
    progress = choose_progress(quiet=quiet)
    image_samples = open_images([Path(image) for image in images], say=progress.say)
    loaded = _loaded(model, device, edition, quiet=quiet)
    if score is not None and not slide and task_card(loaded.info.task).value is not Detections:
        raise UsageError(
            f"the answers of {loaded.info.model} are no objects with scores",
            expected="--score with a detector, a localizer or --slide",
            got=f"--score {score:g}, with a model for {loaded.info.task}",
            remedy="leave out --score",
        )
    samples = with_intensity_range(image_samples, loaded.info.preprocessing.value_range)
    if proposals:
        from visus.workflow.region_proposals import require_use, samples_with_given

        require_use(loaded.info.preprocessing, loaded.info.model, proposals)
        samples = samples_with_given(samples, proposals, progress)
    if ranks:
        loaded = loaded.truncated(ranks)
    counting, slider = None, None
    if objects:
        from visus.workflow.object_counting import Counting

        counting = Counting.of(loaded.info, min_area=min_area, grow=grow)
    score = loaded.shown_score if score is None else score
    if slide:
        from visus.workflow.sliding import Slider

        slider = Slider(loaded, score=score, smallest=smallest)
    if save is not None:
        from visus.data.writing.coco import CocoWriter
        from visus.workflow.saving import save_picture, save_pictures, table, write, write_json

    with nullcontext() if save is None else output_folder(Path(save), "predict") as folder:
        results: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        outlines: CocoWriter | None = None
        used_names: set[str] = set()
        answers = (
            loaded.answers(samples, batch_size=batch_size or 16) if slider is None else map(slider.answer, samples)
        )
        for sample, answer in zip(samples, answers, strict=True):
            name = str(sample.image.path or sample.id)
            if answer.error is not None:
                result = FileAnswer(name, None, error=answer.error.problem)
                rows.append({"image": name, "error": result.error})
            else:
                slid = None if slider is None else answer.value
                answered: Any = (
                    (answer.value if slid is None else slid.detections).above(score).with_image(sample.image)
                )
                value: Any = answered if counting is None else counting.find(answered)
                result = FileAnswer(name, value)
                if folder is not None:
                    stem = free_name(Path(name).stem, used_names)
                    try:
                        saved = save_pictures(
                            folder, stem, value, answered if counting is not None and counting.pieces else None
                        )
                    except (DataError, ShapeError) as error:  # the file was moved or replaced after it was answered
                        result = FileAnswer(name, None, error=error.problem)
                        rows.append({"image": name, "error": result.error})
                    else:
                        result = replace(result, saved=saved)
                        if slid is not None:
                            save_picture(folder / f"{stem}.scores.png", slid.heatmap().draw())
                        rows += value.rows(name)
                        pieces = value.outlined()
                        if pieces is not None:
                            outlines = outlines or CocoWriter(value.classes)
                            outlines.add(name, value.size, pieces)
            if folder is not None:
                results.append(result.to_dict())
            yield result
        if folder is not None:
            write(folder / "predictions.csv", table(rows))
            write_json(folder / "predictions.json", {"predictions": results})
            if outlines is not None:
                write_json(folder / "coco.json", outlines.document(), indent=None)


def _loaded(
    model: str | Path | Model | ExportedModel, device: str, edition: str | None = None, *, quiet: bool = False
) -> Model | ExportedModel:
    if isinstance(model, str | Path):
        from visus.api.load import load

        return load(model, device=device, model=edition, quiet=quiet)
    return model
