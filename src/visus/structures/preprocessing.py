"""What happens to an image file before a network sees it; travels in the model file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Fit = Literal["stretch", "crop", "letterbox", "none"]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """The deterministic way from a file's pixels to a network's input.

    Args:
        size: (height, width) of the network's input; None keeps each file's own size (``fit`` must be "none").
        fit: "stretch" scales both sides freely; "crop" scales the shorter side to size / crop_fraction and cuts the
            centre; "letterbox" scales the longer side and pads right and bottom with ``fill``; "none" changes nothing.
        crop_fraction: share of the shorter side that "crop" keeps, in (0, 1].
        channels: 3, or 1 for luminance (ITU-R 601).
        order: channel order that the network was trained with.
        scale: raw values 0..255 are divided by this.
        mean: subtracted after the division, one value a channel.
        std: divided by after the subtraction, one value a channel.
        fill: raw value 0..255 of padded pixels.
    """

    size: tuple[int, int] | None = (224, 224)
    fit: Fit = "crop"
    crop_fraction: float = 0.875
    channels: Literal[1, 3] = 3
    order: Literal["RGB", "BGR"] = "RGB"
    scale: float = 255.0
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    fill: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocessing:
        """The inverse of :meth:`to_dict`; JSON's lists become tuples again."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)
