"""Touching objects stay apart in maps, and come back as the objects that they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visus.data.object_separation import REGROWTH, SEPARATIONS, separate_objects
from visus.data.reading.opening import open_data
from visus.errors import UsageError
from visus.losses.border_weights import border_weights
from visus.metrics.objects import ObjectMetric

TWO = np.asarray([[1] * 4 + [2] * 4 + [0] * 2] * 4)  # two squares side by side


def test_by_hand() -> None:
    ids = (TWO > 0).astype(np.uint8)
    assert separate_objects(ids, TWO, "merge")[0].tolist() == [1] * 8 + [0] * 2
    assert separate_objects(ids, TWO, "gap")[0].tolist() == [1, 1, 1, 0, 0, 1, 1, 1, 0, 0]
    assert separate_objects(ids, TWO, "border", border=2)[0].tolist() == [1, 1, 1, 2, 2, 1, 1, 1, 0, 0]
    outline = separate_objects(ids, TWO, "outline", border=2)
    assert outline[0].tolist() == [1, 1, 1, 2, 2, 1, 1, 2, 0, 0]
    # A gap of one pixel that was there becomes border; the rim of the image does not.
    apart = np.asarray([[1, 1, 0, 2, 2, 0]] * 3)
    assert separate_objects((apart > 0).astype(np.uint8), apart, "border", border=2)[0].tolist() == [1, 1, 2, 1, 1, 0]
    # An object that would lose all of its pixels keeps them.
    tiny = np.asarray([[1, 1, 1, 2]])
    assert separate_objects((tiny > 0).astype(np.uint8), tiny, "gap")[0].tolist() == [1, 1, 0, 1]


@given(st.integers(0, 2**31), st.sampled_from(["gap", "border", "outline"]))
def test_no_two_objects_hang_together_any_more(seed: int, how: str) -> None:
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, 40, (rng.integers(2, 9), 2))
    grid = np.stack(np.mgrid[:40, :40], -1)[:, :, None]
    numbers = np.square(grid - centres).sum(-1).argmin(-1) + 1  # cells that fill the image
    numbers[ndimage.gaussian_filter(rng.standard_normal((40, 40)), 3) > 0.06] = 0
    parted = separate_objects((numbers > 0).astype(np.uint8), numbers, how, border=2)
    pieces, count = ndimage.label(parted == 1, np.ones((3, 3)))
    large = [n for n in range(1, len(centres) + 1) if ndimage.binary_erosion(numbers == n, np.ones((3, 3))).any()]
    tiny = np.isin(numbers, [n for n in np.unique(numbers) if n not in large])
    for piece in range(1, count + 1):
        owners = np.unique(numbers[(pieces == piece) & ~tiny])
        assert len(owners) <= 1
    assert ((parted == 1) <= (numbers > 0)).all()


def test_border_weights_see_two_objects() -> None:
    numbers = np.pad(TWO, 6)
    ids = (numbers > 0).astype(np.uint8)
    assert not border_weights(ids).any()  # one piece
    gap = border_weights(separate_objects(ids, numbers, "gap"))
    border = border_weights(separate_objects(ids, numbers, "border", border=2), border=2)
    assert gap[7, 9] == pytest.approx(10 * np.exp(-(3**2) / 50))  # distances 1 and 2
    np.testing.assert_allclose(gap, border)


@pytest.mark.parametrize("how", [None, *SEPARATIONS])
def test_instance_maps_are_opened_in_every_way(
    how: str | None, make_nuclei: Callable[[Path], Path], tmp_path: Path
) -> None:
    dataset = open_data(
        make_nuclei(tmp_path / "nuclei"), task="segmentation", task_options={"touching": how} if how else {}
    )
    assert dataset.task_options == {"touching": how or "gap"}
    names = ("background", "object")
    assert dataset.classes["segmentation"] == ((*names, "border") if how in ("border", "outline") else names)
    for sample in dataset.split("train"):
        map_, truth = sample.target("segmentation"), sample.target("detection")
        assert map_.classes == dataset.classes["segmentation"]
        found = len(map_.objects())
        assert found == (len(truth) // 2 if how == "merge" else len(truth))


def test_choices_that_mean_nothing_are_refused(
    masks: Path, make_nuclei: Callable[[Path], Path], tmp_path: Path
) -> None:
    nuclei = make_nuclei(tmp_path / "nuclei")
    with pytest.raises(UsageError, match=r"gap or border or outline or merge"):
        open_data(nuclei, task="segmentation", task_options={"touching": "apart"})
    with pytest.raises(UsageError, match="do not tell objects apart"):
        open_data(masks, task_options={"touching": "gap"})
    with pytest.raises(UsageError, match="task segmentation"):
        open_data(nuclei, task_options={"touching": "gap"})  # its first task is detection
    assert open_data(masks).task_options == open_data(nuclei).task_options == {}
    with pytest.raises(UsageError, match="no option colour"):
        open_data(nuclei, task="segmentation", task_options={"colour": "red"})
    assert open_data(nuclei, task="segmentation", task_options={"touching": ""}).classes["segmentation"] == (
        "background",
        "object",
    )


@pytest.mark.parametrize(
    ("how", "precision", "off"),
    [("merge", 0.70, 10.0), ("gap", 0.95, 0.2), ("border", 0.96, 0.2), ("outline", 0.97, 0.3)],
)
def test_real_nuclei_come_back(how: str, precision: float, off: float, unpacked: Callable[[str], Path]) -> None:
    """Truth -> map -> objects. On all 160 images: 0.755, 0.960, 0.971 and 0.977, off by 6.2, 0.14, 0.14 and 0.20."""
    dataset = open_data(unpacked("nuclei/nuclei_160.tar"), task="segmentation", task_options={"touching": how})
    metric = ObjectMetric(("object",))
    for sample in dataset.split("train"):
        found = sample.target("segmentation").objects(grow=0 if how == "merge" else REGROWTH)
        metric.update([found], [sample.target("detection")])
    scores = metric.compute()
    assert scores["mean_precision"] > precision
    assert scores["count_error"] < off
    assert (scores["mean_precision"] < 0.8) == (how == "merge")  # merged, a fifth of the objects is lost
