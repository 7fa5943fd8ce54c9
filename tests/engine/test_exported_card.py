"""The card of an exported file comes back as it was written, or is refused with the field that is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from visus.engine.exported_card import ENTRY, ExportedCard, ExportedInput
from visus.engine.model_card import ModelInfo
from visus.errors import ShapeError, WeightsError
from visus.structures import Preprocessing

INFO = ModelInfo(
    task="multilabel_classification",
    model="lenet5@paper",
    classes=("zéro", "one"),
    in_channels=1,
    preprocessing=Preprocessing(size=(32, 48), fit="stretch", channels=1, mean=(0.1,), std=(1.3,)),
    metrics={"val": {"accuracy": 0.1 + 0.2}},
    answer_settings={"thresholds": {"one": 0.4}},
)
CARD = ExportedCard(
    info=INFO,
    reader={"kind": "logits", "classes": 2},
    outputs={"logits": "one value a class", "points": "x, y"},
    input=ExportedInput(size=(32, 48)),
    opset=20,
    weights_sha256="ab" * 32,
    check={"outputs": {"logits": 1e-6}},
    visus_version="0.1.0",
)


@pytest.mark.parametrize(
    "given", [ExportedInput((32, 48)), ExportedInput((32, 48), batch=4), ExportedInput(None, None, 32, (64, 96))]
)
def test_what_is_written_comes_back(given):
    card = replace(CARD, input=given)
    entries = card.to_metadata()
    assert entries[ENTRY].isascii()
    back = ExportedCard.from_metadata({"other": "text", **entries})
    assert back == card
    assert list(back.outputs) == ["logits", "points"]


def changed(**fields):
    values = json.loads(CARD.to_metadata()[ENTRY])
    for name, value in fields.items():
        if value is None:
            del values[name]
        else:
            values[name] = value
    return {ENTRY: json.dumps(values)}


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({}, "was not exported by visus"),
        ({"producer": "x"}, "the entries producer"),
        ({ENTRY: "{"}, "card of an exported model"),
        ({ENTRY: "[1]"}, "the fields of a card"),
        (changed(format=2, visus_version="9.1"), "newer visus"),
        (changed(format="1"), "field format"),
        (changed(format=True), "field format"),
        (changed(format=0), "field format"),
        (changed(opset=None), "field opset"),
        (changed(opset=20.0), "field opset"),
        (changed(extra=1), "field extra"),
        (changed(weights_sha256="ab"), "64 hexadecimal digits"),
        (changed(precision="int4"), "field precision"),
        (changed(reader={"classes": 2}), "field reader"),
        (changed(reader="logits"), "field reader"),
        (changed(outputs=[]), "field outputs"),
        (changed(outputs=[{"name": "a", "meaning": ""}] * 2), "field outputs"),
        (changed(outputs={"a": "b"}), "field outputs"),
        (changed(input={"size": "any"}), "field input"),
        (changed(input={**CARD.input.to_dict(), "size": [32]}), "field input"),
        (changed(input={**CARD.input.to_dict(), "size": [32, 1 << 30]}), "field input"),
        (changed(input={**CARD.input.to_dict(), "multiple": 0}), "field input"),
        (changed(input={**CARD.input.to_dict(), "batch": "many"}), "field input"),
        (changed(model={"task": "classification"}), "field"),
        (changed(model={**INFO.to_dict(), "in_channels": "1"}), "in_channels"),
        (changed(model={**INFO.to_dict(), "task": "juggling"}), "juggling"),
    ],
)
def test_a_foreign_or_damaged_card_is_refused(metadata, said):
    with pytest.raises(WeightsError) as caught:
        ExportedCard.from_metadata(metadata, "a.onnx")
    assert said in str(caught.value)
    assert "a.onnx" in str(caught.value)


def test_the_next_size_that_fits_is_named():
    free = ExportedInput(None, multiple=32, smallest=(64, 96))
    free.require((64, 96))
    free.require((320, 128))
    assert free.fitting((65, 1)) == (96, 96)
    with pytest.raises(ShapeError, match="96 x 96"):
        free.require((65, 96))
    fixed = ExportedInput((32, 48))
    fixed.require((32, 48))
    with pytest.raises(ShapeError, match=r"32 x 48.*\n.*48 x 32(.|\n)*--size"):
        fixed.require((48, 32))


def test_a_graph_that_does_not_fit_the_card_is_refused():
    good = {"images": ["batch", 1, 32, 48]}
    CARD.require_graph(good, ["points", "logits"])
    replace(CARD, input=ExportedInput(None)).require_graph({"images": [None, 1, "h", "w"]}, ["points", "logits"])
    with pytest.raises(WeightsError, match=r"images \[any, 1, 32, 48\]\n.*images \[any, 3, 32, 48\]"):
        CARD.require_graph({"images": ["batch", 3, 32, 48]}, ["logits", "points"])
    with pytest.raises(WeightsError, match="another input"):
        CARD.require_graph({**good, "sizes": [2]}, ["logits", "points"])
    with pytest.raises(WeightsError, match="another input"):
        CARD.require_graph({"images": [4, 1, 32, 48]}, ["logits", "points"])
    with pytest.raises(WeightsError, match="no input"):
        CARD.require_graph({}, ["logits", "points"])
    with pytest.raises(WeightsError, match=r"logits, points\n.*got: +logits, boxes"):
        CARD.require_graph(good, ["logits", "boxes"])


def test_it_is_read_without_torch():
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from visus.engine.exported_card import ExportedCard\n"
        f"print(ExportedCard.from_metadata({CARD.to_metadata()!r}).info.classes[1])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert result.stdout == "one\n", result.stderr
