"""Looks at the names of classes, whatever format they come from."""

from __future__ import annotations

from collections.abc import Mapping

from visus.data.dataset import Finding


def name_findings(classes: Mapping[str, tuple[str, ...]]) -> list[Finding]:
    """The findings about the names of classes.

    A stop are names with halves of characters, which no report can be written with; a note names that differ only in
    upper case, spaces and hyphens, such as "Cat" and "cat".

    Args:
        classes: from task to the names of its classes.
    """
    names = list(dict.fromkeys(name for part in classes.values() for name in part))
    findings = []
    broken = [ascii(name) for name in names if any("\ud800" <= character <= "\udfff" for character in name)]
    if broken:
        message = "{count} classes have names with halves of characters: save the label file again as UTF-8"
        findings.append(Finding.about("unwritable-name", "stop", message, (), broken))
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault("".join(name.casefold().replace("_", " ").replace("-", " ").split()), []).append(name)
    groups = [" and ".join(part) for part in alike.values() if len(part) > 1]
    if groups:
        message = "{count} groups of classes differ only in upper case, spaces or hyphens: " + "; ".join(groups[:3])
        findings.append(Finding.about("classes-alike", "note", message, (), groups))
    return findings
