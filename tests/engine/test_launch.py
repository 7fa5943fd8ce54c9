"""Who answers in a group of training processes."""

from __future__ import annotations

import pytest

from visus.engine.launch import GROUP_FILE, is_answering


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
