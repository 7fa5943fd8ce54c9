"""The models that a server answers with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from visus.errors import DataError, UsageError
from visus.structures import Sample
from visus.structures.class_names import BACKGROUND_NAMES
from visus.structures.drawing.canvas import colour_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9@+._ -]{0,99}")


class Answer(Protocol):
    """What a model says of one image."""

    @property
    def value(self) -> Any:
        """The answer in file pixels; None if the image could not be read."""

    @property
    def error(self) -> DataError | None:
        """Why not, then."""


class Answering(Protocol):
    """What a server needs of a model, whether PyTorch or an engine computes it."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their ids."""

    @property
    def info(self) -> Any:
        """The card: ``task``, ``model`` and ``preprocessing.value_range``."""

    @property
    def shown_score(self) -> float:
        """From this score on objects are answered, if a request asks for no other."""

    def answers(self, samples: Sequence[Sample], *, batch_size: int = 16) -> Iterator[Any]:
        """An :class:`Answer` for each sample, in order; those of one size go through the network together."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model by the name that requests give.

    Args:
        name: of letters, digits and ``@+._ -``.
        model: loaded.
        explains: whether ``model.explain`` makes heat maps, which takes PyTorch.

    Raises:
        UsageError: for another name.
    """

    name: str
    model: Answering
    explains: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                "a model cannot be served by this name",
                expected="letters, digits and @ + . _ - with a letter or digit first",
                got=self.name[:100],
                remedy="name it: visus serve NAME=PATH",
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: what the page needs to draw answers."""
        classes = [
            {"name": name, "colour": list(colour_of(i)), "background": name.lower() in BACKGROUND_NAMES}
            for i, name in enumerate(self.model.classes)
        ]
        return {
            "name": self.name,
            "task": self.model.info.task,
            "model": self.model.info.model,
            "score": self.model.shown_score,
            "explains": self.explains,
            "classes": classes,
        }


def served_by_name(models: Iterable[Served]) -> Mapping[str, Served]:
    """The models by name; the first is the one of requests that give none.

    Raises:
        UsageError: if there is none, or two have one name.
    """
    table: dict[str, Served] = {}
    for served in models:
        if served.name in table:
            raise UsageError(
                f"two models are to be served as {served.name}",
                expected="a name for each",
                got=f"{served.name} twice",
                remedy="name them: visus serve first=PATH second=PATH",
            )
        table[served.name] = served
    if not table:
        raise UsageError("there is no model to serve", expected="at least one", got="none")
    return table
