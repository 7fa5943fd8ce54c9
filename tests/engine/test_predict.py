"""Answers in order, in file pixels, whatever is wrong with some of the images; and scores of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from visus.data.augmentation.preparing import Preparer
from visus.data.pixels.images import ArrayImage, BytesImage
from visus.engine.device_batches import to_device
from visus.engine.evaluate import evaluate
from visus.engine.predict import predict
from visus.errors import DataError
from visus.structures import Label, Preprocessing, Sample, SegmentationMap
from visus.tasks.classification import Classification
from visus.tasks.segmentation import Segmentation

CLASSES = ("dark", "bright")
WHOLE = Preprocessing(size=None, fit="none", scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


class Brightness(nn.Module):
    """Says "bright" from a mean value of 128 on; dropout and BatchNorm show whether it is in eval mode."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.dropout = nn.Dropout(0.9)
        self.sizes = []

    def forward(self, images):
        self.sizes.append(tuple(images.shape))
        value = self.dropout(images.mean((1, 2, 3)) - 127.5) * self.scale
        return torch.stack([-value, value], 1)


class PixelBrightness(Brightness):
    def forward(self, images):
        value = self.dropout(images.mean(1) - 127.5) * self.scale
        return torch.stack([-value, value], 1)


def grey(value, size=(8, 8)):
    return ArrayImage(np.full(size, value, np.uint8))


def answers(samples, network=None, **options):
    network = network or Brightness()
    prepare = Preparer("classification", WHOLE, None, 0)
    move = to_device(WHOLE, torch.device("cpu"))
    return list(predict(network, Classification(CLASSES), samples, prepare, to_device=move, **options))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_order_and_values(batch_size, threads):
    values = [0, 255, 10, 200, 30, 220, 50, 240, 129, 126]
    got = answers([Sample(str(v), grey(v)) for v in values], batch_size=batch_size, threads=threads)
    assert [answer.id for answer in got] == [str(v) for v in values]
    assert [answer.value.index for answer in got] == [int(v > 127) for v in values]


def test_images_of_many_sizes_are_answered_together_where_they_can():
    network = Brightness()
    sizes = [(8, 8), (4, 6), (8, 8), (4, 6), (9, 9)]
    got = answers([Sample(str(i), grey(i * 60, size)) for i, size in enumerate(sizes)], network, batch_size=5)
    assert [answer.id for answer in got] == ["0", "1", "2", "3", "4"]
    assert [answer.value.index for answer in got] == [0, 0, 0, 1, 1]
    assert sorted(network.sizes) == [(1, 3, 9, 9), (2, 3, 4, 6), (2, 3, 8, 8)]


def test_a_bad_image_becomes_an_error_in_its_place():
    samples = [Sample("a", grey(255)), Sample("b", BytesImage(b"not an image", "b")), Sample("c", grey(0))]
    got = answers(samples, batch_size=2)
    assert [answer.id for answer in got] == ["a", "b", "c"]
    assert got[1].value is None
    assert isinstance(got[1].error, DataError)
    assert (got[0].value.index, got[2].value.index) == (1, 0)


def test_only_bad_images_and_none_at_all():
    assert [a.error is None for a in answers([Sample("b", BytesImage(b"", "b"))] * 3)] == [False] * 3
    assert answers([]) == []


def test_it_is_lazy_and_leaves_gradients_alone():
    loaded = []

    def prepare(sample, index, epoch):
        loaded.append(index)
        return Preparer("classification", WHOLE, None, 0)(sample, index, epoch)

    samples = [Sample(str(i), grey(i)) for i in range(50)]
    move = to_device(WHOLE, torch.device("cpu"))
    stream = predict(Brightness(), Classification(CLASSES), samples, prepare, to_device=move, batch_size=4)
    next(stream)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    assert len(loaded) <= 12
    stream.close()


def test_an_answer_comes_home_to_the_size_of_its_file():
    half = np.zeros((20, 30), np.uint8)
    half[:, 15:] = 255
    small = Preprocessing(size=(10, 10), fit="stretch", scale=1.0, mean=(0.0,) * 3, std=(1.0,) * 3)
    prepare = Preparer("segmentation", small, None, 0)
    move = to_device(small, torch.device("cpu"))
    task = Segmentation(CLASSES)
    (answer,) = predict(PixelBrightness(), task, [Sample("half", ArrayImage(half))], prepare, to_device=move)
    assert isinstance(answer.value, SegmentationMap)
    assert answer.value.size == (20, 30)
    assert (answer.value.map[:, :14] == 0).all()
    assert (answer.value.map[:, 16:] == 1).all()


def test_scores_against_a_count_by_hand():
    """6 images, 4 of them called rightly."""
    truth = [0, 0, 0, 1, 1, 1]
    values = [10, 20, 200, 250, 220, 3]
    samples = [
        Sample(str(i), grey(v), {"classification": Label(CLASSES, t)})
        for i, (v, t) in enumerate(zip(values, truth, strict=True))
    ]
    prepare = Preparer("classification", WHOLE, None, 0)
    move = to_device(WHOLE, torch.device("cpu"))
    found = evaluate(Brightness(), Classification(CLASSES), samples, prepare, to_device=move, batch_size=4, keep=True)
    assert found.scores["accuracy"] == pytest.approx(4 / 6)
    assert [value.index for value in found.predictions] == [0, 0, 1, 1, 1, 0]
    assert [value.index for value in found.targets] == truth
    assert found.images == 6


def test_an_evaluation_needs_every_image():
    samples = [Sample("b", BytesImage(b"no", "b"), {"classification": Label(CLASSES, 0)})]
    prepare = Preparer("classification", WHOLE, None, 0)
    with pytest.raises(DataError):
        evaluate(
            Brightness(), Classification(CLASSES), samples, prepare, to_device=to_device(WHOLE, torch.device("cpu"))
        )
