"""What an export is made of: a network with its card, the digest of its weights, and images for the check."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visus.data.pixels.intensity import with_intensity_range
from visus.engine.model_card import ModelInfo
from visus.errors import UsageError, VisusError

if TYPE_CHECKING:
    from torch import nn

    from visus.structures import Sample
    from visus.tasks.task import Task
    from visus.workflow.model import Model

FILE_NAME = "model.onnx"
_BLOCK = 1 << 20
_TRIED = 32  # images of the training data that are looked at for some that can be read


@dataclass(frozen=True, slots=True)
class Source:
    """A network that is to be exported.

    Args:
        network: stays as it is.
        task: reads its outputs.
        info: its card.
        weights_sha256: of its file; of its values where there is no file.
        place: where its exported file belongs.
        run: the folder of its training, or None.
        drawn: whether its values are random, as it begins.
    """

    network: nn.Module
    task: Task
    info: ModelInfo
    weights_sha256: str
    place: Path
    run: Path | None = None
    drawn: bool = False


def source_of_model(model: Model) -> Source:
    """A loaded model."""
    from visus.engine.model_file import FILE_NAME as WEIGHTS_NAME

    folder = model.path.is_dir()
    file = model.path / WEIGHTS_NAME if folder else model.path
    run = model.path if folder else model.path.parent
    # A model may have been changed since it was loaded: truncated, or trained on.
    digest = digest_of_file(file) if file.is_file() and _is_unchanged(model) else digest_of_values(model.network)
    return Source(
        model.network,
        model.task,
        model.info,
        digest,
        model.path / FILE_NAME if folder else model.path.with_suffix(".onnx"),
        run if (run / "config.yaml").is_file() else None,
    )


def source_of_network(network: nn.Module, name: str, classes: int | Sequence[str] | None, *, drawn: bool) -> Source:
    """A network without a file.

    Args:
        network: of :func:`visus.create`.
        name: of its edition, such as "resnet18@paper", or "ssd+mobilenet_v2".
        classes: their names, or how many there are; None: the paper's own.
        drawn: whether its values are random.

    Raises:
        UnknownModelError: if there is no such model.
    """
    from visus.models.catalog import backbone_revision, find
    from visus.models.class_names import class_names
    from visus.tasks.table import make_task

    card = find(name)
    if classes is None or isinstance(classes, int):
        names = class_names(card, card.classes if classes is None else classes)
    else:
        names = tuple(classes)
    info = ModelInfo(
        task=card.task,
        model=card.full_name,
        classes=names,
        in_channels=card.preprocessing.channels,
        preprocessing=card.preprocessing,
        backbone=card.backbone,
        revision=card.revision,
        backbone_revision=backbone_revision(card),
        visus_version=version("visus"),
    )
    place = Path(f"{card.full_name}.onnx")
    return Source(network, make_task(info.task, names), info, digest_of_values(network), place, drawn=drawn)


def check_samples(source: Source, images: Any) -> tuple[list[Sample], bool]:
    """The images that a check compares on, and whether they were made up.

    Args:
        source: the network.
        images: what :mod:`visus.data.reading.given` takes; None: the validation images of the training, where they
            still are, else made-up ones.

    Raises:
        DataError: if images that were given cannot be read.
        UsageError: if something else was given.
    """
    from visus.data.reading.given import given_images
    from visus.exporters.images import made_up

    if images is not None:
        samples, made = given_images(images).samples, False
    else:
        samples = _own_images(source)
        made = not samples
        samples = samples or made_up(source.info)
    return list(with_intensity_range(samples, source.info.preprocessing.value_range)), made


def output_file(path: Path | None, place: Path) -> Path:
    """Where the file goes.

    Args:
        path: a file ending in .onnx, or a folder for ``model.onnx``, which is made; None: ``place``.
        place: where it goes unasked.

    Raises:
        UsageError: for another ending.
        DiskError: if the folder cannot be made.
    """
    from visus.workflow.folders import make_folder

    if path is None:
        return place
    if path.suffix not in ("", ".onnx"):
        raise UsageError(
            f"an ONNX file has another ending than {path.name}", expected=".onnx, or a folder", got=path.suffix
        )
    file = path if path.suffix else path / FILE_NAME
    make_folder(file.parent)
    return file


def digest_of_file(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_values(network: nn.Module) -> str:
    """A SHA-256 of the names and values of a network."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        array = tensor.detach().cpu().contiguous().view(-1).numpy()
        digest.update(f"{name} {array.dtype} {list(tensor.shape)}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _is_unchanged(model: Model) -> bool:
    """Whether a model has the values of its file; a released file of other names counts as unchanged."""
    from visus.engine.model_file import load_state
    from visus.workflow.loading import is_released

    if is_released(model.path):
        return True
    _, state = load_state(model.path)
    own = model.network.state_dict()
    return own.keys() == state.keys() and all(own[name].cpu().equal(value) for name, value in state.items())


def _own_images(source: Source) -> list[Sample]:
    """Images that the model was validated on; none where its data are no more."""
    from visus.data.reading.opening import open_data
    from visus.workflow.plan import Plan

    if source.run is None:
        return []
    try:
        plan = Plan.load(source.run / "config.yaml")
        dataset = open_data(plan.data, task=source.info.task, format=plan.reader, task_options={"touching": ""})
        split = next((name for name in ("val", "test") if name in dataset.splits), next(iter(dataset.splits)))
        return list(dataset.split(split)[:_TRIED])
    except VisusError:
        return []
