"""Looks at the names of classes, whatever format they come from."""

from __future__ import annotations

from collections.abc import Mapping

from visus.data.dataset import Finding


def alike_names(classes: Mapping[str, tuple[str, ...]]) -> list[Finding]:
    """The note about classes whose names differ in upper case and spaces only, such as "Cat" and "cat".

    classes: from task to the names of its classes.
    """
    alike: dict[str, dict[str, None]] = {}
    for name in dict.fromkeys(name for names in classes.values() for name in names):
        alike.setdefault("".join(name.casefold().replace("_", " ").replace("-", " ").split()), {})[name] = None
    groups = [" and ".join(names) for names in alike.values() if len(names) > 1]
    message = "{count} groups of classes differ only in upper case, spaces or hyphens: " + "; ".join(groups[:3])
    return [Finding.about("classes-alike", "note", message, (), groups)] if groups else []
