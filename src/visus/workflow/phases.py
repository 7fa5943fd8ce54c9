"""Runs a training in phases: each is a function that makes an artefact; finished phases are not repeated.

A phase works in a folder of its own. ``artefact.json``, its manifest, is written twice: when the phase begins, and last
of all when it has finished, with the SHA-256 of every file. What was killed goes on with the first phase that did not
finish.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visus.engine.disk import write_text
from visus.errors import DataError, DiskError, VisusError
from visus.files.plain_values import read_json
from visus.files.regular import is_regular
from visus.workflow.folders import free_path
from visus.workflow.request import Request

MANIFEST = "artefact.json"


@dataclass(frozen=True, slots=True)
class Artefact:
    """The files that a phase makes for later phases; :meth:`of` makes an artefact from files.

    Args:
        name: the phase's.
        kind: of content, such as "run", "features" or "svm".
        folder: that holds the files.
        files: from a file's path in the folder to its SHA-256.
    """

    name: str
    kind: str
    folder: Path
    files: Mapping[str, str]

    @classmethod
    def of(cls, name: str, kind: str, folder: Path, files: Iterable[str]) -> Artefact:
        """Makes an artefact of files in a folder; raises DiskError if a file cannot be read."""
        return cls(name, kind, folder, {file: _sha256(folder / file) for file in files})

    @property
    def digest(self) -> str:
        """SHA-256 of name, kind and files; it does not depend on the folder."""
        content = json.dumps([self.name, self.kind, sorted(self.files.items())])
        return hashlib.sha256(content.encode()).hexdigest()

    def path(self, file: str) -> Path:
        """The path of one of the files; raises VisusError if the artefact has no such file."""
        if file not in self.files:
            raise VisusError(f"the artefact {self.name} has no file {file}", expected=" or ".join(self.files), got=file)
        return self.folder / file


def silent(line: str) -> None:
    """Ignores a message."""


@dataclass(frozen=True, slots=True)
class Context:
    """The inputs of a phase.

    Args:
        folder: where it works, and where its files go; there already. It may hold what an earlier start left.
        artefacts: of the phases before it, by name.
        request: what this phase asks of a training: data, task, device ...; None where nobody asked.
        quiet: no progress on standard error.
        say: tells people a line.
    """

    folder: Path
    artefacts: Mapping[str, Artefact]
    request: Request | None = None
    quiet: bool = False
    say: Callable[[str], None] = silent


@dataclass(frozen=True, slots=True)
class Phase:
    """One part of a training, which trains a network or fits a model.

    Args:
        name: of the phase and its artefact.
        run: does the work in the context's folder. It goes on from what an earlier start left there, or overwrites it,
            and gives an artefact of this name in this folder.
        request: what the phase asks, given the artefacts before it.
    """

    name: str
    run: Callable[[Context], Artefact]
    request: Callable[[Mapping[str, Artefact]], Request] | None = None


def run_phases(
    phases: Sequence[Phase],
    parent: Path | Callable[[Phase, Mapping[str, Artefact]], Path],
    *,
    artefacts: Mapping[str, Artefact] | None = None,
    quiet: bool = False,
    say: Callable[[str], None] = silent,
) -> dict[str, Artefact]:
    """Runs phases one after another; skips those that have finished.

    A phase is finished if its manifest says so, its files have the SHA-256 of the manifest, and the artefacts that it
    was made from are still the same. A damaged artefact is made again in its folder. Where an earlier artefact has
    changed, the folder is put aside under another name and the phase begins afresh.

    Args:
        phases: in order.
        parent: the folder that holds a folder for each phase, under its name; or a function that says where a phase
            works.
        artefacts: of still earlier phases.
        quiet: no progress on standard error.
        say: tells people a line.

    Returns:
        All artefacts by name, those given first.

    Raises:
        DiskError: if a folder or a manifest cannot be written.
        VisusError: what a phase raises, or if a phase leaves another artefact than its own.
    """
    made = dict(artefacts or {})
    for phase in phases:
        folder = parent / phase.name if isinstance(parent, Path) else parent(phase, made)
        artefact = finished(phase.name, folder, made, say)
        made[phase.name] = _run(phase, folder, made, quiet, say) if artefact is None else artefact
    return made


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Reads the manifest of a folder (name, kind, files, made_from, finished); None if it is missing or damaged."""
    try:
        values = read_json(folder / MANIFEST, expected="the manifest of a phase")
    except DataError:
        return None
    fields = {"name": str, "kind": str, "files": dict, "made_from": dict, "finished": bool}
    fits = isinstance(values, dict) and all(isinstance(values.get(name), kind) for name, kind in fields.items())
    return values if fits else None


def made_from(artefacts: Mapping[str, Artefact]) -> dict[str, str]:
    """The digests of artefacts by name, as in a manifest's ``made_from``."""
    return {name: artefact.digest for name, artefact in artefacts.items()}


def finished(name: str, folder: Path, artefacts: Mapping[str, Artefact], say: Callable[[str], None]) -> Artefact | None:
    """The artefact in a phase's folder; None unless it is finished, undamaged and made from these artefacts."""
    manifest = read_manifest(folder)
    if manifest is None or manifest["name"] != name:
        return None
    earlier = made_from(artefacts)
    changed = [one for one, digest in manifest["made_from"].items() if earlier.get(one, digest) != digest]
    if changed:
        aside = free_path(folder.with_name(f"{folder.name}.before"))
        try:
            folder.rename(aside)
        except OSError as error:
            raise DiskError(f"cannot rename {folder} to {aside}", got=error.strerror or str(error)) from None
        say(f"phase {name}: {', '.join(changed)} has changed since; it begins afresh, what it left is now {aside}")
        return None
    if not manifest["finished"]:
        return None
    for file, sha256 in manifest["files"].items():
        if not is_regular(folder / file) or _sha256(folder / file) != sha256:
            say(f"phase {name}: {folder / file} is missing or damaged; the phase is run again")
            return None
    say(f"phase {name}: finished before")
    return Artefact(name, manifest["kind"], folder, manifest["files"])


def _run(
    phase: Phase, folder: Path, artefacts: Mapping[str, Artefact], quiet: bool, say: Callable[[str], None]
) -> Artefact:
    """Runs a phase and writes the manifest of its artefact."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskError(f"cannot make the folder {folder}", got=error.strerror or str(error)) from None
    write_manifest(Artefact(phase.name, "", folder, {}), artefacts, finished=False)
    request = None if phase.request is None else phase.request(artefacts)
    artefact = phase.run(Context(folder, dict(artefacts), request, quiet, say))
    if (artefact.name, artefact.folder) != (phase.name, folder):
        raise VisusError(
            f"the phase {phase.name} returned the artefact of another phase",
            expected=f"{phase.name} in {folder}",
            got=f"{artefact.name} in {artefact.folder}",
        )
    write_manifest(artefact, artefacts, finished=True)
    return artefact


def write_manifest(artefact: Artefact, artefacts: Mapping[str, Artefact], *, finished: bool) -> None:
    """Writes the manifest of an artefact atomically; ``artefacts``: those that it is made from."""
    values = {
        "name": artefact.name,
        "kind": artefact.kind,
        "files": dict(artefact.files),
        "made_from": made_from(artefacts),
        "finished": finished,
    }
    write_text(artefact.folder / MANIFEST, json.dumps(values, indent=2) + "\n")


def _sha256(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DiskError(f"cannot read {path}", got=error.strerror or str(error)) from None
