"""Whether a training reads the masks of objects is said by the task's card."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from visus.engine.recipe import Recipe
from visus.structures import Preprocessing
from visus.structures.task_cards import task_card
from visus.workflow import run_training


class _Asked(Exception):
    """Ends the preparation once the preparer was asked for."""


@pytest.mark.parametrize("masks", [True, False])
def test_a_training_reads_masks_where_the_card_says_so(masks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def preparer(*_: Any, masks: bool) -> None:
        raise _Asked(masks)

    card = replace(task_card("detection"), masks=masks)
    monkeypatch.setattr("visus.structures.task_cards.task_card", lambda name: card)
    monkeypatch.setattr("visus.data.augmentation.preparing.Preparer", preparer)
    prepared: Any = SimpleNamespace(
        plan=SimpleNamespace(task="detection", recipe=Recipe()), dataset=SimpleNamespace(split=lambda name: [])
    )
    with pytest.raises(_Asked) as asked:
        run_training._loader(prepared, Preprocessing(), SimpleNamespace(), SimpleNamespace())  # type: ignore[arg-type]
    assert asked.value.args == (masks,)
