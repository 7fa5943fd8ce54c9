"""What a server says of images: the same JSON documents as ``visus predict --json`` and ``visus explain --json``."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from visus.server.served import Served
from visus.structures import Sample
from visus.structures.outlines import rings

INCLUDES = ("picture", "maps", "outlines")
"""What a request may ask for beyond the answer."""

LARGEST_HEAT = 512
"""Pixels of the longer side of a heat map that is sent; it is smooth, and the client enlarges it."""


@dataclass(frozen=True, slots=True)
class PredictWork:
    """Predictions of images.

    Args:
        served: the model.
        batch: images that go through it together.
        score: objects below it are left out.
        include: some of :data:`INCLUDES`.
    """

    served: Served
    batch: int
    score: float
    include: frozenset[str] = frozenset()

    @property
    def key(self) -> tuple[str, object]:
        """Of equal score and additions, since these are made with the answers."""
        return self.served.name, (self.score, self.include)

    @property
    def most(self) -> int:
        """A batch."""
        return self.batch

    def run(self, samples: Sequence[Sample]) -> Iterator[dict[str, Any]]:
        """An entry of ``predictions`` for each sample."""
        answers = self.served.model.answers(samples, batch_size=len(samples))
        for sample, answer in zip(samples, answers, strict=True):
            if answer.error is not None:
                yield {"image": sample.id, "error": answer.error.problem}
                continue
            value = answer.value.above(self.score).with_image(sample.image)
            yield {"image": sample.id} | value.to_dict() | self._additions(value)

    def _additions(self, value: Any) -> dict[str, Any]:
        added: dict[str, Any] = {}
        if "picture" in self.include:
            added["picture"] = png(value.draw())
        if "maps" in self.include:
            # Not what is there for the eye alone: a client has the colours of classes from /models.
            added["maps"] = {
                name: png(_ids(picture)) for name, picture in value.pictures().items() if name != "colours"
            }
        if "outlines" in self.include:
            added["outlines"] = [
                {
                    "index": piece.label,
                    "rings": [(ring + np.asarray(piece.corner)).tolist() for ring in rings(piece.mask)],
                }
                for piece in value.outlined() or ()
            ]
        return added


@dataclass(frozen=True, slots=True)
class ExplainWork:
    """Heat maps of images. label: the class that is explained; None: what the network answers."""

    served: Served
    label: str | None

    @property
    def key(self) -> tuple[str, object]:
        """Of one label; heat maps are made one by one."""
        return self.served.name, ("explain", self.label)

    @property
    def most(self) -> int:
        """1."""
        return 1

    def run(self, samples: Sequence[Sample]) -> Iterator[list[dict[str, Any]]]:
        """The entries of ``explanations`` of each sample: one, or one for each of its labels."""
        model: Any = self.served.model
        for sample in samples:
            heatmap = model.explain(sample.image, label=self.label)
            yield [
                {"image": sample.id} | part.to_dict() | {"heat": png(_grey(part.values))}
                for part in heatmap.parts or (heatmap,)
            ]


def png(picture: Image.Image) -> str:
    """A picture as PNG, in base64."""
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=1)  # several times as fast as the default, and little larger
    return base64.b64encode(stream.getvalue()).decode("ascii")


def _ids(picture: Image.Image) -> Image.Image:
    """A picture of class ids without its palette, which browsers would apply: then the ids are gone."""
    return Image.fromarray(np.asarray(picture)) if picture.mode == "P" else picture


def _grey(values: np.ndarray[Any, np.dtype[np.float32]]) -> Image.Image:
    """0..1 as 0..255, at most :data:`LARGEST_HEAT` pixels a side."""
    picture = Image.fromarray((values * 255).round().astype(np.uint8))
    picture.thumbnail((LARGEST_HEAT, LARGEST_HEAT))
    return picture
