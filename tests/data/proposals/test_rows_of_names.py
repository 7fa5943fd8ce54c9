"""A row of a table that names an image alone says that the image has no proposals."""

from __future__ import annotations

from pathlib import Path

import pytest

from visus.data.proposals.text_file import read_table
from visus.errors import DataError


@pytest.mark.parametrize("row", ["b.jpg", "b.jpg,,,,", "b.jpg,,,,,"])
def test_an_image_without_proposals_has_an_entry(tmp_path: Path, row: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"image,x1,y1,x2,y2,score\na.jpg,0,0,9,9,0.5\n{row}\n")
    found = {given.name: given.boxes.tolist() for given in read_table(path)}
    assert found == {"a.jpg": [[0, 0, 9, 9]], "b.jpg": []}


def test_a_row_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("image,x1,y1,x2,y2\na.jpg,0,0,9\n")
    with pytest.raises(DataError, match="line 2: a proposal that is no box"):
        read_table(path)
