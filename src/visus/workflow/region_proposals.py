"""Gives samples the region proposals that a network needs: from files, or computed before they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from visus.data.dataset import Dataset
from visus.engine.progress import Progress
from visus.engine.recipe import Recipe
from visus.errors import UsageError
from visus.models.card import Card
from visus.structures import Preprocessing, ProposalSettings, Sample


def require_use(preprocessing: Preprocessing, model: str, files: Sequence[str | Path]) -> None:
    """Raises UsageError if files of proposals are given to a network that takes none.

    Args:
        preprocessing: of the network.
        model: its name, for the message.
        files: that were given; none is always right.
    """
    if files and preprocessing.proposals is None:
        raise UsageError(
            f"{model} takes no region proposals",
            expected="--proposals with a network that makes none of its own, such as fast_rcnn",
            got=f"--proposals {' '.join(map(str, files))}"[:300],
            remedy="leave --proposals out",
        )


def looking_at_files(card: Card, recipe: Recipe, files: Sequence[str | Path]) -> Card:
    """The card of a network whose second stage learns alone from proposals of files: it is given some ever after.

    A network that proposes regions itself has a model option for this, ``learns``.
    """
    if not files or recipe.model_options.get("learns") != "regions":
        return card
    settings = ProposalSettings(method="given")
    return replace(card, preprocessing=replace(card.preprocessing, proposals=settings))


def with_given(
    dataset: Dataset, preprocessing: Preprocessing, model: str, files: Sequence[str | Path], messages: list[str]
) -> Dataset:
    """The data set of a training, with the proposals of files where these are given.

    Args:
        dataset: of the training.
        preprocessing: of the network.
        model: its name.
        files: of proposals; none: they are computed later, if the network needs them.
        messages: get a line about where proposals come from, and about what was remarkable.

    Raises:
        DataError: as :func:`visus.data.proposals.attaching.attach`.
        UsageError: as :func:`require_use`.
    """
    require_use(preprocessing, model, files)
    settings = preprocessing.proposals
    if settings is None:
        return dataset
    if not files:
        name = settings.method.replace("_", " ")
        messages.append(f"region proposals: {name}, {settings.mode}, the best {settings.count:,} of each image")
        return dataset
    from visus.data.proposals.attaching import with_proposals

    attached = with_proposals(dataset, [Path(file) for file in files])
    messages.append(f"region proposals: {', '.join(map(str, files))}")
    messages += [finding.message for finding in attached.findings[len(dataset.findings) :]]
    return attached


def samples_with_given(
    samples: Sequence[Sample], files: Sequence[str | Path], progress: Progress, dataset: Dataset | None = None
) -> Sequence[Sample]:
    """Samples with the proposals of files.

    Args:
        samples: in any order.
        files: of proposals; none: the samples stay as they are.
        progress: told what was repaired or left out.
        dataset: that the samples are of, which may know them by COCO's ids.

    Raises:
        DataError: as :func:`visus.data.proposals.attaching.attach`.
    """
    if not files:
        return samples
    from visus.data.proposals.attaching import attach

    attached, findings = attach(samples, [Path(file) for file in files], dataset)
    for finding in findings:
        progress.say(finding.message)
    return attached


def compute_missing(dataset: Dataset, preprocessing: Preprocessing, progress: Progress) -> None:
    """Computes the proposals that a training will ask for and that are neither given nor kept, in several processes.

    Args:
        dataset: of the training.
        preprocessing: of the network; nothing is done for one that takes no proposals.
        progress: told of every image that lacks them.

    Raises:
        DataError: if an image cannot be read.
        DiskError: if the proposals cannot be kept.
    """
    if preprocessing.proposals is None:
        return
    from visus.data.proposals.computing import Proposer
    from visus.data.proposals.filling import fill, missing

    proposer = Proposer.of(preprocessing.proposals)
    ungiven = [sample for split in dataset.splits.values() for sample in split if sample.proposals is None]
    samples = missing(ungiven, proposer)
    if not samples:
        return
    progress.begin("region proposals", len(samples))
    try:
        failed = fill(samples, proposer, progress=lambda *_: progress.advance(1))
    finally:
        progress.end()
    for error in failed.values():
        raise error
