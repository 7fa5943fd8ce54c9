"""What the columns of a table mean: classes, points and splits, whatever the header calls them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.dataset import Dataset
from visus.data.inspection.checks import check
from visus.data.reading.opening import open_data
from visus.errors import DataError


def pictures(folder: Path, count: int, size: tuple[int, int] = (40, 30)) -> None:
    """Files 0.png, 1.png ... of different noise; size: (width, height)."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed}.png")


def opened(root: Path, header: str, *rows: str, name: str = "labels.csv", encoding: str = "utf-8") -> Dataset:
    """The data set of a table beside a folder of as many pictures as it has rows."""
    pictures(root / "images", len(rows))
    (root / name).write_bytes("\n".join([header] * bool(header) + list(rows)).encode(encoding))
    return open_data(root)


def classes_of(dataset: Dataset) -> dict[str, str]:
    """From file name to class, of all splits."""
    samples = [sample for part in dataset.splits.values() for sample in part]
    return {Path(sample.id).name: sample.target("classification").name for sample in samples}


def splits_of(dataset: Dataset) -> dict[str, list[str]]:
    return {split: sorted(Path(sample.id).stem for sample in part) for split, part in dataset.splits.items()}


def told(dataset: Dataset, kind: str) -> tuple[str, ...]:
    """The examples of a finding; () if it is not there."""
    return next((finding.examples for finding in dataset.findings if finding.kind == kind), ())


# --- classes


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_names_of_classes_are_decoded(encoding: str, tmp_path: Path) -> None:
    dataset = opened(tmp_path, "path,label", "0.png,Käfer", "1.png,Mücke", encoding=encoding)
    assert dataset.classes["classification"] == ("Käfer", "Mücke")
    assert bool(told(dataset, "not-utf-8")) == (encoding == "cp1252")


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("path, label", ['"0.png", "cat"', '"1.png", "dog"']),
        ("'path';'label'", ["'0.png';'cat'", "'1.png';'dog'"]),
        ("sep=;\npath;label", ["0.png;cat", "1.png;dog"]),
        ("#Image Name\tClass Label", ["0.png\tcat", "1.png\tdog"]),
        ("# made by hand\nimage|category|", ["0.png|cat|", "1.png|dog|"]),
        (",path,label", ["0,0.png,cat", "1,1.png,dog"]),
        ("", ["cat,0.png", "dog,1.png"]),
        ("id_code,diagnosis", ["0,cat", "1,dog"]),
        ("lesion_id,image_id,dx,age", ["HAM_1,0,cat,50", "HAM_2,1,dog,60"]),
        ("which,animal,species", ["0.png,pet,cat", "1.png,pet,dog"]),
    ],
)
def test_headers_delimiters_and_quotes(header: str, rows: list[str], tmp_path: Path) -> None:
    assert classes_of(opened(tmp_path, header, *rows)) == {"0.png": "cat", "1.png": "dog"}


def test_a_line_separator_inside_a_cell_ends_no_row(tmp_path: Path) -> None:
    dataset = opened(tmp_path, "path,label", "0.png,a\u2028b", "1.png,c\x85d")
    assert dataset.classes["classification"] == ("a\u2028b", "c\x85d")


def test_the_only_column_whose_values_repeat_is_taken_and_told(tmp_path: Path) -> None:
    rows = [f"{n}.png,{('cat', 'dog')[n % 2]},{20.5 + n},{n}" for n in range(6)]
    dataset = opened(tmp_path, "file,animal,weight,order", *rows)
    assert dataset.classes["classification"] == ("cat", "dog")
    assert told(dataset, "column-guessed") == ("labels.csv: animal",)
    assert told(dataset, "unused-column") == ("labels.csv: weight", "labels.csv: order")


def test_two_columns_that_could_be_classes_are_named(tmp_path: Path) -> None:
    rows = [f"{n}.png,{('cat', 'dog')[n % 2]},{('in', 'out')[n // 3]}" for n in range(6)]
    dataset = opened(tmp_path, "file,animal,place", *rows)
    assert dataset.tasks == ()
    (finding,) = [finding for finding in dataset.findings if finding.kind == "nearly-recognised"]
    assert "which column holds the classes, animal or place? Call it label" in finding.message


