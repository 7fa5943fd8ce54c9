"""The head for points: shapes, the codec both ways, its losses by hand, learning."""

import numpy as np
import pytest
import torch

from visus.models.building import build
from visus.models.catalog import find
from visus.models.landmarks.regressor import LandmarkCodec, LandmarkOutput, landmarks
from visus.structures import Landmarks

NAMES = ("a", "b")
CPU = torch.device("cpu")


def points(*places: tuple, visible: tuple = (True, True), size: tuple[int, int] = (50, 100)) -> Landmarks:
    return Landmarks(NAMES, np.asarray(places, np.float32), np.asarray(visible), size)


def test_what_is_encoded_is_decoded() -> None:
    codec = LandmarkCodec()
    rng = np.random.default_rng(0)
    targets = [points(*rng.uniform(0, 50, (2, 2)), visible=tuple(rng.random(2) < 0.5)) for _ in range(20)]
    encoded = codec.encode(targets, CPU)
    outputs = LandmarkOutput(encoded.points, 40 * encoded.visible - 20, (50, 100))
    for found, target in zip(codec.decode(outputs), targets, strict=True):
        np.testing.assert_allclose(found.points, target.points, atol=1e-4)
        assert (found.visible == target.visible).all()
    terms = codec.terms(outputs, encoded)
    assert sum(terms.values()) == pytest.approx(0, abs=1e-6)


def test_losses_by_hand() -> None:
    codec = LandmarkCodec()
    encoded = codec.encode([points((50, 25), (0, 0), visible=(True, False))], CPU)
    said = torch.tensor([[[0.55, 0.8], [0.9, 0.9]]], requires_grad=True)
    terms = codec.terms(LandmarkOutput(said, torch.zeros(1, 2), (50, 100)), encoded)
    # half a tenth: 0.5 * 0.25; three tenths: 3 - 0.5
    assert terms["points"].item() == pytest.approx(0.125 + 2.5)
    assert terms["visible"].item() == pytest.approx(np.log(2))
    terms["points"].backward()
    assert said.grad[0, 0].all()
    assert not said.grad[0, 1].any()  # what is not visible teaches no place
    nothing = codec.encode([points((0, 0), (0, 0), visible=(False, False))], CPU)
    assert codec.terms(LandmarkOutput(said, torch.zeros(1, 2), (50, 100)), nothing)["points"] == 0


def test_two_numbers_a_point_on_another_backbone() -> None:
    # A. Ng's course: 64 landmarks are 128 coordinates
    network = build(find("landmarks+mobilenet_v2"), classes=64).eval()
    with torch.no_grad():
        outputs = network(torch.zeros(2, 3, 64, 96))
    assert outputs.points.flatten(1).shape == (2, 128)
    assert outputs.visible.shape == (2, 64)
    assert outputs.size == (64, 96)


def test_it_learns_four_images_by_heart() -> None:
    """Within 80 steps of Adam."""
    torch.manual_seed(0)
    network = landmarks(classes=2, width=64).train()
    rng = np.random.default_rng(1)
    images, targets = torch.rand(4, 3, 64, 64) * 0.2, []
    for n in range(4):
        places = rng.integers(8, 56, (2, 2))
        for channel, (x, y) in enumerate(places):
            images[n, channel, y - 4 : y + 4, x - 4 : x + 4] += 2
        targets.append(points(*places, size=(64, 64), visible=(True, n % 2 == 0)))
    encoded = network.codec.encode(targets, CPU)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(20):
        for _ in range(4):
            optimizer.zero_grad()
            sum(network.codec.terms(network(images), encoded).values()).backward()
            optimizer.step()
        with torch.no_grad():
            answers = network.codec.decode(network(images))
        wrong = [number for number, pair in enumerate(zip(answers, targets, strict=True)) if not agree(*pair)]
        if not wrong:
            break
    assert wrong == []


def agree(found: Landmarks, target: Landmarks) -> bool:
    """Whether the same points are seen, each less than 4 pixels from its place."""
    if not (found.visible == target.visible).all():
        return False
    return bool(np.linalg.norm(found.points - target.points, axis=1)[target.visible].max() < 4)
