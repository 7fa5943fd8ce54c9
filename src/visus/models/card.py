"""Facts about one edition of a model, as data that loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any, Literal

from visus.errors import WeightsError
from visus.structures.preprocessing import Preprocessing

ProofLevel = Literal["L1", "L2", "L3", "L4"]
Part = Literal["network", "backbone"]


@dataclass(frozen=True, slots=True)
class Conversion:
    """Converts the values of a weights file to those of a network.

    Args:
        convert: "package.module:function" from the file's values by name to a state under our names; it raises
            WeightsError for a file of another network. "" where the names are ours already.
        part: what of the network the file fills.
        is_partial: whether the file may leave values of that part as they are.
        suffix: of the files that are written so, for files of arrays (``ARRAY_FILES``); "" for files of tensors.
        mark: a name that every such file has; "" where none tells it from others.
    """

    convert: str = ""
    part: Part = "network"
    is_partial: bool = False
    suffix: str = ""
    mark: str = ""


ARRAY_FILES = (".npz", ".caffemodel", ".h5")
"""Suffixes of files that hold arrays, and so need other conversions than files of tensors do."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A published file of weights for an edition.

    Args:
        name: the file's name in the cache folder.
        sha256: all 64 hexadecimal digits, or the leading ones that its publisher states; "" for a file of the Hugging
            Face hub, which states it when the file is fetched.
        url: where it is published; "" when people must download it themselves.
        trained_on: the data set, such as "ImageNet-1k".
        licence: as its publisher states it.
        metrics: published figures of these weights, as fractions.
        convert, part, is_partial: see :class:`Conversion`. A Darknet file needs no ``convert``: it has no names.
    """

    name: str
    sha256: str
    url: str
    trained_on: str
    licence: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    convert: str = ""
    part: Part = "network"
    is_partial: bool = False

    @property
    def conversion(self) -> Conversion:
        """The conversion from the file's values to the network's."""
        suffix = PurePath(self.name).suffix
        return Conversion(self.convert, self.part, self.is_partial, suffix if suffix in ARRAY_FILES else "")


@dataclass(frozen=True, slots=True)
class ReleasedFile:
    """A file that authors released, which a person brings: visus never fetches it.

    Args:
        name: as its authors call it, such as "yolov2-voc.weights".
        trained_on: the data set, such as "PASCAL VOC 2007 and 2012".
        part: what of the edition's network the file fills.
        is_partial: whether it leaves values of that part as they are: a file to start from.
        sha256: all 64 hexadecimal digits where public sources state them, else "".
        source: where its name and content are described: a page, or a repository and path.
    """

    name: str
    trained_on: str
    part: Part = "network"
    is_partial: bool = False
    sha256: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Conventions:
    """What a table of layers leaves open, and whose choice each of it is.

    The rule: the authors' own release where there is one, else the paper's text, else the port that is named; an
    edition for published weights has what these were trained with.

    Args:
        padding: of convolutions and poolings.
        initialisation: how the weights begin.
        epsilon: what BatchNorm adds to the variance; None where there is no BatchNorm.
        epsilon_source: whose epsilon it is.
    """

    padding: str
    initialisation: str
    epsilon: float | None = None
    epsilon_source: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "padding": self.padding,
            "epsilon": self.epsilon,
            "epsilon_source": self.epsilon_source,
            "initialisation": self.initialisation,
        }

    def lines(self) -> dict[str, str]:
        """What each is, in words, for people."""
        epsilon = "no BatchNorm" if self.epsilon is None else f"{self.epsilon:g}, {self.epsilon_source}"
        return {"padding": self.padding, "epsilon": epsilon, "initialisation": self.initialisation}


@dataclass(frozen=True, slots=True)
class Earlier:
    """How an edition was before its network changed, so that what was trained with it computes as it did.

    Args:
        change: what was otherwise, such as "the first pooling was padded by 1".
        options: of the builder, which make the earlier network; None where none do.
        preprocessing: the earlier one; None where it is today's.
    """

    change: str
    options: Mapping[str, object] | None = field(default_factory=dict)
    preprocessing: Preprocessing | None = None


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
        classes: the paper's own number of classes (without background); 0 for a network that names nothing.
        parameters: exact count of trainable values at the paper's classes and input.
        macs: exact multiply-accumulates of convolutions and linear layers for one image, or None if not published.
        preprocessing: the paper's, or that of the weights.
        fact: the id of the published facts in ``proof/facts``; "" where nothing was published.
        citation: the key of the paper's entry in ``models/papers.bib``.
        options: keyword arguments of the builder that make this edition.
        backbone: the default backbone's "name@edition" for a composition, "" for a network of one piece.
        backbone_options: keyword arguments of the backbone's builder that go before its edition's own.
        takes_backbone: whether the builder takes a ``backbone``: then "name+backbone" is this edition on another one.
        own_data: what makes the recipe for own data: a name of :mod:`visus.recipes.own_data`, or
            "package.module:function"; "" for the recipe of the task.
        phases: the training in phases that makes this model of any recipe; "" where one training does.
        own_anchors: how many anchors to find among own boxes; 0 for a model whose anchors stay as they are.
        weights: published weights, best first; empty when there are none.
        conversions: of further files that a person may bring, beside those written as ``weights`` are.
        released: files of the authors that fit this edition, beside ``weights``; a person brings them.
        proof_level: the highest level whose checks ran and passed (see the vocabulary in docs).
        conventions: whose padding, whose epsilon and whose first weights it has; None for a composition, which has
            those of its parts, and where an installed package does not say.
        earlier: what the edition was before each change of its network or preprocessing, oldest first; what was trained
            with revision n is built as ``at(n)``.
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
    backbone_options: Mapping[str, object] = field(default_factory=dict)
    takes_backbone: bool = False
    own_data: str = ""
    phases: str = ""
    own_anchors: int = 0
    weights: tuple[WeightsFile, ...] = ()
    conversions: tuple[Conversion, ...] = ()
    released: tuple[ReleasedFile, ...] = ()
    proof_level: ProofLevel = "L1"
    conventions: Conventions | None = None
    earlier: tuple[Earlier, ...] = ()
    note: str = ""

    @property
    def full_name(self) -> str:
        """ "name@edition"."""
        return f"{self.name}@{self.edition}"

    @property
    def revision(self) -> int:
        """How often the network of this edition changed, and 1: model files and runs hold it."""
        return len(self.earlier) + 1

    def at(self, revision: int) -> Card:
        """The card as it was at a revision; itself at today's.

        Raises:
            WeightsError: if there is no such revision, or no option builds its network any more.
        """
        if revision == self.revision:
            return self
        if not 1 <= revision < self.revision:
            raise WeightsError(
                f"visus has no revision {revision} of {self.full_name}",
                expected=f"a revision within 1..{self.revision}",
                got=f"revision {revision}",
                remedy="pip install --upgrade visus",
            )
        options, preprocessing = dict(self.options), self.preprocessing
        for was in reversed(self.earlier[revision - 1 :]):
            if was.options is None:
                raise WeightsError(
                    f"{self.full_name} has changed, and its earlier network cannot be built any more: {was.change}",
                    expected=f"what was trained with revision {self.revision}",
                    got=f"revision {revision}",
                    remedy="train it again, or use the version of visus that trained it",
                )
            options |= was.options
            preprocessing = was.preprocessing or preprocessing
        return replace(self, options=options, preprocessing=preprocessing, earlier=self.earlier[: revision - 1])

    def changes_since(self, revision: int) -> str:
        """What was otherwise at a revision, in words; "" if nothing was."""
        return "; ".join(was.change for was in self.earlier[revision - 1 :])

    @property
    def files(self) -> tuple[WeightsFile | ReleasedFile, ...]:
        """All known files of weights for this edition."""
        return (*self.weights, *self.released)

    def to_dict(self) -> dict[str, Any]:
        """The entry in a list of models: plain values, ready for JSON."""
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
            "conventions": None if self.conventions is None else self.conventions.to_dict(),
        }
