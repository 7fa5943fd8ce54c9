"""Explains the predictions of a model with heat maps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visus.errors import DiskError
from visus.workflow.folders import file_name, free_name, output_folder

if TYPE_CHECKING:
    from visus.data.reading.given import Image
    from visus.workflow.model import Model


def explain(
    model: str | Path | Model, images: Image | Iterable[Image], *, label: str | None = None, device: str = "auto"
) -> Any:
    """Makes Grad-CAM heat maps of a model's predictions; see :meth:`visus.Model.explain`.

    Args:
        model: a run folder, a model file, or a loaded model.
        images: files, folders, arrays, tensors, Pillow images, bytes, open files, or an iterable of these; see
            :meth:`visus.Model.predict`.
        label: explain this class instead of the predicted one.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
    """
    from visus.workflow.loading import load_model

    loaded = load_model(model, device=device) if isinstance(model, str | Path) else model
    return loaded.explain(images, label=label)


def explain_files(
    model: str | Path | Model,
    images: Sequence[str | Path],
    *,
    save: str | Path,
    label: str | None = None,
    device: str = "auto",
    quiet: bool = False,
) -> list[tuple[str, str, str]]:
    """Writes a heat map for each file, or one for each of its labels; returns (file, what is explained, picture).

    quiet: say nothing on standard error.

    Raises:
        DataError: if a file cannot be read.
        DiskError: if a picture cannot be written.
    """
    from visus.data.reading.images import open_images
    from visus.engine.progress import choose_progress
    from visus.workflow.loading import load_model

    samples = open_images([Path(image) for image in images], say=choose_progress(quiet=quiet).say)
    loaded = load_model(model, device=device, quiet=quiet) if isinstance(model, str | Path) else model
    folder, used_names = Path(save), set[str]()
    written = []
    for sample in samples:
        heatmap = loaded.explain(sample.image, label=label)
        name = str(sample.image.path or sample.id)
        stem = f"{free_name(Path(name).stem, used_names)}-why"
        with output_folder(folder, "explain"):  # not before there is something to write
            for part in heatmap.parts or (heatmap,):
                ending = free_name(f"{stem}-{file_name(part.label)}", used_names) if heatmap.parts else stem
                picture = folder / f"{ending}.png"
                try:
                    part.draw().save(picture)
                except OSError as error:
                    raise DiskError(f"cannot write {picture}", got=error.strerror or str(error)) from None
                written.append((name, part.label, str(picture)))
    return written
