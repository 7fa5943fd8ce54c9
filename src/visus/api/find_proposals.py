"""Finds the region proposals of a data set's images, and says how well they cover its objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from visus.data.messages import counted
from visus.errors import DataError, InterruptedRunError, RecipeError, TaskMismatchError, UsageError
from visus.workflow.companions import refuse_beside
from visus.workflow.folders import make_folder, output_folder

if TYPE_CHECKING:
    from PIL.Image import Image

    from visus.data.dataset import Dataset
    from visus.data.proposals.computing import Proposer
    from visus.metrics.proposal_recall import ProposalScores
    from visus.structures import Proposals, Sample

MODES = ("single", "fast", "quality")
MOST = 100_000
_SHOWN_NUMBERS = (10, 100, 1000)


@dataclass(frozen=True, slots=True)
class FoundProposals:
    """The region proposals of images, and their scores; prints as a few lines.

    Args:
        data: the name of the data set.
        split: whose images; None: all.
        source: what made the proposals, such as "selective search, fast".
        count: the best so many of each image are taken.
        counts: how many there are, by the image's name.
        failed: from the name of an image that cannot be read to the reason.
        scores: how the objects are covered; None where the images have no boxes.
        samples: the images, for :meth:`proposals`.
        proposer: finds their proposals again; None: the samples hold them.
    """

    data: str
    split: str | None
    source: str
    count: int
    counts: Mapping[str, int]
    failed: Mapping[str, str] = field(default_factory=dict)
    scores: ProposalScores | None = None
    samples: Sequence[Sample] = field(default=(), repr=False)
    proposer: Proposer | None = field(default=None, repr=False)

    def proposals(self) -> Iterator[tuple[str, Proposals]]:
        """The name of each image and its proposals, best first, in pixels of its file."""
        for sample in self.samples:
            yield sample.id, _of(sample, self.proposer, self.count)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        numbers = list(self.counts.values())
        mean = sum(numbers) / len(numbers) if numbers else None
        return {
            "data": self.data,
            "split": self.split,
            "source": self.source,
            "count": self.count,
            "images": len(numbers),
            "failed": [{"image": name, "error": problem} for name, problem in self.failed.items()],
            "proposals": {"mean": mean, "least": min(numbers, default=None), "most": max(numbers, default=None)},
            "scores": None if self.scores is None else self.scores.to_dict(),
        }

    def __str__(self) -> str:
        numbers = list(self.counts.values())
        part = "" if self.split is None else f" {self.split}"
        lines = [
            f"{self.data}{part}: {self.source}, the best {self.count:,} of each of {counted(len(numbers), 'images')}"
        ]
        if numbers:
            mean = sum(numbers) / len(numbers)
            lines.append(f"proposals an image: {mean:,.0f} on average, {min(numbers):,} to {max(numbers):,}")
        lines += [f"{name}: ERROR {problem}" for name, problem in self.failed.items()]
        return "\n".join(lines + _told(self.scores))

    def draw_hierarchy(self, image: str | None = None) -> Image:
        """Draws how selective search groups an image: its regions, ever fewer of them, and the boxes around them.

        Args:
            image: its name, or the end of it; None: the first image.

        Raises:
            UsageError: if the proposals are those of a file, or there is no such image, or several.
            DataError: if the image cannot be read.
        """
        from visus.data.proposals.computing import searched
        from visus.report.region_hierarchy import draw_hierarchy

        if self.proposer is None:
            raise UsageError(
                "proposals of files have no hierarchy",
                expected="those of selective search",
                got=self.source,
                remedy="leave the files out",
            )
        named = [s for s in self.samples if image is None or f"/{s.id}".endswith(f"/{image}")]
        if not named or (image is not None and len(named) > 1):
            raise UsageError(
                "no image to draw"
                if image is None
                else f"{'several images are' if named else 'no image is'} called {image}",
                expected="the name of one image, such as " + ", ".join(s.id for s in self.samples[:3]),
                got=", ".join(s.id for s in named[:3]) or "none",
            )
        return draw_hierarchy(*searched(named[0].image, self.proposer.settings))

    def save(self, path: str | Path) -> None:
        """Writes the proposals: ``.csv`` or ``.json``, which ``--proposals`` takes.

        Raises:
            UsageError: for another suffix.
            DiskError: if the file cannot be written.
        """
        from visus.data.proposals.writing import WRITERS
        from visus.engine.disk import write_atomically

        path = Path(path)
        if path.suffix not in WRITERS:
            raise UsageError(
                f"unknown format of proposals: {path}", expected=".csv or .json", got=path.suffix or "none"
            )
        pieces = WRITERS[path.suffix](self.proposals())

        def fill(file: BinaryIO) -> None:
            for piece in pieces:
                file.write(piece.encode())

        with output_folder(make_folder(path.parent), "data propose"):
            write_atomically(path, fill)

    def save_curves(self, path: str | Path) -> None:
        """Writes the recall over the number of proposals and over the IoU as a picture: ``.svg`` or ``.png``.

        Raises:
            DataError: if there is no object whose recall could be drawn.
            UsageError: for another suffix.
            DiskError: if the file cannot be written.
        """
        from visus.engine.disk import write_text
        from visus.report.plots import proposal_curves, save_png, to_svg

        path = Path(path)
        if path.suffix not in (".svg", ".png"):
            raise UsageError(f"unknown picture format: {path}", expected=".svg or .png", got=path.suffix or "none")
        figure = None if self.scores is None else proposal_curves(self.scores)
        if figure is None:
            raise DataError(
                f"{self.data} has no objects whose recall could be drawn",
                expected="images with boxes",
                got=f"{counted(len(self.counts), 'images')} without any",
            )
        with output_folder(make_folder(path.parent), "data propose"):
            if path.suffix == ".png":
                save_png(figure, path)
            else:
                write_text(path, to_svg(figure))


def _told(scores: ProposalScores | None) -> list[str]:
    """The scores as lines for people."""
    from visus.metrics.proposal_recall import IOUS

    if scores is None:
        return ["the labels hold no boxes to score them with"]
    if not len(scores.labels):
        return ["no objects to score them with"]
    numbers = [(n, share) for n, share in zip(scores.numbers, scores.by_number(), strict=True)]
    shown = [(n, share) for n, share in numbers if n in _SHOWN_NUMBERS or n == numbers[-1][0]]
    sizes = [(name, *found) for name, found in scores.by_size().items()]
    overlap = [(name, value) for name, value in scores.best_overlap().items() if value is not None]
    return [
        f"{counted(len(scores.labels), 'objects')}; found at IoU "
        + ", ".join(f"{iou:g}: {_percent(scores.recall(iou))}" for iou in IOUS)
        + f"; average recall {_percent(scores.average_recall())}",
        "found at IoU 0.5 by number of proposals: " + ", ".join(f"{n:,}: {_percent(share)}" for n, share in shown),
        "found at IoU 0.5 by size: "
        + ", ".join(f"{name}: {_percent(share)} of {n:,}" for name, n, share in sizes if n),
        f"best overlap {_percent(scores.mean_best_overlap())}: "
        + ", ".join(f"{name}: {_percent(value)}" for name, value in overlap),
    ]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def find_proposals(
    data: str | Path,
    *,
    split: str | None = None,
    mode: str | None = None,
    count: int = 2000,
    proposals: Sequence[str | Path] = (),
    format: str | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> FoundProposals:
    """Finds region proposals for images, and scores them where the images have boxes.

    They are computed once for each image and mode and kept in the cache folder, where a training and a prediction find
    them; a call that was stopped goes on where it was.

    Args:
        data: folder, file or name; images without labels, too.
        split: "train", "val" or "test"; None: all images.
        mode: of selective search: "single", "fast" or "quality" (Uijlings et al. 2013, Table 5); None: "fast".
        count: the best so many of each image are taken.
        proposals: files of proposals to score in place of computing any: MATLAB files as Fast R-CNN has them, pickles
            of detectron2, CSV or JSON.
        format: the reader of the data, when two could read it.
        workers: processes that compute; None: one a core.
        quiet: no progress on standard error.

    Returns:
        The proposals, how many there are, and how many of the objects they find. Images that cannot be read are in
        ``failed``.

    Raises:
        DataError: if the data or a file of proposals cannot be read, or there is no such split.
        RecipeError: if ``mode`` or ``count`` cannot be.
        UsageError: for a mode or workers beside files of proposals, where nothing is computed.
        DiskError: if the proposals cannot be kept.
        InterruptedRunError: after Ctrl-C or SIGTERM; what is finished stays.
    """
    from visus.structures import ProposalSettings

    why = "those of files are not computed"
    refuse_beside("--mode", mode is not None, "--proposals", bool(proposals), why)
    refuse_beside("--workers", workers is not None, "--proposals", bool(proposals), why)
    mode = mode or "fast"
    if mode not in MODES:
        raise RecipeError("unknown mode of selective search", expected=" or ".join(MODES), got=mode)
    if not 1 <= count <= MOST:
        raise RecipeError("the number of proposals is out of range", expected=f"1 to {MOST:,}", got=str(count))
    dataset, has_boxes = _opened(data, format)
    samples = dataset.split(split) if split is not None else [s for part in dataset.splits.values() for s in part]
    settings = ProposalSettings(mode=mode, count=count)  # type: ignore[arg-type]  # one of MODES
    proposer, source = None, f"selective search, {mode}"
    failed: dict[str, DataError] = {}
    if proposals:
        from visus.engine.progress import choose_progress
        from visus.workflow.region_proposals import samples_with_given

        samples = samples_with_given(samples, proposals, choose_progress(quiet=quiet), dataset)
        source = ", ".join(map(str, proposals))
    else:
        proposer, failed = _computed(samples, settings, workers, quiet=quiet)
    samples = [sample for sample in samples if sample.id not in failed]
    counts, scores = _scored(dataset, samples, proposer, count, has_boxes=has_boxes)
    return FoundProposals(
        data=dataset.name,
        split=split,
        source=source,
        count=count,
        counts=counts,
        failed={name: error.problem for name, error in failed.items()},
        scores=scores,
        samples=samples,
        proposer=proposer,
    )


def _opened(data: str | Path, format: str | None) -> tuple[Dataset, bool]:
    """The data set, and whether its images have boxes."""
    from visus.data.reading.opening import open_data

    try:
        return open_data(data, task="detection", format=format, least_classes=1), True
    except TaskMismatchError:
        return open_data(data, format=format, least_classes=1), False


def _computed(
    samples: Sequence[Sample], settings: Any, workers: int | None, *, quiet: bool
) -> tuple[Proposer, dict[str, DataError]]:
    """Computes what is missing; also gives what is wrong with images that cannot be read."""
    from visus.data.proposals.computing import Proposer
    from visus.data.proposals.filling import fill, missing
    from visus.engine.interruption import Interrupted, Interruption
    from visus.engine.progress import choose_progress

    proposer = Proposer.of(settings)
    lacking = missing(samples, proposer)
    if not lacking:
        return proposer, {}
    progress, done = choose_progress(quiet=quiet), 0

    def advance(number: int, _count: int) -> None:
        nonlocal done
        done = number
        progress.advance(1)

    progress.begin("region proposals", len(lacking))
    with Interruption() as interruption:
        try:
            with interruption.at_once():
                return proposer, fill(lacking, proposer, workers=workers, progress=advance)
        except (Exception, Interrupted):  # whatever the signal broke off: it is the cause
            if not interruption.signal:
                raise
            raise InterruptedRunError.by_signal(
                interruption.signal,
                f"stopped after {done:,} of {counted(len(lacking), 'images')}, whose proposals are kept",
                remedy="start it again: it goes on where it was",
            ) from None
        finally:
            progress.end()


def _scored(
    dataset: Dataset, samples: Sequence[Sample], proposer: Proposer | None, count: int, *, has_boxes: bool
) -> tuple[dict[str, int], ProposalScores | None]:
    """The number of each image's proposals, and how they cover its objects."""
    from visus.metrics.proposal_recall import ProposalRecall

    counts: dict[str, int] = {}
    metric = ProposalRecall(dataset.classes["detection"], count) if has_boxes else None
    for sample in samples:
        found = _of(sample, proposer, count)
        counts[sample.id] = len(found)
        if metric is not None and "detection" in sample.targets:
            metric.update(found, sample.target("detection", masks=False).repaired()[0])
    return counts, None if metric is None else metric.compute()


def _of(sample: Sample, proposer: Proposer | None, count: int) -> Proposals:
    from visus.structures import Proposals

    if proposer is not None:
        return proposer(sample.image)
    held = sample.proposals
    if held is None:
        raise DataError(f"{sample.id} has no proposals", expected="proposals of a file", got="none")
    return (held if isinstance(held, Proposals) else held.load()).first(count)
