"""Exports a trained model as a file for other runtimes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from visus.errors import UsageError
from visus.files.extras import require_train

if TYPE_CHECKING:
    from torch import nn

    from visus.engine.exported_card import ExportedCard
    from visus.exporters.check import Check
    from visus.workflow.exporting import Source
    from visus.workflow.model import Model

TARGETS = ("onnx",)


@dataclass(frozen=True, slots=True)
class Export:
    """An exported file, and what its check gave.

    Args:
        file: its path.
        report: the path of what the check gave, as JSON; None after a check alone.
        size: of the file in bytes.
        card: what the file says of itself.
        check: the comparison with PyTorch.
        notes: what should be known of it.
    """

    file: Path
    report: Path | None
    size: int
    card: ExportedCard
    check: Check
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "file": str(self.file),
            "report": None if self.report is None else str(self.report),
            "bytes": self.size,
            "model": self.card.info.model,
            "task": self.card.info.task,
            "input": self.card.input.to_dict(),
            "outputs": dict(self.card.outputs),
            "opset": self.card.opset,
            "precision": self.card.precision,
            "weights_sha256": self.card.weights_sha256,
            "check": self.check.to_dict(),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        given = self.card.input
        if given.size is not None:
            sizes = f"{given.size[0]} x {given.size[1]}"
        else:
            sizes = f"any size from {given.smallest[0]} x {given.smallest[1]} on"
            sizes += f", in steps of {given.multiple}" if given.multiple > 1 else ""
        count = f"{self.check.images} {'made-up ' if self.check.made else ''}images"
        return "\n".join(
            [
                f"{self.file}: {self.size / 1e6:,.1f} MB, {self.card.info.model} for {self.card.info.task}",
                f"images: {sizes}, any number at a time",
                f"onnxruntime agrees with PyTorch on {count}: outputs within {self.check.largest:.0e} of their largest "
                f"value, {self.check.agreement:.1%} of the answers",
                *(f"note: {note}" for note in self.notes),
                f"next: visus predict {self.file} IMAGES",
            ]
        )


def export(
    model: str | Path | Model | nn.Module,
    to: Literal["onnx"] = "onnx",
    path: str | Path | None = None,
    *,
    size: tuple[int, int] | Literal["any"] | None = None,
    images: Any = None,
    name: str | None = None,
    weights: str | Path | None = None,
    classes: int | Sequence[str] | None = None,
    backbone: str | None = None,
    edition: str | None = None,
    check_only: bool = False,
    find_difference: bool = False,
    quiet: bool = False,
) -> Export:
    """Writes a file that predicts without PyTorch, after a check that it answers as the model does.

    The file is enough by itself: it holds the weights, the names of the classes, the preprocessing, and how its outputs
    are read. Beside it goes ``NAME.check.json`` with what the check gave. Where the check fails, nothing is written.

    Args:
        model: a run folder, a model file, a released file of weights, a loaded model, the name of a network, or a
            network of :func:`visus.create`.
        to: "onnx".
        path: a file ending in .onnx, or a folder for ``model.onnx``; None: beside the model file, or for a name in the
            current folder.
        size: (height, width) of the images that the network takes; "any": any, where the network is proved at sizes
            that it was not traced at; None: as the model's preprocessing makes them.
        images: for the check, as :meth:`Model.predict` takes them; None: validation images of the run, else made-up
            ones.
        name: of the edition, for a network of :func:`visus.create`.
        weights: for the name of a network: "default" or a file; None: random ones.
        classes: for a name or a network: how many, or their names; None: the paper's.
        backbone: for the name of a composed network.
        edition: of a released file that several networks fit; see :func:`visus.load`.
        check_only: write nothing; compare the file that is there with the model, in the packages installed now.
        find_difference: if outputs differ, say at which layer they part.
        quiet: say nothing on standard error.

    Raises:
        ExportError: if the file answers otherwise than the model, or the network cannot be traced.
        TaskMismatchError: if the network answers in more than one pass, as detectors of two stages do.
        ShapeError: if the network does not take images of that size, or cannot have a free size.
        UsageError: for another target, or options that do not belong to the model.
        MissingExtraError: if a package is missing: ``pip install "visus[export]"``.
        WeightsError: if the model cannot be loaded; with ``check_only``, if there is no such file or it is foreign.
        DataError: if the images cannot be read.
        DiskError: if the file cannot be written.

    Example:
        >>> done = visus.export("runs/photos-resnet18")
        >>> visus.load(done.file).predict("new/a.jpg")
    """
    require_train("an export")
    if to not in TARGETS:
        raise UsageError(f"there is no export to {to}", expected=" or ".join(TARGETS), got=str(to))
    from visus.exporters.exporting import check_again, export_onnx
    from visus.exporters.network import exportable
    from visus.exporters.onnx_file import require_onnx
    from visus.workflow.exporting import check_samples, output_file

    require_onnx()
    source = _source(
        model, name=name, weights=weights, classes=classes, backbone=backbone, edition=edition, quiet=quiet
    )
    network = exportable(source.network, source.task, source.info)
    samples, made = check_samples(source, images)
    place = Path(path) if path is not None and check_only else output_file(Path(path) if path else None, source.place)
    if check_only:
        if size is not None:
            raise UsageError("a file has its size", got=f"size {size}", remedy="leave the size out, or export again")
        file = place / source.place.name if place.is_dir() else place
        done = check_again(
            network, file, samples, made=made, weights_sha256=source.weights_sha256, find=find_difference
        )
    else:
        done = export_onnx(
            network,
            place,
            choice=size,
            samples=samples,
            made=made,
            weights_sha256=source.weights_sha256,
            find=find_difference,
        )
    notes = done.notes + (("its weights are random: no training, no file of weights",) if source.drawn else ())
    return Export(done.file, done.report, done.file.stat().st_size, done.card, done.check, notes)


def _source(
    model: str | Path | Model | nn.Module,
    *,
    name: str | None,
    weights: str | Path | None,
    classes: int | Sequence[str] | None,
    backbone: str | None,
    edition: str | None,
    quiet: bool,
) -> Source:
    from torch import nn

    from visus.api.create import create
    from visus.workflow.exporting import source_of_model, source_of_network
    from visus.workflow.loading import load_model

    is_name = isinstance(model, str | Path) and not Path(model).exists() and not _is_path(str(model))
    own = {"weights": weights, "backbone": backbone, "classes": classes, "name": name}
    of_networks = ("name", "classes") if isinstance(model, nn.Module) else ()
    allowed = ("weights", "backbone", "classes") if is_name else of_networks
    wrong = [key for key, value in own.items() if value is not None and key not in allowed]
    if wrong:
        raise UsageError(
            f"{' and '.join(wrong)} cannot be chosen for this model",
            expected="for the name of a network weights, classes and backbone; for a network its name and classes",
            got=", ".join(f"{key}={own[key]}" for key in wrong)[:200],
            remedy="leave it out",
        )
    if isinstance(model, nn.Module):
        if name is None:
            raise UsageError(
                "a network does not say which edition it is",
                expected='its name, such as visus.export(network, name="resnet18@paper")',
                got=type(model).__name__,
            )
        return source_of_network(model, name, classes, drawn=False)
    if not isinstance(model, str | Path):
        return source_of_model(model)
    if not is_name:
        return source_of_model(load_model(model, device="cpu", model=edition, quiet=quiet))
    count = None if classes is None else classes if isinstance(classes, int) else len(classes)
    network = create(str(model), classes=count, weights=weights, backbone=backbone, quiet=quiet)
    full_name = f"{model}+{backbone}" if backbone else str(model)
    return source_of_network(network, full_name, classes, drawn=weights in (None, "none"))


def _is_path(model: str) -> bool:
    """Whether a text that names no file is meant as one: no model's name has a slash or such an ending."""
    return "/" in model or "\\" in model or Path(model).suffix in (".safetensors", ".onnx", ".pth", ".pt", ".npz")
