"""What is known of one edition of a model, as data that loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from visus.structures.preprocessing import Preprocessing

ProofLevel = Literal["L1", "L2", "L3", "L4"]


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A published file of weights for an edition.

    Args:
        name: the file's name in the cache folder.
        sha256: all 64 hexadecimal digits, or the leading ones that its publisher states; "" for a file of the Hugging
            Face hub, which states it when the file is fetched.
        url: where it is published; "" when it can only be brought by hand.
        layout: how its names and values become ours: "torchvision", "tflite-npz" ... (see models/weights.py).
        trained_on: the data set, such as "ImageNet-1k".
        licence: as its publisher states it.
        metrics: published figures of these weights, as fractions.
    """

    name: str
    sha256: str
    url: str
    layout: str
    trained_on: str
    licence: str
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Card:
    """One edition of a model.

    Args:
        name: such as "resnet50".
        edition: "paper", or the name of the weights that it fits, such as "torchvision".
        task: the name of its card in ``visus.structures.task_cards``.
        builder: "package.module:function"; the function takes ``classes``, ``in_channels`` and ``options`` by keyword.
        title: one line for people.
        year: of the publication.
        paper: authors, title, venue, and the table or figure that is built.
        input: the paper's own (channels, height, width).
        classes: the paper's own number of classes (without background).
        parameters: exact count of trainable values at the paper's classes and input.
        macs: exact multiply-accumulates of convolutions and linear layers for one image, or None if not published.
        preprocessing: the paper's, or that of the weights.
        fact: the id of the published facts in ``proof/facts``; "" where nothing was published.
        citation: the key of the paper's entry in ``models/papers.bib``.
        options: keyword arguments of the builder that make this edition.
        backbone: the default backbone's "name@edition" for a composition, "" for a network of one piece.
        takes_backbone: whether the builder takes a ``backbone``: then "name+backbone" is this edition on another one.
        own_data: what makes the recipe for own data: a name of :mod:`visus.recipes.own_data`, or
            "package.module:function"; "" for the recipe of the task.
        own_anchors: how many anchors to find among own boxes; 0 for a model whose anchors stay as they are.
        weights: published weights, best first; empty when there are none.
        proof_level: the highest level whose checks ran and passed (see the vocabulary in docs).
        note: where this edition deviates from the paper, and why; "" when nowhere.
    """

    name: str
    edition: str
    task: str
    builder: str
    title: str
    year: int
    paper: str
    input: tuple[int, int, int]
    classes: int
    parameters: int
    preprocessing: Preprocessing
    macs: int | None = None
    fact: str = ""
    citation: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    backbone: str = ""
    takes_backbone: bool = False
    own_data: str = ""
    own_anchors: int = 0
    weights: tuple[WeightsFile, ...] = ()
    proof_level: ProofLevel = "L1"
    note: str = ""

    @property
    def full_name(self) -> str:
        """ "name@edition"."""
        return f"{self.name}@{self.edition}"

    def to_dict(self) -> dict[str, Any]:
        """What a list of models says of it: plain values, ready for JSON."""
        return {
            "name": self.name,
            "edition": self.edition,
            "fact": self.fact,
            "task": self.task,
            "year": self.year,
            "params": self.parameters,
            "macs": self.macs,
            "input": list(self.input),
            "proof": self.proof_level,
        }
