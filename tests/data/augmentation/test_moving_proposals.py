"""Region proposals move with the target under every augmentation, and reach the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from visus.data.augmentation.mosaic import Mosaic
from visus.data.augmentation.prepared import Prepared
from visus.data.augmentation.preparing import Preparer
from visus.data.augmentation.settings import Augmentation
from visus.data.pixels.images import ArrayImage
from visus.errors import DataError
from visus.structures import Detections, Preprocessing, Proposals, ProposalSettings, Sample
from visus.tasks.codec_task import batch_of

FILE = (60, 80)
INPUT = Preprocessing(size=(48, 48), fit="stretch", proposals=ProposalSettings(count=50))

AUGMENTATIONS = {
    "none": Augmentation(),
    "mirror": Augmentation(mirror=1.0),
    "flip": Augmentation(flip=1.0),
    "quarter turns": Augmentation(quarter_turns=True),
    "random crop": Augmentation(random_crop=True, pad=8, scale_range=(0.6, 1.4)),
    "rotation": Augmentation(rotation=30, shift=0.2, zoom=0.3, shear=10),
    "mirrored border": Augmentation(rotation=20, border="mirror"),
    "elastic": Augmentation(elastic=3.0),
    "zoom out": Augmentation(zoom_out=1.0),
    "iou crop": Augmentation(iou_crop=True, mirror=0.5),
    "sides": Augmentation(sides=(32, 64)),
    "colours": Augmentation(brightness=0.3, hue=0.1),
    "ssd": Augmentation(released="ssd", zoom_out=0.5, iou_crop=True, mirror=0.5),
    "darknet 2016": Augmentation(released="darknet", jitter=0.3, mirror=0.5),
    "darknet 2017": Augmentation(released="darknet", jitter=0.3, jitter_scale=(0.25, 2.0)),
}


def sample(seed: int = 0) -> Sample:
    """Objects anywhere in an image, and the same boxes as proposals, behind one of the whole image."""
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 0.8, (12, 2)) * FILE[::-1]
    boxes = np.concatenate([corners, np.minimum(corners + random.uniform(4, 30, (12, 2)), FILE[::-1])], axis=1)
    boxes = boxes.astype(np.float32)
    whole = np.asarray([[0, 0, FILE[1], FILE[0]]], np.float32)
    pixels = random.integers(0, 255, (*FILE, 3), dtype=np.uint8)
    target = Detections(("thing",), boxes, np.zeros(len(boxes), np.int64), FILE)
    proposals = Proposals(np.concatenate([whole, boxes]), FILE, np.linspace(1, 0, 13, dtype=np.float32))
    return Sample(f"{seed}", ArrayImage(pixels), {"detection": target}, proposals)


def prepared(augmentation: Augmentation | None, epoch: int, preprocessing: Preprocessing = INPUT) -> Prepared:
    return Preparer("detection", preprocessing, augmentation, 0)(sample(), 0, epoch)


def moved_alike(item: Prepared) -> int:
    """Checks that each box of the target is one of the proposals, and returns their number."""
    assert isinstance(item.target, Detections)
    assert item.proposals is not None
    assert item.proposals.size == item.target.size == tuple(item.image.shape[1:])
    height, width = item.target.size
    boxes = item.proposals.boxes
    assert ((boxes[:, :2] >= 0) & (boxes[:, :2] < boxes[:, 2:]) & (boxes[:, 2:] <= (width, height))).all()
    ours = {tuple(box) for box in boxes.tolist()}
    assert all(tuple(box) in ours for box in item.target.boxes.tolist())
    return len(item.target)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_proposal_that_is_a_targets_box_stays_that_of_the_target(name: str) -> None:
    counts = [moved_alike(prepared(AUGMENTATIONS[name], epoch)) for epoch in range(4)]
    assert max(counts) > 0


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox", "shorter_side", "none"])
def test_every_way_to_fit_an_image_takes_them_along(fit) -> None:
    size = None if fit == "none" else (40, 56)
    way = Preprocessing(size=size, fit=fit, proposals=ProposalSettings())
    item = prepared(None, 0, way)
    assert moved_alike(item) > 0
    assert item.proposals is not None
    home = item.proposals.undo(item.placement)
    assert home.size == FILE
    if fit in ("stretch", "shorter_side", "none"):
        given = sample().proposals
        assert isinstance(given, Proposals)
        np.testing.assert_allclose(home.boxes, given.boxes, atol=1e-3)
        np.testing.assert_array_equal(home.scores, given.scores)


def test_the_regions_of_a_mosaic_are_those_of_its_four_images() -> None:
    augmentation = Augmentation(mosaic=1.0, mirror=0.5)
    samples = [sample(seed) for seed in range(5)]
    mosaic = Mosaic(Preparer("detection", INPUT, augmentation, 0), samples, 1.0, 0)
    counts = []
    for epoch in range(4):
        item = mosaic(samples[0], 0, epoch)
        counts.append(moved_alike(item))
        assert item.proposals is not None
        whole = item.proposals.boxes[:4]  # the best of each of the four: its whole picture
        areas = (whole[:, 2:] - whole[:, :2]).prod(axis=1)
        assert areas.sum() == 48 * 48
    assert max(counts) > 0


def test_only_the_best_are_taken_and_only_where_the_network_is_given_any() -> None:
    few = Preprocessing(size=(48, 48), fit="stretch", proposals=ProposalSettings(count=3))
    item = prepared(None, 0, few)
    assert item.proposals is not None
    assert len(item.proposals) == 3
    np.testing.assert_allclose(item.proposals.boxes[0], [0, 0, 48, 48])
    assert prepared(None, 0, Preprocessing(size=(48, 48), fit="stretch")).proposals is None


class Kept:
    """A source that counts how often it is read."""

    def __init__(self, proposals: Proposals) -> None:
        self.proposals, self.loads = proposals, 0

    def load(self) -> Proposals:
        self.loads += 1
        return self.proposals


def test_a_source_is_read_when_it_is_needed() -> None:
    whole = sample()
    assert isinstance(whole.proposals, Proposals)
    source = Kept(whole.proposals)
    item = Sample(whole.id, whole.image, whole.targets, source)
    assert source.loads == 0
    assert moved_alike(Preparer("detection", INPUT, None, 0)(item, 0, 0)) > 0
    assert source.loads == 1


def test_proposals_of_an_image_of_another_size_are_refused() -> None:
    item = Sample("a.png", sample().image, {}, Proposals.empty((61, 80)))
    with pytest.raises(DataError, match=r"a\.png are of an image of another size"):
        Preparer("detection", INPUT, None, 0)(item, 0, 0)


def test_a_batch_has_those_of_each_image() -> None:
    prepare = Preparer("detection", INPUT, None, 0)
    items = [prepare(sample(seed), seed, 0) for seed in range(3)]
    batch = batch_of(items, [item.target for item in items])
    assert batch.proposals == [item.proposals for item in items]
    assert batch.to(torch.device("cpu")).proposals == batch.proposals
    assert batch.first(2).proposals == batch.proposals[:2]
    plain = Preparer("detection", Preprocessing(size=(48, 48), fit="stretch"), None, 0)
    without = batch_of([plain(sample(), 0, 0)], None)
    assert without.proposals is None
    assert without.first(1).proposals is None
