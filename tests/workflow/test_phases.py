"""Phases: what is finished is not run again, what was killed ends as if it had not been, and damage is seen."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from visus.errors import VisusError
from visus.workflow.phases import MANIFEST, Artefact, Context, Phase, read_manifest, run_phases
from visus.workflow.request import Request

SCRIPT = Path(__file__).with_name("phased_fits.py")
RESULTS = ("network/network.safetensors", "features/features.npy", "svm/svm.npy")


def test_killed_in_and_between_phases_it_ends_with_the_same_bits(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    starts = [f"{whole}=", f"{killed}=training", f"{killed}=between", f"{killed}=svm", f"{killed}="]
    told = subprocess.run([sys.executable, SCRIPT, *starts], capture_output=True, text=True, timeout=300)
    everything = ["network", "features", "svm"]
    assert [json.loads(line) for line in told.stdout.splitlines()] == [
        [0, everything],
        [-9, []],
        [-9, ["network"]],
        [-9, ["network", "features"]],
        [0, everything],
    ], told.stderr
    # Each phase was killed once, and so started twice; none ran again after it had finished.
    order = (killed / "order.txt").read_text().split()
    assert order == ["network", "network", "features", "features", "svm", "svm"]
    assert len((killed / "network" / "results.csv").read_text().splitlines()) == 4
    for name in RESULTS:
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    assert np.load(whole / "svm" / "svm.npy").shape == (3, 129)


# --- without a training


def number(name: str, value: str, ran: list[str]) -> Phase:
    """A phase that writes a value, and the values of all artefacts before it."""

    def run(context: Context) -> Artefact:
        ran.append(name)
        earlier = [artefact.path("value.txt").read_text() for artefact in context.artefacts.values()]
        (context.folder / "value.txt").write_text("+".join([*earlier, value]))
        return Artefact.of(name, "number", context.folder, ["value.txt"])

    return Phase(name, run)


def test_artefacts_are_handed_on_and_found_again(tmp_path: Path) -> None:
    ran: list[str] = []
    phases = [number("one", "1", ran), number("two", "2", ran), number("three", "3", ran)]
    made = run_phases(phases, tmp_path)
    assert made["three"].path("value.txt").read_text() == "1+1+2+3"
    manifest = json.loads((tmp_path / "three" / MANIFEST).read_text())
    assert (manifest["kind"], manifest["finished"], set(manifest["made_from"])) == ("number", True, {"one", "two"})
    said: list[str] = []
    assert run_phases(phases, tmp_path, say=said.append) == made
    assert ran == ["one", "two", "three"]
    assert said == [f"phase {name}: finished before" for name in ran]


@pytest.mark.parametrize("harm", ["changed", "missing", "manifest"])
def test_a_damaged_artefact_is_made_again(tmp_path: Path, harm: str) -> None:
    ran: list[str] = []
    phases = [number("one", "1", ran), number("two", "2", ran)]
    run_phases(phases, tmp_path)
    file = tmp_path / "one" / "value.txt"
    if harm == "changed":
        file.write_text("7")
    elif harm == "missing":
        file.unlink()
    else:
        (tmp_path / "one" / MANIFEST).write_text('{"name": "one", "kind"')
    said: list[str] = []
    made = run_phases(phases, tmp_path, say=said.append)
    assert ran == ["one", "two", "one"]  # the second was made from the same bytes: it holds
    assert made["two"].path("value.txt").read_text() == "1+2"
    assert harm == "manifest" or f"{file} is missing or damaged" in said[0]


def test_what_was_made_from_something_else_is_put_aside(tmp_path: Path) -> None:
    ran: list[str] = []
    run_phases([number("one", "1", ran), number("two", "2", ran)], tmp_path)
    (tmp_path / "one" / "value.txt").unlink()
    said: list[str] = []
    made = run_phases([number("one", "9", ran), number("two", "2", ran)], tmp_path, say=said.append)
    assert made["two"].path("value.txt").read_text() == "9+2"
    assert (tmp_path / "two.before" / "value.txt").read_text() == "1+2"
    assert "one has changed since" in said[-1]


def test_a_phase_that_fails_leaves_no_finished_manifest(tmp_path: Path) -> None:
    def broken(context: Context) -> Artefact:
        (context.folder / "half.txt").write_text("half")
        raise VisusError("no")

    with pytest.raises(VisusError, match="no"):
        run_phases([Phase("one", broken)], tmp_path)
    manifest = read_manifest(tmp_path / "one")
    assert manifest is not None
    assert not manifest["finished"]
    ran: list[str] = []
    run_phases([number("one", "1", ran)], tmp_path)
    assert ran == ["one"]


def test_a_phase_leaves_its_own_artefact(tmp_path: Path) -> None:
    ran: list[str] = []
    with pytest.raises(VisusError, match="returned the artefact of another phase"):
        run_phases([Phase("other", number("one", "1", ran).run)], tmp_path)
    with pytest.raises(VisusError, match="has no file colour"):
        Artefact("one", "number", tmp_path, {"value.txt": ""}).path("colour")


def test_a_phase_is_told_what_is_asked(tmp_path: Path) -> None:
    seen: list[Request | None] = []

    def run(context: Context) -> Artefact:
        seen.append(context.request)
        return Artefact.of("one", "nothing", context.folder, [])

    def request(artefacts: Mapping[str, Artefact]) -> Request:
        return Request(data="digits", weights=str(artefacts["zero"].folder))

    earlier = {"zero": Artefact("zero", "run", tmp_path, {})}
    run_phases([Phase("one", run, request)], tmp_path, artefacts=earlier)
    assert seen == [Request(data="digits", weights=str(tmp_path))]
