"""Maps of pixels against plain double-precision loops; pieces, inputs of one size, mirrored borders."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visus.answers import maps
from visus.answers.maps import SigmoidMapReader, SoftmaxMapReader, layout
from visus.answers.tiles import ANY, FixedInput, InputRule
from visus.errors import ShapeError

Run = Callable[[np.ndarray], dict[str, np.ndarray]]


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 2, shape).astype(np.float32)


def pixelwise(images: np.ndarray) -> dict[str, np.ndarray]:
    """A network that looks at one pixel only."""
    return {"logits": np.concatenate([images, -images, images**2 - 1], 1)}


def blurring(reach: int, *, lost: bool) -> Run:
    """A network that sees ``reach`` pixels to each side; at its border it sees zeros, or answers for fewer pixels."""

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        pad = 0 if lost else reach
        padded = np.pad(images, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
        windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1, 2 * reach + 1), (2, 3))
        mean = windows.mean((-2, -1), dtype=np.float32)
        return {"logits": np.concatenate([mean, -mean], 1)}

    return run


def test_softmax_of_each_pixel() -> None:
    logits = random(2, 5, 6, 7)
    for n, found in enumerate(SoftmaxMapReader(5).read({"logits": logits}, (6, 7))):
        assert found.map.dtype == np.uint8
        assert found.classes == ("0", "1", "2", "3", "4")
        for y in range(6):
            for x in range(7):
                powers = [math.exp(float(v)) for v in logits[n, :, y, x]]
                best = max(range(5), key=lambda k: powers[k])
                assert found.map[y, x] == best
                assert found.scores[y, x] == pytest.approx(powers[best] / math.fsum(powers), rel=1e-5)


def test_many_blocks_are_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = {"logits": random(2, 4, 50, 30)}
    (whole, _), reader = SoftmaxMapReader(4).read(logits, (50, 30)), SoftmaxMapReader(4)
    monkeypatch.setattr(maps, "BLOCK", 4 * 30 * 7)
    (rows, _) = reader.read(logits, (50, 30))
    np.testing.assert_array_equal(rows.map, whole.map)
    np.testing.assert_array_equal(rows.scores, whole.scores)


def test_of_equal_logits_the_first_counts() -> None:
    logits = np.zeros((1, 4, 2, 3), np.float32)
    logits[0, [1, 3], 0] = 2
    (found,) = SoftmaxMapReader(4).read({"logits": logits}, (2, 3))
    assert found.map.tolist() == [[1, 1, 1], [0, 0, 0]]
    one = SoftmaxMapReader(1).read({"logits": logits[:, :1]}, (2, 3))[0]
    assert one.scores.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_sigmoid_of_each_pixel() -> None:
    logits = random(2, 3, 4, 5)
    logits[0, 0, 0, 0] = 0
    for n, found in enumerate(SigmoidMapReader(3).read({"logits": logits}, (4, 5))):
        exact = 1 / (1 + np.exp(-logits[n].astype(np.float64)))
        np.testing.assert_allclose(found.scores, exact, rtol=1e-5)
        np.testing.assert_array_equal(found.masks, logits[n] >= 0)


def test_an_output_that_lost_its_border_is_the_map_of_the_centre() -> None:
    reader = SoftmaxMapReader(2, InputRule(4, 4, 2))
    assert reader.read({"logits": random(1, 2, 6, 10)}, (8, 12))[0].size == (6, 10)
    larger = random(1, 2, 9, 11)
    (found,) = reader.read({"logits": larger}, (8, 12))
    (first,) = SoftmaxMapReader(2).read({"logits": larger[:, :, :6, :10]}, (6, 10))
    np.testing.assert_array_equal(found.map, first.map)


@pytest.mark.parametrize("kind", [SoftmaxMapReader, SigmoidMapReader])
@pytest.mark.parametrize("lost", [True, False])
def test_pieces_give_what_the_whole_image_gives(
    monkeypatch: pytest.MonkeyPatch, kind: type[SoftmaxMapReader], lost: bool
) -> None:
    reach = 3
    run = blurring(reach, lost=lost)
    reader = kind(2, InputRule(2 * reach + 1, 1, 2 * reach) if lost else ANY)
    images = random(2, 1, 230, 170)
    whole = reader.answers(run, images)
    for name, value in (("TILE", 96), ("STEP", 16), ("CONTEXT", 8), ("BLEND", 8)):
        monkeypatch.setattr(maps, name, value)
    for one, parts in zip(whole, reader.answers(run, images), strict=True):
        np.testing.assert_allclose(parts.scores, one.scores, atol=1e-5)
        assert parts.to_dict() == one.to_dict() or not lost


@settings(max_examples=25)
@given(st.integers(16, 90), st.integers(16, 90), st.integers(1, 200), st.integers(1, 200), st.booleans())
def test_an_input_of_one_size_answers_for_images_of_any(
    rows: int, columns: int, height: int, width: int, lost: bool
) -> None:
    images = random(1, 1, height, width)
    rule = InputRule(3, 1, 2) if lost else ANY

    def run(given: np.ndarray) -> dict[str, np.ndarray]:
        assert given.shape == (1, 1, rows, columns)
        return pixelwise(given[:, :, 1:-1, 1:-1] if lost else given)

    (found,) = SoftmaxMapReader(3, rule).answers(run, images, input_size=(rows, columns))
    (expected,) = SoftmaxMapReader(3).answers(pixelwise, images)
    np.testing.assert_array_equal(found.map, expected.map)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)


def test_pieces_of_one_size_see_their_surroundings() -> None:
    run = blurring(3, lost=False)
    images = random(1, 1, 300, 210)
    (found,) = SoftmaxMapReader(2).answers(run, images, input_size=(96, 96))
    (whole,) = SoftmaxMapReader(2).answers(run, images)
    np.testing.assert_allclose(found.scores[3:-3, 3:-3], whole.scores[3:-3, 3:-3], atol=1e-5)


def test_the_seams_of_large_images() -> None:
    plan = layout(ANY, (3000, 900))
    assert (plan.context, plan.blend) == ((128, 128), (64, 64))
    assert len(plan.parts) == 3
    assert layout(InputRule(188, 16, 184), (3000, 900)).context == (0, 0)
    assert len(layout(ANY, (1024, 1024)).parts) == 1
    fixed = layout(FixedInput((512, 1024)), (3000, 900))
    assert (fixed.context, fixed.blend) == ((64, 128), (32, 64))
    assert len(layout(FixedInput((512, 1024)), (512, 700)).parts) == 1


def test_an_input_too_small_for_pieces_is_refused() -> None:
    with pytest.raises(ShapeError, match="network's input"):
        SoftmaxMapReader(3).answers(pixelwise, random(1, 1, 40, 40), input_size=(4, 4))


def test_maps_that_are_too_small_are_refused() -> None:
    def halves(images: np.ndarray) -> dict[str, np.ndarray]:
        return pixelwise(images[:, :, ::2, ::2])

    with pytest.raises(ShapeError, match="logits for each pixel"):
        SoftmaxMapReader(3).answers(halves, random(1, 1, 40, 40))
