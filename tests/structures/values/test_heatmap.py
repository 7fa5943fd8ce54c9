"""Heat maps: their checks, their colours, their way home."""

from __future__ import annotations

import json

import numpy as np
import pytest

from visus.data.pixels.images import ArrayImage
from visus.errors import ShapeError
from visus.structures import Heatmap, Placement
from visus.structures.drawing.heat import colour_scale


def peak_at(row: int, column: int, size: tuple[int, int] = (20, 30)) -> np.ndarray:
    values = np.zeros(size, np.float32)
    values[row, column] = 1
    return values


def oklab_lightness(colours: np.ndarray) -> np.ndarray:
    """The published forward transform, independent of the inverse in the source."""
    share = colours / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    cone = np.cbrt(
        linear
        @ np.asarray(
            [
                [0.4122214708, 0.5363325363, 0.0514459929],
                [0.2119034982, 0.6806995451, 0.1073969566],
                [0.0883024619, 0.2817188376, 0.6299787005],
            ]
        ).T
    )
    return cone @ np.asarray([0.2104542553, 0.7936177850, -0.0040720468])


class TestScale:
    def test_lightness_rises_evenly(self):
        lightness = oklab_lightness(colour_scale())
        steps = np.diff(lightness[::16])
        assert (np.diff(lightness) > -0.004).all()
        assert steps.min() > 0.5 * steps.mean()
        assert steps.max() < 1.5 * steps.mean()

    def test_it_begins_dark_and_ends_light(self):
        scale = colour_scale()
        assert scale.shape == (256, 3)
        assert scale[0].max() < 90
        assert scale[-1].min() > 120


class TestValues:
    @pytest.mark.parametrize(
        "values",
        [
            np.zeros((3, 4, 4), np.float32),
            np.zeros((4, 4), np.float64),
            np.zeros((0, 4), np.float32),
            np.full((4, 4), 1.01, np.float32),
            np.full((4, 4), -0.01, np.float32),
            np.full((4, 4), np.nan, np.float32),
        ],
    )
    def test_what_is_no_share_a_pixel_is_refused(self, values: np.ndarray):
        with pytest.raises(ShapeError) as caught:
            Heatmap(values)
        assert caught.value.expected
        assert caught.value.got

    def test_an_image_of_another_size_is_refused(self):
        with pytest.raises(ShapeError):
            Heatmap(peak_at(1, 1), ArrayImage(np.zeros((5, 5, 3), np.uint8))).draw()

    def test_to_dict_says_where_it_is_hottest_and_is_json(self):
        said = Heatmap(peak_at(4, 7), label="cat").to_dict()
        assert json.loads(json.dumps(said)) == {"label": "cat", "size": [20, 30], "peak": [7, 4], "hot": 1 / 600}

    def test_a_map_of_nothing_has_no_peak(self):
        assert Heatmap(np.zeros((4, 4), np.float32)).to_dict()["peak"] is None

    def test_undo_brings_the_peak_home(self):
        values = np.zeros((40, 60), np.float32)
        values[20:24, 30:34] = 1
        home = Heatmap(values, label="a").undo(Placement((20, 30), (40, 60), (2, 2)))
        assert home.size == (20, 30)
        assert home.label == "a"
        assert (home.values[10:12, 15:17] == 1).all()
        assert home.values.sum() == pytest.approx(4, abs=0.1)


class TestDraw:
    def test_hot_is_light_and_cold_is_dark_on_an_even_ground(self):
        values = np.zeros((300, 300), np.float32)
        values[100:200, 100:200] = 1
        picture = np.asarray(Heatmap(values, ArrayImage(np.full((300, 300), 128, np.uint8)), "cat").draw()).astype(int)
        assert picture[150, 150].sum() > picture[20, 20].sum() + 150

    def test_it_stands_on_an_image_given_later(self):
        picture = Heatmap(peak_at(0, 0)).draw(np.zeros((3, 20, 30), np.uint8))
        assert picture.width >= 256

    def test_no_image_is_said(self):
        with pytest.raises(ShapeError, match="heat map"):
            Heatmap(peak_at(0, 0)).draw()
