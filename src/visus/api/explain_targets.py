"""Shows which objects of an image each anchor or region of a detector learns, and which boxes the detector predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visus.errors import DiskError, UsageError
from visus.workflow.assignment_inputs import (
    assignment_of_name,
    assignment_of_network,
    form_of_name,
    is_name,
    known_targets,
    task_of,
)
from visus.workflow.folders import free_name, output_folder

if TYPE_CHECKING:
    from torch import nn

    from visus.data.reading.given import Image
    from visus.explanation.assignments import Explained
    from visus.structures import Detections, Preprocessing
    from visus.workflow.model import Model


def explain_targets(
    model: str | Path | Model | nn.Module,
    image: Image,
    truth: Detections | None = None,
    *,
    score: float = 0.3,
    backbone: str | None = None,
    preprocessing: Preprocessing | None = None,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
) -> Explained:
    """Shows how a detector assigns the objects of an image to its anchors, default boxes or proposals, in panels.

    Its grids; its default boxes or anchors; which of them learn which object (with ``truth``); of a detector with two
    stages also its proposals, and which regions the second stage learns from; which answers are sure enough, and which
    of these suppression keeps (of a network that was trained, or that is given itself).

    Args:
        model: a run folder or model file, a loaded model, a network, or the name of one ("ssd"): then its form as
            published, untrained.
        image: one image, as for :meth:`visus.Model.predict`.
        truth: its objects, in pixels of the file; of a model with classes, its own classes.
        score: answers below this are not shown, in [0, 1].
        backbone: of a composition that is named.
        preprocessing: the way from the file to the network's input; needed with a network, else the model's own.
        options: of the builder of a model that is named, such as {"scales": "coco"}.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps"; a network that is given stays where it is.

    Returns:
        An :class:`~visus.explanation.targets.ExplainedTargets`, or of a detector with two stages an
        :class:`~visus.explanation.regions.ExplainedRegions`: print it, ``draw()`` it, ``to_dict()`` it.

    Raises:
        DataError: if the image cannot be read, or the truth has other classes or another size than expected.
        TaskMismatchError: if the model is no detector that says where its objects are learned.
        UnknownModelError: if there is no such model.
        UsageError: for arguments that do not go with the kind of model, or a score that is none.

    Example:
        >>> truth = Detections(("dog",), np.float32([[112, 185, 258, 449]]), np.array([0]), (480, 640))
        >>> print(visus.explain_targets("ssd", "photo.jpg", truth))
        ssd@paper at 300 x 300: 8,732 default boxes on 6 maps
        ...
    """
    from torch import nn

    from visus.workflow.model import Model

    if not 0 <= score <= 1:
        raise UsageError("the score is out of range", expected="0 to 1", got=f"{score:g}")
    named = isinstance(model, str | Path) and is_name(model)
    for what, value, fits in (
        ("backbone", backbone, named),
        ("options", options, named),
        ("preprocessing", preprocessing, named or isinstance(model, nn.Module)),
    ):
        if value is not None and not fits:
            raise UsageError(f"{model if isinstance(model, str | Path) else 'the model'} has its own {what}")
    if isinstance(model, nn.Module):
        return assignment_of_network(model, image, truth, score, preprocessing)
    if isinstance(model, str | Path) and named:
        return assignment_of_name(str(model), image, truth, score, backbone, preprocessing, options or {}, device)
    if not isinstance(model, Model):
        from visus.workflow.loading import load_model

        task_of(model)
        model = load_model(model, device=device)
    return model.explain_targets(image, truth, score=score)


def explain_target_files(
    model: str | Path,
    images: Sequence[str | Path],
    *,
    save: str | Path,
    data: str | Path | None = None,
    score: float = 0.3,
    backbone: str | None = None,
    changes: Sequence[str] = (),
    device: str = "auto",
    quiet: bool = False,
) -> list[dict[str, Any]]:
    """Writes one picture for each file into a folder: ``NAME-targets.png``.

    Args:
        model: a run folder, a model file, or the name of a model.
        images: files and folders.
        save: the folder.
        data: where the objects of these images are known; None: the data that the run was trained on, for those of its
            images that are among them.
        score: answers below this are not shown.
        backbone: of a composition that is named.
        changes: of the form of a model that is named, as a training takes them: "size=[320, 416]",
            "model_options.scales=coco".
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        quiet: say nothing on standard error.

    Returns:
        One dictionary a file: "image", "file" (the picture), "text" (what is printed), and what
        ``to_dict()`` of the explanation has.

    Raises:
        DataError: if a file cannot be read, or has no truth in ``data``.
        DiskError: if a picture cannot be written.
        RecipeError: if a change is none, or is not about the network's form.
        TaskMismatchError: if the model is no detector.
        UsageError: for a backbone or changes with a trained model.
    """
    from visus.data.reading.images import open_images
    from visus.engine.progress import choose_progress

    samples = open_images([Path(image) for image in images], say=choose_progress(quiet=quiet).say)
    form = form_of_name(model, backbone, changes)
    task = task_of(model, backbone)
    asked: str | Path | Model = model
    if Path(model).exists():
        from visus.workflow.loading import load_model

        asked = load_model(model, device=device, quiet=quiet)
    targets = known_targets(model, samples, data, task)
    folder, used_names = Path(save), set[str]()
    rows = []
    for sample, target in zip(samples, targets, strict=True):
        explanation = explain_targets(asked, sample.image, target, score=score, device=device, **form)
        name = str(sample.image.path or sample.id)
        picture = folder / f"{free_name(Path(name).stem, used_names)}-targets.png"
        with output_folder(folder, "explain"):
            try:
                explanation.draw().save(picture)
            except OSError as error:
                raise DiskError(f"cannot write {picture}", got=error.strerror or str(error)) from None
        rows.append({"image": name, "file": str(picture), "text": str(explanation), **explanation.to_dict()})
    return rows
