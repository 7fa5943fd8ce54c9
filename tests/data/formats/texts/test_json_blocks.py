"""Large JSON files in pieces: the same values and the same faults, wherever a piece ends."""

import json

import pytest

from visus.data.formats.texts import json_blocks
from visus.data.formats.texts.json_blocks import read_json
from visus.errors import DataError

DOCUMENT = {
    "info": {"text": 'a "quoted" [list], \u00e9\u4e2d\U0001f600 \\', "none": None},
    "images": [1, 1.5, -2.25e-3, 12345678901234567890, "x,]", True, [], {}, {"a": [1, {"b": "}"}]}, None],
    "empty": [],
    "annotations": [],
    "number": 1.5e10,
    "last": [[1, 2], [3]],
}


def _read(path):
    taken = []
    rest = read_json(path, {"images": taken.extend, "annotations": taken.extend})
    return taken, rest


@pytest.mark.parametrize("piece", [4, 5, 7, 16, 1000])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le"])
@pytest.mark.parametrize("indent", [None, 2])
def test_pieces(tmp_path, monkeypatch, piece, encoding, indent):
    monkeypatch.setattr(json_blocks, "_PIECE", piece)
    monkeypatch.setattr(json_blocks, "BLOCK", 3)
    path = tmp_path / "a.json"
    path.write_bytes(json.dumps(DOCUMENT, ensure_ascii=False, indent=indent).encode(encoding))
    taken, rest = _read(path)
    assert repr(taken) == repr(DOCUMENT["images"])  # 1 and True apart
    assert rest == {key: value for key, value in DOCUMENT.items() if key not in ("images", "annotations")}


@pytest.mark.parametrize("piece", [4, 9, 1000])
@pytest.mark.parametrize(
    "text",
    ['{"images": [1, 2', '{"images": [1,\n 2,]}', '{"images": [1]\n\n  "b": 2}', '{"a": 1}\n x', "[1, 2]", '{"a": nul}',
     "", "{", '{"a": "b'],
)  # fmt: skip
def test_faults_are_placed_as_in_the_whole_text(tmp_path, monkeypatch, piece, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataError) as whole:
        _read(path)
    monkeypatch.setattr(json_blocks, "_PIECE", piece)
    with pytest.raises(DataError) as pieces:
        _read(path)
    assert pieces.value.got == whole.value.got


def test_place_of_a_fault(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"images": [1,\n 2 3]}')
    with pytest.raises(DataError, match=r"line 2 column 4 \(char 18\)"):
        _read(path)


def test_damage_behind_the_first_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(json_blocks, "_PIECE", 8)
    path = tmp_path / "a.json"
    path.write_bytes(b'{"images": ["\xff"]}')
    with pytest.raises(DataError, match="cannot be read as JSON"):
        _read(path)
