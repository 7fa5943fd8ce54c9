"""The head for a class and a box: its vector, its codec both ways, both losses and kinds of boxes, learning."""

import numpy as np
import pytest
import torch
from torch import Tensor

from visus.errors import RecipeError
from visus.models.building import build
from visus.models.catalog import find
from visus.models.localization.localizer import LocalizerCodec, LocalizerOutput, localizer
from visus.structures import Detections

NAMES = tuple("abcdef")
SIZE = (60, 80)


def truth(*objects: tuple, ignored: list[bool] | None = None) -> Detections:
    return Detections(
        NAMES,
        np.asarray([entry[0] for entry in objects], np.float32).reshape(-1, 4),
        np.asarray([entry[1] for entry in objects], np.int64),
        SIZE,
        ignored=None if ignored is None else np.asarray(ignored),
    )


def perfect(codec: LocalizerCodec, targets: list[Detections]) -> LocalizerOutput:
    """The raw outputs that answer these targets without a doubt."""
    encoded = codec.encode(targets, torch.device("cpu"))
    sure = 1.0 if codec.loss == "squared" else 20.0
    low = 0.0 if codec.loss == "squared" else -20.0
    presence = torch.where(encoded.presence > 0, sure, low)
    classes = torch.full((len(targets), codec.classes), low)
    classes[torch.arange(len(targets)), encoded.labels] = sure
    boxes = encoded.boxes[:, None].expand(-1, 1 if codec.boxes == "shared" else codec.classes, -1).flatten(1)
    return LocalizerOutput(torch.cat([presence[:, None], boxes, classes], 1), SIZE)


@pytest.mark.parametrize("loss", ["logistic", "squared"])
@pytest.mark.parametrize("boxes", ["shared", "per_class"])
def test_what_is_encoded_is_decoded(loss, boxes) -> None:
    codec = LocalizerCodec(len(NAMES), loss=loss, boxes=boxes)
    rng = np.random.default_rng(0)
    targets = []
    for _ in range(30):
        low = rng.uniform(0, [60, 40])
        targets.append(truth(((*low, *(low + rng.uniform(2, 20, 2))), int(rng.integers(6)))))
    outputs = perfect(codec, [*targets, truth()])
    *found, nothing = codec.decode(outputs)
    for answer, target in zip(found, targets, strict=True):
        assert len(answer) == 5
        assert answer.labels[0] == target.labels[0]
        assert answer.scores[0] == pytest.approx(1, abs=1e-4)
        np.testing.assert_allclose(answer.boxes[0], target.boxes[0], atol=1e-3)
    assert nothing.scores.max() < 1e-4
    terms = codec.terms(outputs, codec.encode([*targets, truth()], torch.device("cpu")))
    assert sum(terms.values()) == pytest.approx(0, abs=1e-5)


def test_the_order_of_the_vector() -> None:
    codec = LocalizerCodec(3, loss="squared", boxes="shared")
    # p_c, b_x, b_y, b_h, b_w, c_1, c_2, c_3
    (found,) = codec.decode(LocalizerOutput(torch.tensor([[1.0, 0.5, 0.7, 0.3, 0.4, 0.0, 0.9, 0.1]]), (100, 200)))
    assert found.labels.tolist()[:2] == [1, 2]
    np.testing.assert_allclose(found.boxes[0], [60, 55, 140, 85], atol=1e-4)
    assert found.scores[0] == pytest.approx(0.9)


def test_each_class_has_its_own_box() -> None:
    codec = LocalizerCodec(2, loss="squared", boxes="per_class")
    vector = torch.tensor([[1.0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 0.5, 0.5, 0.2, 0.8]])
    (found,) = codec.decode(LocalizerOutput(vector, (10, 10)))
    assert found.labels.tolist() == [1, 0]
    np.testing.assert_allclose(found.boxes, [[5, 5, 10, 10], [0, 0, 5, 5]], atol=1e-5)
    leaf = vector.clone().requires_grad_()
    encoded = codec.encode(
        [Detections(("a", "b"), np.asarray([[0, 0, 4, 4]], np.float32), np.asarray([0]), (10, 10))], torch.device("cpu")
    )
    sum(codec.terms(LocalizerOutput(leaf, (10, 10)), encoded).values()).backward()
    assert leaf.grad[0, 1:5].any()
    assert not leaf.grad[0, 5:9].any()


def test_the_largest_object_that_counts() -> None:
    codec = LocalizerCodec(6, loss="logistic", boxes="shared")
    small, large = (0, 0, 10, 10), (0, 0, 40, 40)
    encoded = codec.encode(
        [
            truth((small, 1), (large, 2)),
            truth((small, 1), (large, 2), ignored=[False, True]),
            truth((large, 2), ignored=[True]),
            truth(),
            truth(((5, 5, 5, 9), 3)),
        ],
        torch.device("cpu"),
    )
    assert encoded.labels.tolist()[:2] == [2, 1]
    assert encoded.presence.tolist() == [1, 1, 0, 0, 0]
    assert encoded.weights.tolist() == [1, 1, 0, 1, 1]


@pytest.mark.parametrize(("boxes", "values"), [("shared", 1 + 4 + 3), ("per_class", 1 + 12 + 3)])
def test_the_vectors_length_on_another_backbone(boxes: str, values: int) -> None:
    network = build(find("localizer+mobilenet_v2"), classes=3, options={"boxes": boxes}).eval()
    with torch.no_grad():
        assert network(torch.zeros(2, 3, 64, 96)).vector.shape == (2, values)
    with pytest.raises(RecipeError, match="loss"):
        build(find("localizer+mobilenet_v2"), options={"loss": "hinge"})


def images_and_targets() -> tuple[Tensor, list[Detections]]:
    random = np.random.default_rng(3)
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 0.2
    targets = []
    for n in range(3):
        x, y, side = (int(v) for v in (random.integers(0, 30), random.integers(0, 30), random.integers(20, 32)))
        images[n, n % 2, y : y + side, x : x + side] += 2
        targets.append(
            Detections(
                ("red", "green"), np.asarray([[x, y, x + side, y + side]], np.float32), np.asarray([n % 2]), (64, 64)
            )
        )
    return images, [*targets, Detections.empty(("red", "green"), (64, 64))]


@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_it_learns_four_images_by_heart(loss) -> None:
    """Within 60 steps of Adam."""
    from visus.metrics.localization import LocalizationMetric

    torch.manual_seed(0)
    network = localizer(classes=2, loss=loss, width=64).train()
    images, targets = images_and_targets()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    encoded = network.codec.encode(targets, torch.device("cpu"))
    for _ in range(15):
        for _ in range(4):
            optimizer.zero_grad()
            sum(network.codec.terms(network(images), encoded).values()).backward()
            optimizer.step()
        metric = LocalizationMetric(("red", "green"))
        with torch.no_grad():
            metric.update(network.codec.decode(network(images)), targets)
        scores = metric.compute()
        if scores["localization_accuracy"] == scores["empty_accuracy"] == 1:
            break
    assert scores["localization_accuracy"] == 1
    assert scores["empty_accuracy"] == 1
