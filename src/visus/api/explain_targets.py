"""What a detector learns of an image: grids, default boxes or anchors, matched objects, kept answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visus.errors import DataError, DiskError, RecipeError, UsageError, VisusError
from visus.workflow.assignment import explained, require_task
from visus.workflow.folders import free_name, make_folder

if TYPE_CHECKING:
    from torch import nn

    from visus.data.dataset import Dataset
    from visus.explanation.targets import ExplainedTargets
    from visus.structures import Detections, Preprocessing, Sample
    from visus.workflow.model import Image, Model


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
) -> ExplainedTargets:
    """What a detector's predictors have to do with the objects of an image, drawn as four panels.

    Its grids; its default boxes or anchors; which of them learn which object (with ``truth``); which answers are sure
    enough, and which of these suppression keeps (of a network that was trained, or that is given itself).

    Args:
        model: a run folder or model file, a loaded model, a network, or the name of one ("ssd"): then its form as
            published, untrained.
        image: a file, an array [H,W], [H,W,3] or [H,W,C], or a source of pixels.
        truth: its objects, in pixels of the file; of a model with classes, its own classes.
        score: answers below this are not shown, in [0, 1].
        backbone: of a composition that is named.
        preprocessing: the way from the file to the network's input; needed with a network, else the model's own.
        options: of the builder of a model that is named, such as {"scales": "coco"}.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps"; a network that is given stays where it is.

    Returns:
        An :class:`~visus.explanation.targets.ExplainedTargets`: print it, ``draw()`` it, ``to_dict()`` it.

    Raises:
        DataError: if the image cannot be read, or the truth has other classes or another size than expected.
        TaskMismatchError: if the model is no detector with predictors in a grid.
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
        raise UsageError("a score is a probability", expected="0 to 1", got=f"{score:g}")
    named = isinstance(model, str | Path) and not Path(model).exists() and Path(model).name == str(model)
    for what, value, fits in (
        ("backbone", backbone, named),
        ("options", options, named),
        ("preprocessing", preprocessing, named or isinstance(model, nn.Module)),
    ):
        if value is not None and not fits:
            raise UsageError(f"{model if isinstance(model, str | Path) else 'the model'} has its own {what}")
    if isinstance(model, nn.Module):
        return _of_network(model, image, truth, score, preprocessing)
    if isinstance(model, str | Path) and named:
        return _of_name(str(model), image, truth, score, backbone, preprocessing, options or {}, device)
    if not isinstance(model, Model):
        from visus.api.load import load

        require_detection(model)
        model = load(model, device=device)
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
) -> list[dict[str, Any]]:
    """Writes a picture a file into a folder, ``NAME-targets.png``.

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

    Returns:
        One dictionary a file: "image", "file" (the picture), "text" (what is printed), and what
        :meth:`ExplainedTargets.to_dict` has.

    Raises:
        DataError: if a file cannot be read, or has no truth in ``data``.
        DiskError: if a picture cannot be written.
        RecipeError: if a change is none, or is not about the network's form.
        TaskMismatchError: if the model is no detector.
        UsageError: for a backbone or changes with a trained model.
    """
    from visus.data.reading.opening import open_images

    samples = open_images([Path(image) for image in images])
    form = _form(model, backbone, changes)
    asked: str | Path | Model = model
    if Path(model).exists():
        from visus.api.load import load

        require_detection(model)
        asked = load(model, device=device)
    truths = known_truths(model, samples, data)
    folder, taken = Path(save), set[str]()
    rows = []
    for sample, truth in zip(samples, truths, strict=True):
        found = explain_targets(asked, sample.image, truth, score=score, device=device, **form)
        name = str(sample.image.path or sample.id)
        picture = make_folder(folder) / f"{free_name(Path(name).stem, taken)}-targets.png"
        try:
            found.draw().save(picture)
        except OSError as error:
            raise DiskError(f"cannot write {picture}", got=error.strerror or str(error)) from None
        rows.append({"image": name, "file": str(picture), "text": str(found), **found.to_dict()})
    return rows


