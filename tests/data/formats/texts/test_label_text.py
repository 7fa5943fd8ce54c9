"""Text of label files and names of files are decoded, whatever encoding they were saved in."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.formats.reading import Tally
from visus.data.formats.texts.label_text import read_text
from visus.data.formats.texts.text_encoding import decode_text, printable_name
from visus.data.reading.opening import open_data
from visus.errors import DataError


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"K\xc3\xa4fer\n", ""),
        (b"\xef\xbb\xbfK\xc3\xa4fer\n", ""),
        (b"\xff\xfeK\0\xe4\0f\0e\0r\0\n\0", ""),
        (b"\xfe\xff\0K\0\xe4\0f\0e\0r\0\n", ""),
        (b"K\0\xe4\0f\0e\0r\0\n\0", ""),
        (b"\0K\0\xe4\0f\0e\0r\0\n", ""),
        (b"K\xe4fer\n", "Windows-1252"),
    ],
)
def test_encodings(data: bytes, encoding: str) -> None:
    assert decode_text(data) == ("Käfer\n", encoding)


def test_windows_has_characters_where_latin_1_has_none() -> None:
    assert decode_text(b"5 \x80 \x93so\x94 \xfc")[0] == "5 € “so” ü"
    assert decode_text(b"\x81\xe4")[0] == "\x81ä"  # not assigned: kept, so that two names never become one


def test_chinese_and_empty_text_is_left_alone() -> None:
    assert decode_text("猫,狗\n".encode()) == ("猫,狗\n", "")
    assert decode_text(b"") == ("", "")
    assert decode_text(b"a") == ("a", "")


def test_a_file_that_is_not_unicode_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"M\xfccke")
    tally = Tally()
    assert read_text(tmp_path / "a.txt", tally) == "Mücke"
    (finding,) = tally.findings()
    assert (finding.kind, finding.severity) == ("not-utf-8", "note")
    assert finding.message == "1 label file is not UTF-8; read as Windows-1252"
    with pytest.raises(DataError, match="is a folder"):
        read_text(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep names as Unicode")
def test_folders_with_names_in_latin_1_are_classes_that_can_be_written(tmp_path: Path) -> None:
    for seed, kind in enumerate((b"K\xe4fer", b"M\xfccke")):
        folder = os.path.join(os.fsencode(tmp_path), kind)
        os.mkdir(folder)
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(os.path.join(os.fsdecode(folder), "1.png"))
    dataset = open_data(tmp_path)
    assert dataset.classes["classification"] == ("Käfer", "Mücke")
    assert {sample.id for part in dataset.splits.values() for sample in part} == {"Käfer/1.png", "Mücke/1.png"}
    assert printable_name("Käfer") == "Käfer"


def test_halves_of_characters_are_shown_by_their_numbers() -> None:
    assert printable_name("ä\ud83d") == "ä\\ud83d"
    tally = Tally()
    tally.add("kind", "note", "{count}", "\ud83d.png")
    assert tally.findings()[0].examples == ("\\ud83d.png",)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("кошка,собака", "cp1251"), ("猫\n狗\n", "gbk"), ("ソ表\n犬\n", "shift_jis"), ("γάτα", "cp1253")],
)
def test_text_of_another_script_is_refused(text: str, encoding: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    with pytest.raises(DataError, match="not UTF-8"):
        read_text(tmp_path / "a.csv")


@pytest.mark.parametrize("text", ["Füße", "théâtre", "Käfer – 20 °C", "«Ñandú»", "Œuvre…"])
def test_western_text_is_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode("cp1252"))
    assert read_text(tmp_path / "a.csv") == text
