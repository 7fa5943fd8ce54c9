"""Finds the tasks, networks and data formats that other installed packages add to visus.

A package names them as entry points in its pyproject.toml; visus itself is not edited::

    [project.entry-points."visus.tasks"]
    captioning = "my_package.cards:CAPTIONING"

The object is a ``TaskCard`` (group "visus.tasks"), a ``Card`` ("visus.models") or a ``Format`` ("visus.formats"), or a
tuple of them. It is looked up in the command line, in reading processes and in resumed trainings too. The modules that
hold cards must load no torch.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, cast

from visus.errors import ExtensionError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Group = Literal["visus.tasks", "visus.models", "visus.formats"]


class Named(Protocol):
    """An entry of a table, which has a name."""

    @property
    def name(self) -> str:
        """As users write it."""


T = TypeVar("T", bound=Named)


def extensions(group: Group, kind: type[T], names: Sequence[str]) -> tuple[T, ...]:
    """What installed packages add to a table, ordered by the names of their entry points.

    Args:
        group: of entry points.
        kind: what they must hold.
        names: those that visus's own table has; an extension cannot replace them.

    Raises:
        ExtensionError: if a package cannot be loaded, holds something else, or uses a name that is taken. It names the
            package.
    """
    points = _entry_points(group, tuple(sys.path))
    items = [(item, point) for point in points for item in _load(point, kind)]
    taken = {*names}
    # Several cards of one package may share a name: they are editions of one network.
    for name, package in dict.fromkeys((item.name, _package(point)) for item, point in items):
        if name in taken:
            raise ExtensionError(
                f"the installed package {package} adds {name}, a name that is taken",
                expected="a name of its own",
                got=f"{name} in the entry points {group}",
                remedy=f"rename it, or: pip uninstall {package}",
            )
        taken.add(name)
    return tuple(item for item, _ in items)


def load_object(path: str) -> Any:
    """The object that a card names as "package.module:object"; imports the module."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


@cache
def _entry_points(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:  # noqa: ARG001  (path: where they are looked for)
    from importlib.metadata import entry_points  # slow to import, and most processes ask for no extension

    return tuple(sorted(entry_points(group=group), key=lambda point: (point.name, point.value)))


def _load(point: EntryPoint, kind: type[T]) -> tuple[T, ...]:
    try:
        held = point.load()
    except (Exception, SystemExit) as error:  # a script without a main guard ends the process when it is imported
        raise ExtensionError(
            f"the installed package {_package(point)} cannot be loaded",
            expected=f"{point.value}, as its entry point {point.name} of {point.group} says",
            got=f"{type(error).__name__}: {error}",
            remedy=f"repair it, or: pip uninstall {_package(point)}",
        ) from error
    items = held if isinstance(held, tuple) else (held,)
    if not all(isinstance(item, kind) for item in items):
        raise ExtensionError(
            f"the installed package {_package(point)} adds an object of the wrong type",
            expected=f"a {kind.__name__}, or a tuple of them, at {point.value}",
            got=", ".join(sorted({type(item).__name__ for item in items})),
            remedy=f"repair it, or: pip uninstall {_package(point)}",
        )
    return cast("tuple[T, ...]", items)


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module
