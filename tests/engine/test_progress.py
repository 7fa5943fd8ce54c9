"""Progress on a terminal and elsewhere."""

from __future__ import annotations

import io

import pytest

from visus.engine.progress import Bar, PlainLines, Silent, choose_progress, duration


def work(progress):
    progress.begin("epoch 1/2", 100, 20)
    for _ in range(8):
        progress.advance(10, lambda: {"loss": 0.12345})
    progress.end()
    progress.say("done [x]")


def test_plain_lines():
    stream = io.StringIO()
    work(PlainLines(stream, seconds=0))
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("epoch 1/2: 30/100 images, ")
    assert "images/s, " in lines[0]
    assert " left, loss 0.1235" in lines[0]
    assert lines[-2].startswith("epoch 1/2: 100/100 images")
    assert "left" not in lines[-2]
    assert lines[-1] == "done [x]"


def test_plain_lines_are_few():
    stream = io.StringIO()
    work(PlainLines(stream, seconds=60))
    assert len(stream.getvalue().splitlines()) == 2


def test_a_bar(capsys):
    stream = io.StringIO()
    work(Bar(stream))
    assert "done [x]" in stream.getvalue()


def test_silence(capsys):
    work(Silent())
    assert capsys.readouterr() == ("", "")


def test_choice():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    assert isinstance(choose_progress(stream=Terminal()), Bar)
    assert isinstance(choose_progress(stream=io.StringIO()), PlainLines)
    assert isinstance(choose_progress(quiet=True, stream=Terminal()), Silent)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (-3, "0 s")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text
