"""Image files are found by the paths that labels hold, also by those of another machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.formats.image_finder import ImageFinder, trailing_parts
from visus.data.formats.listing import Listing
from visus.data.formats.reading import Tally


def pictures(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(root / name)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("images\\3.png", ("images", "3.png")),
        ("C:\\Users\\ann\\set\\3.png", ("Users", "ann", "set", "3.png")),
        ("../../label-studio/data/media/upload/4/3.png", ("label-studio", "data", "media", "upload", "4", "3.png")),
        ("https://example.org/bucket/a%20b/3.png?X-Sign=1", ("bucket", "a b", "3.png")),
        ("/data/local-files/?d=photos/3.png", ("photos", "3.png")),
        ("./3.png", ("3.png",)),
        ("..", ()),
    ],
)
def test_the_end_of_a_path_of_another_machine(name: str, parts: tuple[str, ...]) -> None:
    assert trailing_parts(name) == parts


@pytest.mark.parametrize(
    ("name", "found", "told"),
    [
        ("images/day/1.png", "images/day/1.png", False),
        ("day/1.png", "images/day/1.png", False),  # from the folder of images
        ("2.png", "images/2.png", False),
        ("2", "images/2.png", False),  # tables often leave the suffix away
        ("D:\\photos\\night\\1.png", "images/night/1.png", True),
        ("data/images/day/1.png", "images/day/1.png", True),
        ("/mnt/x/images/night/1.png", "images/night/1.png", True),
        ("deep/3.png", "images/a/b/3.png", True),
        ("2.jpg", None, False),
        ("1.txt", None, False),
        ("", None, False),
        ("9" * 9000, None, False),
        ("a\0b.png", None, False),
    ],
)
def test_a_name_finds_its_file(name: str, found: str | None, told: bool, tmp_path: Path) -> None:
    pictures(tmp_path, "images/day/1.png", "images/night/1.png", "images/2.png", "images/a/b/3.png")
    (tmp_path / "1.txt").write_text("1")
    tally = Tally()
    path = ImageFinder(Listing(tmp_path), tally).find(name)
    assert (path and path.relative_to(tmp_path).as_posix()) == found
    assert tally.count("found-by-name") == told
    assert tally.count("ambiguous-image") == 0


def test_a_name_that_fits_several_files_is_refused(tmp_path: Path) -> None:
    pictures(tmp_path, "images/day/1.png", "images/night/1.png")
    tally = Tally()
    assert ImageFinder(Listing(tmp_path), tally).find("upload/1.png") is None
    (finding,) = tally.findings()
    assert (finding.kind, finding.severity) == ("ambiguous-image", "stop")
    assert finding.examples == ("upload/1.png: images/day/1.png or images/night/1.png",)


def test_the_split_decides_between_equal_names(tmp_path: Path) -> None:
    pictures(tmp_path, "images/train/1.png", "images/val/1.png", "parts/x/valid/2.png", "parts/x/training/2.png")
    tally = Tally()
    finder = ImageFinder(Listing(tmp_path), tally)
    assert finder.find("1.png", "val") == tmp_path / "images/val/1.png"
    assert finder.find("1.png", "train") == tmp_path / "images/train/1.png"
    assert finder.find("c:/old/2.png", "train") == tmp_path / "parts/x/training/2.png"
    assert tally.count("found-by-name") == 1


def test_a_label_file_in_a_folder_of_annotations(tmp_path: Path) -> None:
    pictures(tmp_path, "frames/1.png")
    (tmp_path / "annotations").mkdir()
    for source in (tmp_path, tmp_path / "annotations"):
        finder = ImageFinder(Listing(source), Tally(), beside=tmp_path / "annotations")
        assert finder.find("1.png") == tmp_path / "frames/1.png"


def test_names_that_are_percent_coded(tmp_path: Path) -> None:
    pictures(tmp_path, "images/my photo 1.png", "images/50%25.png")
    tally = Tally()
    finder = ImageFinder(Listing(tmp_path), tally)
    assert finder.find("my%20photo%201.png") == tmp_path / "images" / "my photo 1.png"
    assert tally.count("found-by-name") == 1
    assert finder.find("50%25.png") == tmp_path / "images" / "50%25.png"  # as it is written comes first


def test_files_of_another_suffix_are_named_and_not_taken(tmp_path: Path) -> None:
    pictures(tmp_path, "images/1.png")
    tally = Tally()
    finder = ImageFinder(Listing(tmp_path), tally)
    assert finder.find("a/1.jpg") is None
    assert finder.find("a/2.jpg") is None
    assert tally.examples("other-suffix") == ["a/1.jpg: images/1.png"]
