"""VOC as tools write it: encodings, empty sizes, faulty objects, names that differ, layouts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from visus.data.dataset import Dataset, Finding
from visus.data.formats.texts.safe_xml import walk_xml
from visus.data.formats.voc.voc_annotations import _read_plain, _Target, looks_like_voc, read_annotation
from visus.data.reading.opening import open_data
from visus.errors import DataError


def thing(name: str = "cat", box: tuple[object, ...] = (11, 11, 30, 25), more: str = "") -> str:
    sides = "".join(f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name>{more}<bndbox>{sides}</bndbox></object>"


def annotation(body: str = "", size: str = "<width>64</width><height>48</height><depth>3</depth>") -> str:
    return f"<annotation><size>{size}</size>{body}</annotation>"


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)).save(path)


def write(root: Path, text: Callable[[int], str | bytes | None], count: int = 10) -> Path:
    """``count`` images of 64 x 48 (width x height), and what is to stand in their XML files."""
    for i in range(count):
        picture(root / "JPEGImages" / f"{i}.png", i)
        content = text(i)
        if content is not None:
            path = root / "Annotations" / f"{i}.xml"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def boxes(dataset: Dataset) -> list[list[list[float]]]:
    samples = sorted((s for part in dataset.splits.values() for s in part), key=lambda s: int(Path(s.id).stem))
    return [sample.target("detection").boxes.tolist() for sample in samples]


def finding(dataset: Dataset, kind: str) -> Finding:
    return next(item for item in dataset.findings if item.kind == kind)


@pytest.mark.parametrize("encoding", ["gb2312", "gbk", "shift_jis", "utf-16", "cp1251", "utf-8"])
def test_declared_encodings_are_read(encoding: str, tmp_path: Path) -> None:
    name = {"shift_jis": "ネコ", "cp1251": "кот"}.get(encoding, "猫")
    text = f'<?xml version="1.0" encoding="{encoding}"?>{annotation(thing(name))}'
    dataset = open_data(write(tmp_path, lambda _: text.encode(encoding)))
    assert dataset.classes["detection"] == (name,)
    assert boxes(dataset) == [[[10, 10, 30, 25]]] * 10


@pytest.mark.parametrize("declared", ["klingon", "zip", "rot13", "utf-8"])
def test_the_reason_is_told_where_no_file_can_be_read(declared: str, tmp_path: Path) -> None:
    text = f'<?xml version="1.0" encoding="{declared}"?>{annotation(thing("Käfer"))}'.encode("latin-1")
    with pytest.raises(DataError, match="has an annotation") as refused:
        open_data(write(tmp_path, lambda _: text))
    assert refused.value.got is not None
    assert refused.value.got.startswith("10 XML files that cannot be read; the first: Annotations/0.xml: ")


def test_unreadable_files_stop_where_they_are_many(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, lambda i: "<annotation>" if i < 3 else annotation(thing())))
    lost = finding(dataset, "unreadable-annotation")
    assert (lost.severity, lost.count) == ("stop", 3)
    assert dataset.ledger.to_dict()["label files"] == {"found": 10, "used": 7, "left": {"unreadable-annotation": 3}}


@pytest.mark.parametrize("size", ["<width></width><height></height>", "<width>0</width>", "<width>x</width>", "", " "])
def test_an_empty_size_is_no_size(size: str, tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, lambda _: annotation(thing(box=(41, 11, 99, 25)), size)))
    assert boxes(dataset) == [[[40, 10, 64, 25]]] * 10


def test_objects_without_name_or_box(tmp_path: Path) -> None:
    faulty = ["<object><name>cat</name></object>", thing(""), thing(box=(1, 2, "x", 4))]
    dataset = open_data(write(tmp_path, lambda i: annotation(thing() + (faulty[i] if i < 3 else ""))))
    assert boxes(dataset) == [[[10, 10, 30, 25]]] * 10
    for kind in ("object-without-box", "object-without-name", "box-not-a-number"):
        assert (finding(dataset, kind).severity, finding(dataset, kind).count) == ("repair", 1)
    assert dataset.ledger.to_dict()["objects"]["found"] == 13


def test_fractions(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, lambda _: annotation(thing(box=(0.25, 0.25, 0.5, 0.75)))))
    np.testing.assert_allclose(boxes(dataset), [[[16, 12, 32, 36]]] * 10)


def test_the_difficult_of_one_object(tmp_path: Path) -> None:
    marked = thing(more="<difficult>1</difficult>") + thing() + thing(more="<difficult> 0 </difficult>")
    dataset = open_data(write(tmp_path, lambda i: annotation(marked if i == 0 else thing())))
    sample = next(s for part in dataset.splits.values() for s in part if Path(s.id).stem == "0")
    assert sample.target("detection").ignored.tolist() == [True, False, False]


# --- files


def test_xml_files_without_image(tmp_path: Path) -> None:
    write(tmp_path, lambda _: annotation(thing()))
    for i in (3, 5):
        (tmp_path / "JPEGImages" / f"{i}.png").unlink()
    dataset = open_data(tmp_path)
    assert (finding(dataset, "label-without-image").severity, finding(dataset, "label-without-image").count) == (
        "stop",
        2,
    )


def test_an_xml_file_of_another_name_is_found_by_its_filename(tmp_path: Path) -> None:
    write(tmp_path, lambda _: annotation(thing()), 4)
    for i in range(4):
        path = tmp_path / "Annotations" / f"{i}.xml"
        text = path.read_text().replace("<size>", f"<filename>C:\\photos\\{i}.png</filename><size>")
        path.with_name(f"label_{i}.xml").write_text(text)
        path.unlink()
    assert boxes(open_data(tmp_path)) == [[[10, 10, 30, 25]]] * 4


def test_splits_inside_of_images_and_annotations(tmp_path: Path) -> None:
    for split, count in (("train", 4), ("val", 2)):
        for i in range(count):
            picture(tmp_path / "images" / split / f"{i}.png")
            (tmp_path / "annotations" / split).mkdir(parents=True, exist_ok=True)
            (tmp_path / "annotations" / split / f"{i}.xml").write_text(annotation(thing()))
    dataset = open_data(tmp_path)
    assert (dataset.format, {s: len(part) for s, part in dataset.splits.items()}) == ("voc", {"train": 4, "val": 2})


def test_the_xml_of_other_tools_is_none_of_voc(tmp_path: Path) -> None:
    (tmp_path / "cvat.xml").write_text("<?xml version='1.0'?><annotations><image><object/></image></annotations>")
    assert not looks_like_voc(tmp_path / "cvat.xml")
    with pytest.raises(DataError, match="no annotation of PASCAL VOC"):
        read_annotation(tmp_path / "cvat.xml")


# --- the quick way

ODD = st.sampled_from([
    thing(), thing("a b", (1, 2, 3, 4.5)), thing(more="<difficult>1</difficult>"), thing("dog", ("", 1, 2, 3)),
    "<object><name>x</name></object>", "<object id='1'><name>y</name></object>", thing("a&amp;b"), "<!-- none -->",
    thing(more="<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"), "<object></object>",
    "<filename>f</filename>", thing(""),
    "<object><bndbox><xmax>4</xmax><ymin>2</ymin><xmin>1</xmin><ymax>9</ymax></bndbox><name>z</name></object>", "text",
])  # fmt: skip


@given(st.lists(ODD, max_size=4), st.booleans())
def test_the_quick_way_gives_what_the_parser_gives(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], sized: bool
) -> None:
    text = annotation("".join(parts)) if sized else f"<annotation>{''.join(parts)}</annotation>"
    quick = _read_plain(text.encode())
    path = tmp_path_factory.getbasetemp() / "quick.xml"
    path.write_text(text)
    if quick is not None:
        assert repr(quick) == repr(walk_xml(path, _Target).annotation)


def test_the_quick_way_is_taken_for_what_is_written_as_usual() -> None:
    text = annotation(f"<filename>a.png</filename>{thing(more='<difficult>1</difficult>')}\n  {thing()}")
    quick = _read_plain(text.encode())
    assert quick is not None
    assert (quick.names, quick.size, quick.filename, quick.difficult) == (["cat"] * 2, (48, 64), "a.png", [True, False])
    for damaged in (text[:-8], text.replace("</object>", "", 1), "<a>" + text + "</a>", text + text):
        assert _read_plain(damaged.encode()) is None


@pytest.mark.parametrize(
    ("name", "severity", "count"),
    [
        (lambda i: f"{(i + 1) % 10}.png", "stop", 10),
        (lambda i: f"C:\\data\\{(i + 1) % 10}.jpg", "stop", 10),
        (lambda i: "0.png", "note", 9),  # copied from file to file
        (lambda i: f"{(i + 1) % 10 if i < 3 else i}.png", "note", 3),
        (lambda i: f"IMG_{i}.png", "", 0),  # of no file
        (lambda i: f"{i}.jpg", "", 0),
        (lambda i: f"{i}", "", 0),
    ],
)
def test_file_names_of_other_images(tmp_path: Path, name: Callable[[int], str], severity: str, count: int) -> None:
    def body(i: int) -> str:
        return annotation(thing()).replace("<annotation>", f"<annotation><filename>{name(i)}</filename>")

    found = [item for item in open_data(write(tmp_path, body)).findings if item.kind == "image-name-differs"]
    assert [(item.severity, item.count) for item in found] == ([(severity, count)] if severity else [])


@pytest.mark.parametrize("more", ["", "<part><name>head</name></part>"], ids=["plain", "parsed"])
def test_outlines_that_are_not_read_are_told(tmp_path: Path, more: str) -> None:
    polygon = "<polygon><x1>10</x1><y1>10</y1><x2>30</x2><y2>10</y2><x3>30</x3><y3>25</y3></polygon>"
    dataset = open_data(write(tmp_path, lambda _: annotation(thing(more=polygon + more))))
    found = [item for item in dataset.findings if item.kind == "outline-not-read"]
    assert [(item.severity, item.count) for item in found] == [("note", 10)]
    assert boxes(dataset) == [[[10, 10, 30, 25]]] * 10
