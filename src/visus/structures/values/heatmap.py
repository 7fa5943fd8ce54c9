"""The answer of an explanation: how much each pixel speaks for what was predicted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.structures.placement import Placement

if TYPE_CHECKING:
    from PIL.Image import Image

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


@dataclass(frozen=True, slots=True, eq=False)
class Heatmap:
    """How much each pixel of an image speaks for an answer.

    Args:
        values: [H,W] float32 in [0, 1] in file pixels; all 0 when nothing speaks for the answer.
        image: [3,H,W] uint8 RGB, kept for :meth:`draw`; None where thousands of values are held.
        label: the answer that is explained, such as the name of a class.

    Raises:
        ShapeError: if the values are no map, leave [0, 1], or do not fit the image.
    """

    values: NDArray[np.float32]
    image: NDArray[np.uint8] | None = None
    label: str = ""

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.dtype != np.float32 or 0 in self.values.shape:
            raise ShapeError(
                "a heat map is one value a pixel",
                expected="[H, W] float32",
                got=f"{list(self.values.shape)} {self.values.dtype}",
            )
        # Written so that NaN, which compares false with everything, is caught.
        if not (self.values.min() >= 0 and self.values.max() <= 1):
            raise ShapeError(
                "a heat map's values are shares",
                expected="values in [0, 1]",
                got=f"{float(self.values.min()):.4g}..{float(self.values.max()):.4g}",
            )
        if self.image is not None and self.image.shape != (3, *self.values.shape):
            raise ShapeError(
                "a heat map must have the size of its image",
                expected=f"{list(self.image.shape[1:])}",
                got=f"{list(self.values.shape)}",
            )

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return (self.values.shape[0], self.values.shape[1])

    def undo(self, placement: Placement) -> Heatmap:
        """From network pixels to file pixels; pixels that the network never saw become 0."""
        moved = placement.undo_map(self.values, smooth=True).astype(np.float32)
        return replace(self, values=np.clip(moved, 0, 1), image=None)

    def draw(self, image: NDArray[np.uint8] | None = None) -> Image:
        """The greyed image under the map in colour, with the label and the scale. image: [3,H,W], if none is kept."""
        from PIL import Image as images

        from visus.structures.drawing import canvas, with_strip

        picture = canvas(image if image is not None else self.image, "a heat map")
        heat = images.fromarray(self.values).resize(picture.size, images.Resampling.BICUBIC)
        values = np.clip(np.asarray(heat), 0, 1)
        table = colour_scale()
        colours = table[(values * 255).round().astype(np.uint8)].astype(np.float32)
        ground = np.asarray(picture.convert("L"), np.float32)[..., np.newaxis]
        cover = (0.3 + 0.4 * values)[..., np.newaxis]
        mixed = ground * (1 - cover) + colours * cover
        return with_strip(images.fromarray(mixed.round().astype(np.uint8)), self.label, table)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: the hottest pixel as (x, y) and the share of pixels above one half."""
        row, column = np.unravel_index(int(self.values.argmax()), self.values.shape)
        return {
            "label": self.label,
            "size": list(self.size),
            "peak": [int(column), int(row)] if self.values.any() else None,
            "hot": float((self.values > 0.5).mean()),
        }


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
