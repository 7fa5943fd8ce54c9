"""Which classes occur together, and what the check says of it."""

from __future__ import annotations

import numpy as np
import pytest

from visus.data.dataset import Dataset
from visus.data.inspection.checks import check
from visus.data.inspection.cooccurrence import count_together, together_findings
from visus.data.pixels.images import ArrayImage
from visus.structures import Label, LabelSet, Sample

CLASSES = ("sea", "boat", "sky", "dog")


def test_the_table_against_a_product() -> None:
    random = np.random.default_rng(0)
    shown = random.random((50, 4)) < 0.4
    found = count_together(4, [np.flatnonzero(row).tolist() for row in shown])
    np.testing.assert_array_equal(found, shown.T.astype(int) @ shown.astype(int))
    assert count_together(201, []) is None


def test_copies_with_other_labels_are_named() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    other = np.random.default_rng(1).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    task = "multilabel_classification"

    def kinds(*sets: list[int]) -> set[str]:
        images = [ArrayImage(array) for array in (pixels, pixels.copy(), other)]
        samples = [
            Sample(f"{n}.png", image, {task: LabelSet.of_ids(CLASSES, ids)})
            for n, (image, ids) in enumerate(zip(images, sets, strict=True))
        ]
        return {f.kind for f in check(Dataset("made", "made", None, {task: CLASSES}, {"train": samples}))}

    assert "conflicting-copies" in kinds([0, 1], [0], [1])
    assert "conflicting-copies" not in kinds([0, 1], [0, 1], [1])


def test_what_the_findings_say() -> None:
    shown = [[0, 1, 2], [0, 1, 2], [2], [2, 3], [2, 3]]
    always, same, most = together_findings(CLASSES, shown)
    assert (always.kind, always.examples) == ("always-shown", ("sky",))
    assert (same.kind, same.examples) == ("always-together", ("sea + boat: 2 images",))
    assert most.message == "4 pairs of classes occur together in images of train, which show 2.2 classes on average"
    assert most.examples[0] == "sea + boat: 2 images"
    assert together_findings(CLASSES, [[0], [1], []]) == []


@pytest.mark.parametrize("shown", [[[0, 1], [0, 1]], [[2], [2], [2]]])
def test_where_every_image_shows_the_same_there_is_nothing_to_learn(shown: list[list[int]]) -> None:
    (finding,) = together_findings(CLASSES, shown)
    assert (finding.kind, finding.severity) == ("nothing-to-learn", "stop")
    assert finding.examples == tuple(CLASSES[index] for index in shown[0])
    assert not [finding for finding in together_findings(CLASSES, [*shown, []]) if finding.severity == "stop"]


@pytest.mark.parametrize("task", ["classification", "multilabel_classification"])
def test_the_check_tells_it_of_labels_that_may_be_several(task: str) -> None:
    random = np.random.default_rng(0)
    samples = []
    for number, ids in enumerate([[0, 1], [0, 2], [1], []]):
        target = LabelSet.of_ids(CLASSES, ids) if task != "classification" else Label(CLASSES, number)
        image = ArrayImage(random.integers(0, 255, (40, 40, 3), dtype=np.uint8))
        samples.append(Sample(f"{number}.png", image, {task: target}))
    dataset = Dataset("made", "made", None, {task: CLASSES}, {"train": samples})
    kinds = {finding.kind: finding for finding in check(dataset)}
    assert ("co-occurrence" in kinds) == (task != "classification")
    assert ("no-class" in kinds) == (task != "classification")
    assert "no-objects" not in kinds
