"""The container's files say what there is: options of the verb, paths of the server, extras of the package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import typer
import yaml

from visus.cli.main import app_of
from visus.server.metrics import PATHS

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "examples" / "deploy" / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "examples" / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
VERB: Any = typer.main.get_command(app_of()).commands["serve"]  # type: ignore[attr-defined]
OPTIONS = {spelling for parameter in VERB.params for spelling in parameter.opts}


def test_the_options_are_those_of_the_verb() -> None:
    given = re.findall(r'"(--[a-z-]+)', DOCKERFILE)
    given += [word.partition("=")[0] for word in COMPOSE["services"]["visus"]["command"] if word.startswith("--")]
    assert given
    assert set(given) <= OPTIONS


def test_the_health_check_asks_for_a_path_that_there_is() -> None:
    assert re.findall(r"127\.0\.0\.1:8000(/\w+)", DOCKERFILE) == ["/healthz"]
    assert "/healthz" in PATHS


def test_the_image_is_without_training_and_not_root() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert re.findall(r'"/source\[(\w+)\]"', DOCKERFILE) == ["serve"]
    assert not any("torch" in package for package in extras["serve"])
    users = re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)
    assert users
    assert "0" not in users[-1].split(":")
    for source in re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        assert all((ROOT / name).exists() for name in source.split())


def test_the_server_ends_before_it_is_killed() -> None:
    service = COMPOSE["services"]["visus"]
    grace = next(int(word.partition("=")[2]) for word in service["command"] if word.startswith("--grace-seconds"))
    assert int(service["stop_grace_period"].removesuffix("s")) > grace
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