def _form(model: str | Path, backbone: str | None, changes: Sequence[str]) -> dict[str, Any]:
    """The arguments of :func:`explain_targets` that say which form of a named model is meant."""
    if backbone is None and not changes:
        return {}
    if Path(model).exists():
        raise UsageError(
            f"{model} has its own form",
            expected="--backbone and --set with the name of a model only",
            got=" ".join(["--backbone"] * (backbone is not None) + ["--set"] * bool(changes)),
            remedy="leave them away, or name a model, such as ssd",
        )
    from visus.engine.recipe import Recipe, named_changes
    from visus.models.catalog import find

    foreign = [name for name in named_changes(changes) if name != "size" and not name.startswith("model_options.")]
    if foreign:
        raise RecipeError(
            f"{foreign[0]} does not change what a detector learns of one image",
            expected="size, or fields of model_options",
            got=foreign[0],
            remedy="leave it away",
        )
    recipe = Recipe().with_changes(changes)
    form: dict[str, Any] = {"backbone": backbone, "options": recipe.model_options}
    if recipe.size is not None:
        card = find(f"{model}+{backbone}" if backbone else str(model))
        form["preprocessing"] = replace(card.preprocessing, size=recipe.size)
    return form


def known_truths(model: str | Path, samples: Sequence[Sample], data: str | Path | None) -> list[Detections | None]:
    """The objects of each image, from a data set or from the run's own; None where nothing is known of an image.

    Raises:
        DataError: if ``data`` is given and lacks one of the images.
    """
    dataset = _dataset(model, data)
    if dataset is None:
        return [None] * len(samples)
    known: dict[Path, Sample] = {}
    for split in dataset.splits.values():
        known.update({entry.image.path.resolve(): entry for entry in split if entry.image.path is not None})
    truths: list[Detections | None] = []
    for sample in samples:
        found = known.get(sample.image.path.resolve()) if sample.image.path is not None else None
        if found is None and data is not None:
            raise DataError(
                f"{dataset.name} does not know {sample.id}",
                expected="an image of this data set, by its path",
                got=f"{len(known):,} other images",
                remedy="name the data set that the image lies in, or leave --data away: then no truth is drawn",
            )
        target: Any = None if found is None else found.target("detection", masks=False)
        truths.append(target)
    return truths


def _dataset(model: str | Path, data: str | Path | None) -> Dataset | None:
    """The data that is named; else the run's own, where it still can be read."""
    from visus.data.reading.opening import open_data

    if data is not None:
        return open_data(data, task="detection")
    path = Path(model)
    config = (path if path.is_dir() else path.parent) / "config.yaml"
    if not path.exists() or not config.is_file():
        return None
    from visus.workflow.plan import Plan

    try:
        plan = Plan.load(config)
        return open_data(plan.data, task="detection", format=plan.reader)
    except VisusError:  # moved or changed since: what was asked for does not need it
        return None


def require_detection(path: str | Path) -> None:
    """Raises TaskMismatchError if a model file is of another task."""
    from visus.engine.model_file import read_info

    info = read_info(Path(path))
    require_task(info.model, info.task)


def _of_name(
    name: str,
    image: Image,
    truth: Detections | None,
    score: float,
    backbone: str | None,
    preprocessing: Preprocessing | None,
    options: Mapping[str, Any],
    device: str,
) -> ExplainedTargets:
    import torch

    from visus.engine.runtime import choose_device
    from visus.models.building import build
    from visus.models.catalog import find

    card = find(f"{name}+{backbone}" if backbone else name)
    require_task(card.full_name, card.task)
    classes = None if truth is None else truth.classes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # what YOLO's untrained cells answer decides which of their boxes learns
        network = (
            build(card, classes=None if classes is None else len(classes), options=options)
            .to(choose_device(device))
            .eval()
        )
    return explained(
        network,
        _one(image),
        truth,
        preprocessing or card.preprocessing,
        classes=classes,
        model=card.full_name,
        score=score,
        answers=False,
    )


def _of_network(
    network: nn.Module,
    image: Image,
    truth: Detections | None,
    score: float,
    preprocessing: Preprocessing | None,
) -> ExplainedTargets:
    from visus.explanation.targets import require_placed

    name = getattr(network, "name", type(network).__name__)
    require_placed(network, name)
    if preprocessing is None:
        raise UsageError(
            "a network alone does not say how a file becomes its input",
            expected="preprocessing=Preprocessing(size=(300, 300), fit='stretch', ...)",
            got="none",
        )
    classes = None if truth is None else truth.classes
    return explained(network, _one(image), truth, preprocessing, classes=classes, model=name, score=score, answers=True)


def _one(image: Image) -> Sample:
    from visus.workflow.model import one_sample

    return one_sample(image)