def test_a_spreadsheet_is_named(tmp_path: Path) -> None:
    pictures(tmp_path / "images", 2)
    (tmp_path / "labels.xlsx").write_bytes(b"PK")
    (finding,) = [finding for finding in open_data(tmp_path).findings if finding.kind == "nearly-recognised"]
    assert "labels.xlsx: save the spreadsheet as CSV" in finding.message


def test_ages_are_no_classes_although_they_repeat(tmp_path: Path) -> None:
    assert opened(tmp_path, "image,age", *(f"{n}.png,{30 + n % 2}" for n in range(8))).tasks == ()


@pytest.mark.parametrize("column", ["age", "price", "y", "target", "label"])
def test_measures_are_no_classes(column: str, tmp_path: Path) -> None:
    dataset = opened(tmp_path, f"image,{column}", *(f"{n}.png,{30.5 + 2 * n}" for n in range(8)))
    assert dataset.tasks == ()
    (finding,) = [finding for finding in dataset.findings if finding.kind == "nearly-recognised"]
    assert f"{column} hold numbers that are no classes" in finding.message


def test_whole_numbers_that_are_all_different_are_no_classes_under_a_vague_name(tmp_path: Path) -> None:
    assert opened(tmp_path, "image,y", *(f"{n}.png,{7 + 3 * n}" for n in range(8))).tasks == ()


def test_a_table_beside_the_only_folder_of_images_is_read(tmp_path: Path) -> None:
    pictures(tmp_path / "train_images", 4)
    (tmp_path / "train.csv").write_text("id_code,diagnosis\n0,2\n1,0\n2,2\n3,0\n")
    (tmp_path / "test.csv").write_text("id_code\n8\n9\n")
    (tmp_path / "sample_submission.csv").write_text("id_code,diagnosis\n8,0\n9,0\n")
    dataset = open_data(tmp_path)
    assert classes_of(dataset) == {"0.png": "2", "1.png": "0", "2.png": "2", "3.png": "0"}


def test_a_test_set_without_labels_is_told(tmp_path: Path) -> None:
    pictures(tmp_path / "train", 4)
    pictures(tmp_path / "test", 2)
    (tmp_path / "train.csv").write_text("id,label\n0,a\n1,b\n2,a\n3,b\n")
    (tmp_path / "test.csv").write_text("id\n0\n1\n")
    dataset = open_data(tmp_path)
    assert "test" not in [split for split in dataset.splits if split not in dataset.made_splits]
    assert told(dataset, "table-without-labels") == ("test.csv",)


def test_tables_in_the_folders_of_splits(tmp_path: Path) -> None:
    for split, count in (("train", 4), ("validation", 2)):
        pictures(tmp_path / split, count)
        rows = "".join(f"{n}.png,{'ab'[n % 2]}\n" for n in range(count))
        (tmp_path / split / "metadata.csv").write_text("file_name,label\n" + rows)
    assert splits_of(open_data(tmp_path)) == {"train": ["0", "1", "2", "3"], "val": ["0", "1"]}


def test_two_rows_of_one_file_are_one_image(tmp_path: Path) -> None:
    dataset = opened(tmp_path, "path,label", "0.png,a", "1.png,b", "images/0.png,a")
    assert len(classes_of(dataset)) == 2
    assert told(dataset, "duplicate-row") == ("images/0.png",)
    (tmp_path / "labels.csv").write_text("path,label\n0.png,a\n1.png,b\nimages/0.png,b\n")
    assert told(open_data(tmp_path), "conflicting-labels") == ("images/0.png",)


def test_rows_that_name_nothing_are_counted(tmp_path: Path) -> None:
    dataset = opened(tmp_path, "path,label", "0.png,a", "1.png,b", ",b", ",a")
    assert {finding.kind: finding.severity for finding in dataset.findings}["row-without-image"] == "stop"


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        (" ".join(["17"] * 3001), "the pixels are those of no square image"),
        (" ".join(["1700"] * 3025), "the pixels are no numbers of a byte"),
        ("aGVsbG8v" * 500, "a cell of 4,000 characters is neither pixels nor an image as base64"),
    ],
)
def test_a_cell_that_holds_no_image_is_shown_short(cell: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "training.csv").write_text("left_eye_x,left_eye_y,Image\n" + f"10.5,20.5,{cell}\n" * 4)
    with pytest.raises(DataError, match=rf"training\.csv, row 2: {problem}") as caught:
        open_data(tmp_path)
    assert len(str(caught.value)) < 1000


