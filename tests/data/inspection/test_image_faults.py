"""Image files that cannot be used, wholly or in part: each kind is found, told and repaired."""

from __future__ import annotations

from pathlib import Path

import pytest

from checked_data import CLASSES, encoded, files, scene, summary
from visus.data.dataset import MOST_EXAMPLES, Dataset
from visus.data.inspection.checks import check, check_before_training, repair
from visus.data.pixels.images import FileImage
from visus.errors import DataError
from visus.structures import Label, Sample


@pytest.mark.parametrize(
    ("kind", "content", "reason"),
    [
        ("empty-file", b"", "0 bytes"),
        ("unreadable-image", b"<html>not found</html>", "no image header"),
        ("damaged-image", encoded(scene(1))[:20], ""),
        ("damaged-image", encoded(scene(1))[:2000], ""),
        ("damaged-image", encoded(scene(1))[:-12], "end of the file"),
        ("damaged-image", encoded(scene(1), "JPEG")[:300], ""),
        ("damaged-image", encoded(scene(1), "JPEG")[:900], ""),
        ("damaged-image", encoded(scene(1), "JPEG")[:-2], ""),
        ("damaged-image", encoded(scene(1), "TIFF")[:4000], ""),
    ],
)
def test_kinds_of_unusable_images(tmp_path: Path, kind: str, content: bytes, reason: str) -> None:
    dataset = files(tmp_path, 12)
    (tmp_path / "7.png").write_bytes(content)
    for found in (check(dataset), check_before_training(dataset, None)):
        assert summary(found) == {kind: ("repair", 1, ("7.png",))}
        assert reason in found[0].message
        assert {sample.id for sample in repair(dataset, found).split("train")} == {f"{i}.png" for i in range(12)} - {
            "7.png"
        }


def test_an_absent_file_is_unreadable(tmp_path: Path) -> None:
    dataset = files(tmp_path, 12)
    (tmp_path / "3.png").unlink()
    assert summary(check(dataset)) == {"unreadable-image": ("repair", 1, ("3.png",))}


def test_data_after_the_end_is_no_damage(tmp_path: Path) -> None:
    """Phones append films to photos, and tools append notes."""
    dataset = files(tmp_path, 6)
    with (tmp_path / "2.png").open("ab") as stream:
        stream.write(bytes(10_000))
    (tmp_path / "3.png").write_bytes(encoded(scene(3), "JPEG") + bytes(10_000))
    assert set(summary(check(dataset))) == {"wrong-extension"}


@pytest.mark.parametrize(("total", "broken", "severity"), [
    (8, 1, "repair"), (8, 2, "stop"), (199, 1, "repair"), (199, 2, "stop"), (200, 2, "repair"), (300, 4, "stop"),
])  # fmt: skip
def test_one_percent_or_one_image_may_be_unusable(tmp_path: Path, total: int, broken: int, severity: str) -> None:
    dataset = files(tmp_path, total)
    for i in range(broken):
        (tmp_path / f"{i}.png").write_bytes(b"" if i % 2 else b"text")
    found = check(dataset)
    assert {finding.severity for finding in found} == {severity}
    assert sum(finding.count for finding in found) == broken  # two kinds count together
    assert len(repair(dataset, found).split("train")) == total - broken


def test_twenty_names_are_shown_and_all_are_repaired(tmp_path: Path) -> None:
    dataset = files(tmp_path, 60)
    for i in range(25):
        (tmp_path / f"{i}.png").write_bytes(b"")
    (finding,) = check(dataset)
    assert (finding.count, len(finding.examples), len(finding.samples)) == (25, MOST_EXAMPLES, 25)
    assert finding.to_dict()["examples"] == [f"{i}.png" for i in range(20)]
    assert len(repair(dataset, [finding]).split("train")) == 35


def test_a_split_that_would_be_empty_stops(tmp_path: Path) -> None:
    train = files(tmp_path, 150)
    lost = Sample("lost.png", FileImage(tmp_path / "lost.png"), {"classification": Label(CLASSES, 0)})
    dataset = train.with_splits({"train": train.split("train"), "val": [lost]})
    found = [finding for finding in check(dataset) if finding.severity == "stop"]
    assert summary(found) == {"unreadable-image": ("stop", 1, ("lost.png",))}
    assert "val" in found[0].message
    with pytest.raises(DataError, match="val"):
        repair(dataset, found)


@pytest.mark.parametrize(
    ("format", "suffixes", "wrong"),
    [
        ("JPEG", (".jpg", ".JPEG", ".jpe", ".dat", ""), ".png"),
        ("PNG", (".png", ".PNG"), ".jpg"),
        ("WEBP", (".webp",), ".gif"),
        ("BMP", (".bmp", ".dib"), ".tif"),
        ("TIFF", (".tif", ".tiff"), ".bmp"),
        ("GIF", (".gif",), ".webp"),
        ("PPM", (".ppm", ".pnm"), ".jpeg"),
    ],
)
def test_wrong_suffixes(tmp_path: Path, format: str, suffixes: tuple[str, ...], wrong: str) -> None:
    samples = []
    for i, suffix in enumerate((*suffixes, wrong)):
        path = tmp_path / f"{i}{suffix}"
        path.write_bytes(encoded(scene(i), format))
        samples.append(Sample(path.name, FileImage(path), {"classification": Label(("cat", "dog"), i % 2)}))
    found = check(Dataset("made", "files", tmp_path, {"classification": ("cat", "dog")}, {"train": samples}))
    assert summary(found) == {"wrong-extension": ("note", 1, (samples[-1].id,))}
