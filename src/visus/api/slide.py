"""Slides a classifier or a localizer over images of any size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visus.data.reading.given import Image
    from visus.workflow.model import Model


def slide(
    model: str | Path | Model,
    images: Image | Iterable[Image],
    *,
    score: float = 0.5,
    overlap: float = 0.5,
    misfit: float = 0.5,
    smallest: float | None = None,
    scales: Sequence[float] | None = None,
    shared: bool | None = None,
    device: str = "auto",
) -> Any:
    """Slides a trained classifier or localizer over images, at several sizes.

    Of a classifier the windows that are surest remain. A class named background is no object. A classifier without such
    a class must say something of every window: ask for a high ``score`` then.

    A localizer's boxes of all windows and sizes are merged, those of each class with one another (OverFeat, section
    4.3; see :func:`~visus.ops.box_merging.merge_boxes`). The confidences of the windows that a merged box comes from
    are added; its score is their share of the confidence of all windows, times that of the surest window.

    Args:
        model: a run folder, a model file, or a loaded model, of the task classification or localization.
        images: as for :meth:`visus.Model.predict`.
        score: windows, or merged boxes, must be surer than this, in [0, 1].
        overlap: classification: of two windows of one class with a higher intersection over union, the surer one stays.
        misfit: localization: boxes that fit worse are not merged (see :func:`~visus.ops.box_merging.misfit`).
        smallest: the shorter side of the smallest windows, in pixels of the file; None: that of the network's input, so
            that the file is not enlarged, and of a localizer half of the file's shorter side. Of a network that was
            trained on small images, give their side.
        scales: network pixels for one file pixel, a level each; None: from the size at which the window covers the
            shorter side, in steps of the square root of 2, to the smallest windows, at most 10.
        shared: compute all windows of a level at once (see :mod:`visus.workflow.dense_evaluation`); False: each by
            itself; None: at once where the network allows.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".

    Returns:
        A :class:`~visus.workflow.sliding.Slid`; a list of them for several images (a folder, an iterable).

    Raises:
        UsageError: if the model is no classifier or localizer, or a number is out of its range.
        TaskMismatchError: for ``shared=True``, if the network cannot do so, with the reason.
        DataError: if an image cannot be read.
    """
    from visus.data.pixels.intensity import with_intensity_range
    from visus.data.reading.given import given_images
    from visus.workflow.loading import load_model
    from visus.workflow.sliding import Slider

    loaded = load_model(model, device=device) if isinstance(model, str | Path) else model
    slider = Slider(
        loaded, score=score, overlap=overlap, misfit=misfit, smallest=smallest, scales=scales, shared=shared
    )
    given = given_images(images)
    samples = with_intensity_range(given.samples, loaded.info.preprocessing.value_range)
    answers = [slider(sample) for sample in samples]
    return answers[0] if given.one else answers
