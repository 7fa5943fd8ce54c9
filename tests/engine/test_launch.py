"""Who answers in a group of training processes, and how the end of one is told by the others."""

from __future__ import annotations

import pytest

from visus.engine.launch import GROUP_FILE, is_answering
from visus.engine.runtime import is_lost_peer


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, True),
        ({"RANK": "0"}, True),  # the first under torchrun
        ({"RANK": "1"}, False),
        ({"RANK": "0", GROUP_FILE: "store"}, False),  # whoever launched the group answers
        ({"RANK": "1", GROUP_FILE: "store"}, False),
    ],
)
def test_one_process_answers(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: bool) -> None:
    for name in ("RANK", GROUP_FILE):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_answering() is expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("[../third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:48123", True),
        ("Broken pipe", True),
        ("mat1 and mat2 shapes cannot be multiplied", False),
    ],
)
def test_the_loss_of_another_process_is_told_from_a_bug(message: str, expected: bool) -> None:
    assert is_lost_peer(RuntimeError(message)) is expected