def test_a_cell_longer_than_tables_may_have_is_an_ordinary_error(tmp_path: Path) -> None:
    pictures(tmp_path, 1)
    (tmp_path / "a.csv").write_text("image,label\n" + "0.png," + "x" * 200_000 + "\n")
    with pytest.raises(DataError, match=r"a cell of more than 131,072 characters"):
        open_data(tmp_path / "a.csv")


# --- points


def test_x_and_y_are_one_point(tmp_path: Path) -> None:
    dataset = opened(tmp_path, "image,x,y", *(f"{n}.png,{10 + n},{5 + 2 * n}" for n in range(10)))
    assert dataset.classes == {"landmarks": ("point",)}
    found = {s.id: s.target("landmarks").points.tolist() for part in dataset.splits.values() for s in part}
    assert found["images/3.png"] == [[13, 11]]


@pytest.mark.parametrize("header", ["image,x_nose,y_nose", "image,nose_x,nose_y", "nose_y,image,nose_x"])
def test_points_by_name(header: str, tmp_path: Path) -> None:
    values = {"image": "0.png", "x_nose": "4", "nose_x": "4", "y_nose": "9", "nose_y": "9"}
    row = ",".join(values[column] for column in header.split(","))
    (sample,) = opened(tmp_path, header, row).split("train")
    target = sample.target("landmarks")
    assert (target.classes, target.points.tolist()) == (("nose",), [[4, 9]])


def test_points_in_fractions_are_those_of_the_image(tmp_path: Path) -> None:
    dataset = opened(tmp_path, "image,x,y", "0.png,0.25,0.5", "1.png,0.5,1.0", "2.png,,")
    found = {s.id: s.target("landmarks").points.tolist() for part in dataset.splits.values() for s in part}
    assert found == {"images/0.png": [[10, 15]], "images/1.png": [[20, 30]], "images/2.png": [[0, 0]]}
    assert "points-in-fractions" in [finding.kind for finding in dataset.findings]


def test_half_of_the_points_in_fractions_stop(tmp_path: Path) -> None:
    dataset = opened(tmp_path, "image,x,y", "0.png,0.25,0.5", "1.png,0.5,0.1", "2.png,12,3", "3.png,9,20")
    assert {finding.kind: finding.severity for finding in dataset.findings}["point-in-fractions"] == "stop"


def test_points_of_larger_images_stop(tmp_path: Path) -> None:
    dataset = opened(tmp_path, "image,x,y", "0.png,250,50", "1.png,150,100", "2.png,12,3", "3.png,9,20")
    assert {finding.kind: finding.severity for finding in dataset.findings}["point-outside"] == "stop"


def test_several_rows_an_image_are_no_landmarks(tmp_path: Path) -> None:
    dataset = opened(tmp_path, "image,x,y", "0.png,2,5", "0.png,5,9", "0.png,12,3", "1.png,9,20")
    assert {finding.kind: finding.severity for finding in dataset.findings}["second-row"] == "stop"


def test_width_and_height_of_the_image_make_a_point_no_box(tmp_path: Path) -> None:
    dataset = opened(tmp_path, "image,width,height,x,y", "0.png,40,30,2,5", "1.png,40,30,9,20")
    assert dataset.classes == {"landmarks": ("point",)}


# --- splits

