"""Options that would do nothing are refused before any work, in every verb that has some."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main
from PIL import Image

import visus
from visus.cli.main import app_of
from visus.errors import UsageError

VALUES = {"--score": "0.5", "--min-area": "9", "--grow": "1", "--smallest": "20"}
ARGUMENTS = {
    ("explain",): ("no-run", "no.jpg"),
    ("predict",): ("no-run", "no.jpg"),
    ("evaluate",): ("no-run",),
    ("summary",): ("lenet5",),
    ("train",): ("no-data",),
    ("data", "propose"): ("no-data",),
}
AFTER_READING = {("evaluate", "--min-area"), ("evaluate", "--grow"), ("evaluate", "--smallest")}
"""Only the run says whether these do something, see test_of_a_run."""


def dependent() -> Iterator[tuple[tuple[str, ...], str, bool, str]]:
    """All options whose help says with which other one they go: verb, option, whether it is a flag, the other one."""
    group: Any = typer.main.get_command(app_of())
    verbs = {(name,): command for name, command in group.commands.items() if name != "data"}
    verbs |= {("data", name): command for name, command in group.commands["data"].commands.items()}
    for verb, command in verbs.items():
        for parameter in command.params:
            if found := re.match(r"With (--[\w-]+)", getattr(parameter, "help", None) or ""):
                yield verb, parameter.opts[0], parameter.is_flag, found[1]


def test_there_are_such_options() -> None:
    assert {verb for verb, *_ in dependent()} == set(ARGUMENTS)


@pytest.mark.parametrize(
    ("verb", "option", "is_flag", "companion"),
    [case for case in dependent() if (case[0][0], case[1]) not in AFTER_READING],
)
def test_an_option_needs_the_one_that_it_says(
    verb: tuple[str, ...], option: str, is_flag: bool, companion: str, cli: Callable[..., Any]
) -> None:
    given = [option] if is_flag else [option, VALUES.get(option, "x")]
    told = cli(*verb, *ARGUMENTS[verb], *given)
    assert told.code == 2
    assert f"{option} needs {companion}" in told.err


@pytest.mark.parametrize(
    "words",
    [
        "data propose no-data --proposals a.csv --mode quality",
        "data propose no-data --proposals a.csv --workers 2",
        "data propose no-data --proposals a.csv --hierarchy a.png",
        "explain no-run no.jpg --targets --label a",
        "predict no-run no.jpg --slide --batch-size 4",
        "train no-data --show-recipe --dry-run",
    ],
)
def test_an_option_is_refused_beside_one_that_leaves_it_nothing_to_do(words: str, cli: Callable[..., Any]) -> None:
    told = cli(*words.split())
    assert told.code == 2
    assert "does nothing beside" in told.err


def test_experiments_are_listed_without_options(cli: Callable[..., Any]) -> None:
    told = cli("reproduce", "--scale", "0.1")
    assert told.code == 2
    assert "--scale needs NAME" in told.err
    assert cli("reproduce", "--json").code == 0


def test_a_report_of_data_without_labels(cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "plain" / "a.png")
    told = cli("data", "check", tmp_path / "plain", "--report", tmp_path / "a.html")
    assert told.code == 2
    assert "a report shows labels" in told.err
    assert not (tmp_path / "a.html").exists()


def test_verbs_that_show_progress_can_be_quiet(
    trained: Callable[[str], Any], cli: Callable[..., Any], tmp_path: Path
) -> None:
    group: Any = typer.main.get_command(app_of())
    commands = [group.commands[name] for name in ("train", "evaluate", "predict", "explain", "prove", "reproduce")]
    commands += [group.commands["data"].commands[name] for name in ("check", "propose")]
    assert all("--quiet" in {option for part in command.params for option in part.opts} for command in commands)
    run = trained("classification").path
    for name in ("images", "labels"):
        (tmp_path / "set" / name).mkdir(parents=True)
        Image.fromarray(np.tile(np.repeat(np.arange(3, dtype=np.uint8), 8), (24, 1))).save(
            tmp_path / "set" / name / "a.png"
        )
    for verb, save in (("predict", ()), ("explain", ("--save", tmp_path / "out"))):
        assert "1 label image of a data set is left out" in cli(verb, run, tmp_path / "set", *save).err
        assert cli(verb, run, tmp_path / "set", *save, "--quiet").err == ""


def test_of_a_run(trained: Callable[[str], Any], cli: Callable[..., Any], photos: Path) -> None:
    """What a classifier cannot use."""
    run = trained("classification").path
    for options in (("--min-area", 9), ("--grow", 1), ("--smallest", 20)):
        told = cli("evaluate", run, *options)
        assert told.code == 2
        assert f"{options[0]} needs --" in told.err
    told = cli("evaluate", run, "--model", "lenet5")
    assert told.code == 2
    assert "says itself which model it is" in told.err
    told = cli("predict", run, photos, "--score", 0.5)
    assert told.code == 2
    assert "no objects with scores" in told.err
    with pytest.raises(UsageError, match="--mode does nothing beside --proposals"):
        visus.find_proposals(photos, proposals=["a.csv"], mode="fast")
