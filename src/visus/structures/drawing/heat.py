"""Pictures of heat maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visus.structures.drawing.canvas import canvas, check_same_shape, with_strip

# Stations of the colour scale in OKLCh (lightness, chroma, hue in degrees): from dark violet over magenta to pale
# yellow. Lightness rises in equal steps, so equal steps of value look equal, in grey too.
STATIONS = (
    (0.22, 0.09, 290.0),
    (0.36, 0.16, 310.0),
    (0.50, 0.20, 350.0),
    (0.64, 0.20, 390.0),
    (0.78, 0.17, 425.0),
    (0.92, 0.11, 463.0),
)


def draw_heat(image: NDArray[np.uint8] | None, values: NDArray[np.float32], label: str) -> Image.Image:
    """The greyed image under the map in colour, with the label and the scale.

    Args:
        image: [3,H,W] uint8; a reduced copy of the file is fine.
        values: [h,w] float32 in [0, 1].
        label: one line under the picture.

    Raises:
        ShapeError: if there is no image, or one whose shape is not that of the map.
    """
    picture = canvas(image, "a heat map")
    check_same_shape(image, (values.shape[0], values.shape[1]))
    resized = Image.fromarray(values).resize(picture.size, Image.Resampling.BICUBIC)
    shares = np.clip(np.asarray(resized), 0, 1)
    table = colour_scale()
    colours = table[(shares * 255).round().astype(np.uint8)].astype(np.float32)
    ground = np.asarray(picture.convert("L"), np.float32)[..., np.newaxis]
    cover = (0.3 + 0.4 * shares)[..., np.newaxis]
    mixed = ground * (1 - cover) + colours * cover
    return with_strip(Image.fromarray(mixed.round().astype(np.uint8)), label, table)


def colour_scale() -> NDArray[np.uint8]:
    """[256,3] RGB from low to high, of evenly rising lightness (OKLab, Ottosson 2020)."""
    stations = np.asarray(STATIONS)
    at = np.linspace(0, len(stations) - 1, 256)
    lightness, chroma, hue = (np.interp(at, np.arange(len(stations)), stations[:, i]) for i in range(3))
    a, b = chroma * np.cos(np.radians(hue)), chroma * np.sin(np.radians(hue))
    cone = (
        np.stack(
            [
                lightness + 0.3963377774 * a + 0.2158037573 * b,
                lightness - 0.1055613458 * a - 0.0638541728 * b,
                lightness - 0.0894841775 * a - 1.2914855480 * b,
            ],
            axis=1,
        )
        ** 3
    )
    to_linear = np.asarray(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip(cone @ to_linear.T, 0, 1)
    display = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    scale: NDArray[np.uint8] = (255 * display).round().astype(np.uint8)
    return scale
