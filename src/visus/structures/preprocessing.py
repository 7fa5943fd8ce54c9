"""How an image file becomes the input of a network; saved in the model file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Fit = Literal["stretch", "crop", "letterbox", "shorter_side", "none"]

ValueRange = tuple[tuple[int, int], ...] | Literal["file"]
"""(low, high) of stored values that become 0 and 255: one pair for all channels, or one for each; "file": each file has
its own, from the 0.1 % to the 99.9 % quantile of each channel."""


@dataclass(frozen=True, slots=True)
class ProposalSettings:
    """Which region proposals a network is given that makes none of its own.

    Args:
        method: the algorithm; Uijlings et al., Selective search for object recognition, IJCV 2013. "given": none; a
            file must have them, as for a second stage that was trained alone.
        mode: of its diversification: "single", "fast" or "quality" (Table 5 there).
        count: the best so many of an image, at least 1.
    """

    method: Literal["selective_search", "given"] = "selective_search"
    mode: Literal["single", "fast", "quality"] = "fast"
    count: int = 2000


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """The deterministic way from a file's pixels to a network's input.

    Args:
        size: (height, width) of the network's input; None keeps each file's own size (``fit`` must be "none").
        fit: "stretch" scales both sides freely; "crop" scales the shorter side to size / crop_fraction and cuts the
            centre; "letterbox" scales the longer side and pads with ``fill``; "shorter_side" scales the shorter side to
            the smaller of the two numbers of ``size``, or the longer side to the larger one where it would pass that:
            inputs then have different sizes, and a batch pads them at the right and below; "none" changes nothing.
        crop_fraction: share of the shorter side that "crop" keeps, in (0, 1].
        centred: whether "letterbox" pads both sides alike, as Darknet does, and not right and bottom.
        channels: 3, or 1 for luminance (ITU-R 601); another number for files that hold as many.
        order: channel order that the network was trained with.
        scale: raw values 0..255 are divided by this.
        mean: subtracted after the division, one value a channel.
        std: divided by after the subtraction, one value a channel.
        fill: raw value 0..255 of padded pixels.
        value_range: of files with more than 8 bits, and of all with other than 1 or 3 channels; None: the full range
            of their bits.
        proposals: the region proposals that come with each image; None: the network needs none.
    """

    size: tuple[int, int] | None = (224, 224)
    fit: Fit = "crop"
    crop_fraction: float = 0.875
    centred: bool = False
    channels: int = 3
    order: Literal["RGB", "BGR"] = "RGB"
    scale: float = 255.0
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    fill: int = 0
    value_range: ValueRange | None = None
    proposals: ProposalSettings | None = None

    @property
    def of_pictures(self) -> bool:
        """Whether the network takes ordinary grey or colour pictures of 8 bits."""
        return self.channels in (1, 3) and self.value_range is None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocessing:
        """The inverse of :meth:`to_dict`; JSON's lists become tuples again."""
        fields = {name: _frozen(value) for name, value in values.items()}
        if isinstance(fields.get("proposals"), dict):
            fields["proposals"] = ProposalSettings(**fields["proposals"])
        return cls(**fields)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value
