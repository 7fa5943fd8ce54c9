"""WIDER FACE's text files give the faces that were written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.reading.opening import open_data
from visus.errors import DataError

FACES = """0--Parade/a.jpg
2
5 6 20 14 0 0 0 0 0 0
1 2 10 20 2 0 0 1 0 0
0--Parade/b.jpg
0
0 0 0 0 0 0 0 0 0 0
1--Handshaking/a.jpg
1
3 3 9 9 0 0 0 0 0 0
"""


def write(root: Path, text: str, split: str = "train") -> Path:
    for seed, name in enumerate(("0--Parade/a.jpg", "0--Parade/b.jpg", "1--Handshaking/a.jpg")):
        path = root / f"WIDER_{split}" / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed + len(split)).integers(0, 256, (30, 40, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    (root / "wider_face_split").mkdir(exist_ok=True)
    (root / "wider_face_split" / f"wider_face_{split}_bbx_gt.txt").write_text(text)
    return root


def test_faces_of_two_splits(tmp_path: Path) -> None:
    write(tmp_path, FACES, "val")
    dataset = open_data(write(tmp_path, FACES))
    assert (dataset.format, dataset.classes) == ("wider-face", {"detection": ("face",)})
    assert {split: len(part) for split, part in dataset.splits.items()} == {"train": 3, "val": 3}
    first, empty, third = (sample.target("detection") for sample in dataset.split("train"))
    assert first.boxes.tolist() == [[5, 6, 25, 20], [1, 2, 11, 22]]
    assert first.ignored.tolist() == [False, True]
    assert (len(empty.boxes), third.boxes.tolist()) == (0, [[3, 3, 12, 12]])
    assert [s.id for s in dataset.split("val")][2] == "WIDER_val/images/1--Handshaking/a.jpg"
    assert dataset.ledger.to_dict()["objects"] == {"found": 6, "used": 6, "left": {}}
    assert {finding.kind for finding in dataset.findings} == {"ignored-objects"}


def test_missing_images_stop(tmp_path: Path) -> None:
    text = FACES + "9--None/x.jpg\n1\n3 3 9 9\n9--None/y.jpg\n1\n3 3 9 9\n"
    found = {finding.kind: finding.severity for finding in open_data(write(tmp_path, text)).findings}
    assert found["missing-image"] == found["object-without-image"] == "stop"


@pytest.mark.parametrize(
    "text", [FACES.replace("\n2\n", "\n3\n"), FACES[:-40], FACES + "c.jpg\n", "a.jpg\n-1\n1 2 3 4\n"]
)
def test_lines_that_do_not_fit_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no number of faces with a line for each"):
        open_data(write(tmp_path, text))