ROWS = {"0.png": "a", "1.png": "b", "2.png": "a", "3.png": "b", "4.png": "a", "5.png": "b"}


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("split", ("Train", "Train", "Val", "Val", "Test", "Test"), ("01", "23", "45")),
        ("data set", ("training", "training", "dev", "dev", "testing", "testing"), ("01", "23", "45")),
        (
            "Usage",
            ("Training", "Training", "PublicTest", "PublicTest", "PrivateTest", "PrivateTest"),
            ("01", "23", "5 4"),
        ),
        ("is_valid", ("False", "False", "False", "False", "True", "True"), ("0123", "45", "")),
        ("isVal", ("0", "0", "0", "0", "1", "1"), ("0123", "45", "")),
        ("is_test", ("no", "no", "no", "no", "yes", "yes"), (None, None, "45")),
        ("is_train", ("1", "1", "1", "1", "0", "0"), (None, None, "45")),
        ("phase", ("train", "train", "valid", "valid", "test", "test"), ("01", "23", "45")),
        ("anything", ("train", "train", "val", "val", "test", "test"), ("01", "23", "45")),
        ("type", ("train_set", "train_set", "test_set", "val_set", "test_set", "val_set"), ("01", "35", "24")),
        ("partition", ("0", "0", "1", "1", "2", "2"), ("01", "23", "45")),
        ("mode", ("train", "train", "train", "train", "eval", "eval"), ("0123", "45", "")),
    ],
)
def test_columns_of_splits_are_used(
    column: str, values: tuple[str, ...], expected: tuple[str | None, ...], tmp_path: Path
) -> None:
    rows = [f"{name},{label},{value}" for (name, label), value in zip(ROWS.items(), values, strict=True)]
    found = splits_of(opened(tmp_path, f"path,label,{column}", *rows))
    for split, stems in zip(("train", "val", "test"), expected, strict=True):
        if stems is not None:
            assert found.get(split, []) == sorted(stems.replace(" ", "")), split


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("fold", ("0", "1", "2", "0", "1", "2")),
        ("kfold", ("1", "2", "1", "2", "1", "2")),
        ("subset", ("A", "B", "A", "B", "A", "B")),
        ("is_valid", ("x", "y", "x", "y", "x", "z")),
        ("valid", ("1", "1", "1", "0", "1", "1")),
        ("usage", ("Public", "Private", "Public", "Private", "Public", "Private")),
        ("cv", ("1", "2", "1", "2", "1", "2")),
    ],
)
def test_columns_that_look_like_splits_are_named(column: str, values: tuple[str, ...], tmp_path: Path) -> None:
    rows = [f"{name},{label},{value}" for (name, label), value in zip(ROWS.items(), values, strict=True)]
    dataset = opened(tmp_path, f"path,label,{column}", *rows)
    assert told(dataset, "split-not-used") == (f"labels.csv: {column}",)
    assert dataset.made_splits


def test_two_columns_of_yes_and_no_are_taken_together(tmp_path: Path) -> None:
    flags = ("0,0", "0,0", "1,0", "1,0", "0,1", "0,1")
    rows = [f"{name},{label},{pair}" for (name, label), pair in zip(ROWS.items(), flags, strict=True)]
    dataset = opened(tmp_path, "path,label,is_val,is_test", *rows)
    assert splits_of(dataset) == {"train": ["0", "1"], "val": ["2", "3"], "test": ["4", "5"]}


def test_rows_without_a_split_are_counted(tmp_path: Path) -> None:
    values = ("train", "train", "val", "val", "", "")
    rows = [f"{name},{label},{value}" for (name, label), value in zip(ROWS.items(), values, strict=True)]
    dataset = opened(tmp_path, "path,label,split", *rows)
    assert {finding.kind: finding.severity for finding in dataset.findings}["row-without-split"] == "stop"


def test_a_table_of_its_own_lists_the_splits(tmp_path: Path) -> None:
    (tmp_path / "list_eval_partition.csv").write_text(
        "image_id,partition\n" + "".join(f"{n}.png,{n // 2}\n" for n in range(6))
    )
    dataset = opened(tmp_path, "image_id,x,y", *(f"{n}.png,{n},9" for n in range(6)))
    assert splits_of(dataset) == {"train": ["0", "1"], "val": ["2", "3"], "test": ["4", "5"]}
    assert told(dataset, "splits-listed") == ("list_eval_partition.csv",)


