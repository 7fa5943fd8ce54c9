"""The shapes of answers, for ``/openapi.json``; they describe what :mod:`visus.server.work` gives."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FoundObject(_Shape):
    """One object."""

    label: str = Field(description="its class")
    index: int = Field(description="the id of its class")
    box: list[float] = Field(description="x1, y1, x2, y2 in pixels", min_length=4, max_length=4)
    score: float | None = None
    area: int | None = Field(None, description="pixels of its mask")


class FoundPoint(_Shape):
    """One point."""

    name: str
    index: int
    x: float
    y: float
    score: float | None = None


class Outline(_Shape):
    """The outline of an object: closed rings of corners; what lies in an even number of rings is outside."""

    index: int
    rings: list[list[list[int]]] = Field(description="rings of corners [x, y] in pixels")


class ImagePrediction(_Shape):
    """What the model says of one image; which fields there are depends on its task, or there is an error."""

    image: str = Field(description="the name of its file, as it was sent")
    error: str | None = Field(None, description="why it could not be read; then no other field follows")
    label: str | None = Field(None, description="classification: the class")
    index: int | None = Field(None, description="classification: its id")
    score: float | None = Field(None, description="classification: its probability")
    labels: list[str] | None = Field(None, description="multi-label classification: the classes that are there")
    scores: dict[str, float] | None = Field(None, description="the probability of every class")
    thresholds: dict[str, float] | None = None
    unknown: list[str] | None = None
    size: list[int] | None = Field(None, description="height, width in pixels")
    objects: list[FoundObject] | None = None
    points: list[FoundPoint] | None = None
    fractions: dict[str, float] | None = Field(None, description="segmentation: the share of each class")
    areas: dict[str, int] | None = Field(None, description="segmentation: the pixels of each class")
    picture: str | None = Field(None, description="include=picture: the drawn answer, PNG in base64")
    maps: dict[str, str] | None = Field(None, description="include=maps: grey PNGs in base64, of class ids or masks")
    outlines: list[Outline] | None = Field(None, description="include=outlines: of every object, in their order")


class Predictions(_Shape):
    """The document of ``visus predict --json``."""

    predictions: list[ImagePrediction]


class Explanation(_Shape):
    """A heat map of one image, or of one of its labels."""

    image: str
    label: str
    size: list[int] = Field(description="height, width in pixels")
    peak: list[int] | None = Field(None, description="x, y of the hottest pixel")
    hot: float = Field(description="the share of pixels above one half")
    heat: str = Field(description="grey PNG in base64: 0 is cold, 255 is hot; it may be smaller than the image")


class Explanations(_Shape):
    """Heat maps, in the order of the images."""

    explanations: list[Explanation]


class ServedClass(_Shape):
    """A class and its colour."""

    name: str
    colour: list[int]
    background: bool


class ServedModel(_Shape):
    """A model that this server answers with."""

    name: str
    task: str
    model: str
    score: float = Field(description="objects below it are left out, if a request asks for no other")
    explains: bool
    classes: list[ServedClass]


class Models(_Shape):
    """The models; the first is the one of requests that name none."""

    models: list[ServedModel]
    limits: dict[str, float]


class Problem(_Shape):
    """What is wrong, what was expected, what came, and what to do."""

    problem: str
    expected: str | None = None
    got: str | None = None
    remedy: str | None = None


class Failure(_Shape):
    """A request that is not answered."""

    error: Problem


IMAGE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "image": {"type": "array", "items": {"type": "string", "contentMediaType": "image/*"}}
                    },
                }
            },
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