def test_lists_of_names_are_splits_and_the_rest_is_for_training(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("image\n4.png\n5.png\n")
    dataset = opened(tmp_path, "image,label", *(f"{name},{label}" for name, label in ROWS.items()))
    assert splits_of(dataset)["test"] == ["4", "5"]
    assert sorted(splits_of(dataset)["train"] + splits_of(dataset).get("val", [])) == ["0", "1", "2", "3"]


def test_images_that_no_list_names_are_counted(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("image\n0.png\n1.png\n")
    (tmp_path / "val.csv").write_text("image\n2.png\n3.png\n")
    dataset = opened(tmp_path, "image,xmin,ymin,xmax,ymax,label", *(f"{n}.png,1,2,11,22,cat" for n in range(6)))
    assert splits_of(dataset) == {"train": ["0", "1"], "val": ["2", "3"]}
    severities = {finding.kind: finding.severity for finding in dataset.findings}
    assert severities["image-without-split"] == severities["object-without-split"] == "stop"
    assert dataset.ledger.to_dict()["objects"] == {"found": 6, "used": 4, "left": {"object-without-split": 2}}


# --- classes of one image each


def test_classes_of_one_image_each_stop_a_training(tmp_path: Path) -> None:
    dataset = opened(tmp_path, "image,class", *(f"{n}.png,{n}" for n in range(6)))
    (finding,) = [finding for finding in check(dataset) if finding.severity == "stop"]
    assert finding.kind == "single-image-classes"
    assert finding.message.startswith("6 of 6 classes have one image each")


def test_half_of_the_classes_with_one_image_are_learnt(tmp_path: Path) -> None:
    labels = (0, 1, 2, 3, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9)  # five of ten
    dataset = opened(tmp_path, "image,class", *(f"{n}.png,{label}" for n, label in enumerate(labels)))
    assert "single-image-classes" not in [finding.kind for finding in check(dataset)]


@pytest.mark.parametrize(
    ("header", "cells", "reason"),
    [
        ("ImageId,EncodedPixels", "100 5 200 6", "its column EncodedPixels holds masks as run lengths"),
        ("ImageId,ClassId,EncodedPixels", "1,100 5", "its column EncodedPixels holds masks as run lengths"),
        ("id,class,segmentation", "cat,7 3 20 4", "its column segmentation holds masks as run lengths"),
        ("file,row,col", "20,21", "row, col hold numbers that are no classes"),
    ],
)
def test_tables_of_run_lengths_and_places_are_no_classes(header: str, cells: str, reason: str, tmp_path: Path) -> None:
    rows = [header]
    for number in range(6):
        Image.new("RGB", (32, 24)).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{cells}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    dataset = open_data(tmp_path)
    assert dataset.tasks == ()
    assert any(reason in finding.message for finding in dataset.findings)


@pytest.mark.parametrize("row", ["{}.png,3,4,13,10,cup,32,24", "cup,3,4,10,6,{}.png,32,24"])
def test_boxes_without_a_header_and_with_sizes(row: str, tmp_path: Path) -> None:
    for number in range(3):
        Image.new("RGB", (32, 24)).save(tmp_path / f"{number}.png")
    (tmp_path / "boxes.csv").write_text("".join(row.format(number) + "\n" for number in range(3)))
    target = next(iter(open_data(tmp_path).splits["train"])).target("detection")
    assert target.classes == ("cup",)
    assert target.boxes.tolist() == [[3, 4, 13, 10]]


def test_a_table_without_a_header_that_is_not_known(tmp_path: Path) -> None:
    Image.new("RGB", (32, 24)).save(tmp_path / "0.png")
    (tmp_path / "boxes.csv").write_text("a,b,0.png,c,d\n")
    assert any("it has no header" in finding.message for finding in open_data(tmp_path).findings)


def test_missing_values_and_splits_of_labels(tmp_path: Path) -> None:
    rows = ["path,label,stage"]
    stages = ("dev",) * 6 + ("eval",) * 2 + ("holdout",) * 2
    for number, stage in enumerate(stages):
        Image.new("RGB", (32, 24)).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{('NA' if number == 4 else ('none', 'scratch')[number % 2])},{stage}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    dataset = open_data(tmp_path)
    assert dataset.classes["classification"] == ("none", "scratch")  # "none" is a class, "NA" is not
    assert {name: len(part) for name, part in dataset.splits.items()} == {"train": 5, "val": 2, "test": 2}
    assert next(item for item in dataset.findings if item.kind == "unlabelled-image").count == 1
