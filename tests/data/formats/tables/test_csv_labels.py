"""Tables in which an image has several labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.dataset import Dataset
from visus.data.formats.tables.label_cells import tag_split, tags_of_list
from visus.data.inspection.checks import check
from visus.data.reading.opening import open_data
from visus.errors import DataError, VisusError

TASK = "multilabel_classification"
LABELS: Mapping[str, tuple[str, ...]] = {"1": ("sea",), "2": ("boat", "sea"), "3": (), "4": ("dog",)}
"""The classes of four images."""


def pictures(folder: Path, count: int = 4) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        noise = np.random.default_rng(len(str(folder)) + number).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.jpg")


def written(root: Path, lines: Sequence[str], name: str = "labels.csv", images: str = "images") -> Path:
    pictures(root / images)
    (root / name).write_text("\n".join(lines) + "\n")
    return root


def labels(dataset: Dataset, task: str = TASK) -> dict[str, tuple[str, ...]]:
    """From the stem of an image to the names of its classes, sorted."""
    return {
        Path(sample.id).stem: tuple(sorted(sample.target(task).names))
        for samples in dataset.splits.values()
        for sample in samples
    }


def kinds(dataset: Dataset) -> dict[str, str]:
    return {finding.kind: finding.severity for finding in dataset.findings}


@pytest.mark.parametrize(
    "lines",
    [
        ["image,sea,boat,dog", "1.jpg,1,0,0", "2.jpg,1,1,0", "3.jpg,0,0,0", "4.jpg,0,0,1"],
        ["filename, sea, boat, dog", "1.jpg, 1, 0, 0", "2.jpg, 1, 1, 0", "3.jpg, 0, 0, 0", "4.jpg, 0, 0, 1"],
        ["image;sea;boat;dog", "1;True;False;False", "2;True;True;False", "3;False;False;False", "4;False;False;True"],
        ["path,sea,boat,dog", "1.jpg,yes,no,no", "2.jpg,Yes,YES,no", "3.jpg,no,no,no", "4.jpg,no,no,yes"],
        ["image_id,sea,boat,dog", "1.jpg,1,-1,-1", "2.jpg,1,1,-1", "3.jpg,-1,-1,-1", "4.jpg,-1,-1,1"],  # CelebA
        ["image,sea,boat,dog", "1.jpg,x,,", "2.jpg,x,x,", "3.jpg,,,", "4.jpg,,,x"],  # only what is there is marked
        ["image,sea,boat,dog", "1.jpg,1.0,0.0,0.0", "2.jpg,1.0,1.0,0.0", "3.jpg,0.0,0.0,0.0", "4.jpg,0.0,0.0,1.0"],
    ],
)
def test_a_column_a_class(tmp_path: Path, lines: list[str]) -> None:
    dataset = open_data(written(tmp_path, lines))
    assert dataset.format == "csv-multilabel"
    assert dataset.classes == {TASK: ("sea", "boat", "dog")}
    assert labels(dataset) == LABELS
    assert set(kinds(dataset).values()) <= {"note"}


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("image,tags", ["sea", "sea;boat", "", "dog"]),
        ("image,tags", ["sea", "sea boat", "", "dog"]),
        ("image,labels", ["sea", "sea|boat", "", "dog"]),
        ("image,labels", ["sea", "sea boat", "none", "dog"]),
        ("image\ttags", ["sea", "sea, boat", "", "dog"]),
        ("image;tags", ['["sea"]', '["sea", "boat"]', "[]", '["dog"]']),
        ("image;labels", ["['sea']", "['sea', 'boat']", "[]", "['dog']"]),  # as pandas writes lists
        ("image,label", ["sea", "boat;sea", "", "dog"]),
        ("image,label", ["sea", "boat|sea", "", "dog"]),
        ("image;label", ["sea", "boat, sea", "", "dog"]),
        ("image,attributes", ["sea", "boat sea", "", "dog"]),
    ],
)
def test_a_column_of_tags(tmp_path: Path, header: str, cells: list[str]) -> None:
    delimiter = next(mark for mark in "\t;," if mark in header)
    rows = [f"{number}.jpg{delimiter}{cell}" for number, cell in enumerate(cells, 1)]
    dataset = open_data(written(tmp_path, [header, *rows]))
    assert dataset.format == "csv-multilabel"
    assert dataset.classes == {TASK: ("boat", "dog", "sea")}
    assert labels(dataset) == LABELS


@pytest.mark.parametrize(
    ("lines", "classes", "expected"),
    [
        (  # fast.ai's table of PASCAL VOC 2007
            ["fname,labels,is_valid", "1.jpg,chair tvmonitor,True", "2.jpg,person,False", "3.jpg,person chair,False",
             "4.jpg,tvmonitor,False"],
            ("chair", "person", "tvmonitor"),
            {"1": ("chair", "tvmonitor"), "2": ("person",), "3": ("chair", "person"), "4": ("tvmonitor",)},
        ),
        (  # NIH ChestX-ray14
            ["Image Index,Finding Labels,Follow-up #,Patient Age", "1.jpg,Mass|Edema,0,58", "2.jpg,No Finding,1,33",
             "3.jpg,Edema,2,70", "4.jpg,Mass,0,41"],
            ("Edema", "Mass", "No Finding"),
            {"1": ("Edema", "Mass"), "2": ("No Finding",), "3": ("Edema",), "4": ("Mass",)},
        ),
        (  # CheXpert: empty and -1 are not known
            ["Path,Sex,Age,Cardiomegaly,Edema", "v1/a/1.jpg,Male,40,1.0,", "v1/a/2.jpg,Female,61,0.0,1.0",
             "v1/a/3.jpg,Male,52,-1.0,0.0", "v1/a/4.jpg,Male,9,1.0,1.0"],
            ("Cardiomegaly", "Edema"),
            {"1": ("Cardiomegaly",), "2": ("Edema",), "3": (), "4": ("Cardiomegaly", "Edema")},
        ),
        (  # Kaggle's Planet: names without suffix
            ["image_name,tags", "1,haze primary", "2,clear", "3,clear primary", "4,cloudy"],
            ("clear", "cloudy", "haze", "primary"),
            {"1": ("haze", "primary"), "2": ("clear",), "3": ("clear", "primary"), "4": ("cloudy",)},
        ),
    ],
    ids=["fastai", "nih", "chexpert", "planet"],
)  # fmt: skip
def test_tables_of_known_data_sets(
    tmp_path: Path, lines: list[str], classes: tuple[str, ...], expected: dict[str, tuple[str, ...]]
) -> None:
    dataset = open_data(written(tmp_path, lines))
    assert dataset.classes == {TASK: classes}
    assert labels(dataset) == expected
    assert "stop" not in kinds(dataset).values()
    if "is_valid" in lines[0]:
        assert [sample.id for sample in dataset.split("val")] == ["images/1.jpg"]


def test_numbers_of_classes_divided_by_spaces(tmp_path: Path) -> None:
    """As the Human Protein Atlas has them: a column called Target with "16 0"."""
    dataset = open_data(written(tmp_path, ["Id,Target", "1,5 0", "2,0", "3,12", "4,12 5"]))
    assert dataset.classes == {TASK: ("0", "5", "12")}
    assert labels(dataset) == {"1": ("0", "5"), "2": ("0",), "3": ("12",), "4": ("12", "5")}


def test_names_of_several_words_are_not_divided() -> None:
    breeds = ["golden retriever", "labrador retriever", "golden eagle"]
    assert tag_split(breeds) is None
    assert tag_split(breeds, plural=False) is None
    assert tag_split(["salt; pepper", "bread"], plural=False) is None  # no tag is found twice
    assert tag_split(["Smith, Ann", "Smith, Bob"], plural=False) is None  # none stands alone
    assert tag_split(["red wine, bread"]) is not None
    assert tags_of_list("[1, 2]") == ["1", "2"]
    assert tags_of_list('["a", {"b": 1}]') is None
    assert tags_of_list("[" * 10_000 + "]") is None


def test_one_class_in_each_row_is_classification(tmp_path: Path) -> None:
    """Tables with one 1 a row (ISIC) are of classes that exclude one another; the other task is there, too."""
    lines = ["image,MEL,NV,BCC", "1,1,0,0", "2,0,1,0", "3,0,0,1", "4,0,1,0"]
    dataset = open_data(written(tmp_path, lines))
    assert dataset.tasks == ("classification", TASK)
    assert [dataset.classes[task] for task in dataset.tasks] == [("MEL", "NV", "BCC")] * 2
    found = {Path(s.id).stem: s.target("classification").name for part in dataset.splits.values() for s in part}
    assert found == {"1": "MEL", "2": "NV", "3": "BCC", "4": "NV"}
    assert kinds(dataset)["one-class-each"] == "note"


def test_roboflows_folders(tmp_path: Path) -> None:
    """A table in each split folder, beside the images; never classification."""
    for split in ("train", "valid", "test"):
        pictures(tmp_path / split)
        lines = ["filename, sea, boat", "1.jpg, 1, 0", "2.jpg, 0, 1", "3.jpg, 1, 0", "4.jpg, 0, 1"]
        (tmp_path / split / "_classes.csv").write_text("\n".join(lines) + "\n")
    dataset = open_data(tmp_path)
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 4, "val": 4, "test": 4}
    assert dataset.tasks == (TASK,)
    assert dataset.classes[TASK] == ("sea", "boat")
    assert dataset.split("val")[1].id == "valid/2.jpg"
    assert labels(dataset)["4"] == ("boat",)


def test_roboflows_table_of_mask_values_is_none(tmp_path: Path) -> None:
    pictures(tmp_path / "train")
    (tmp_path / "train" / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, sea\n")
    assert open_data(tmp_path).format == "images"


def test_a_table_a_split(tmp_path: Path) -> None:
    written(tmp_path, ["image,tags", "1.jpg,sea boat", "2.jpg,sea"], "train.csv")
    written(tmp_path, ["image,tags", "3.jpg,boat", "4.jpg,"], "val.csv")
    dataset = open_data(tmp_path)
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 2, "val": 2}
    assert labels(dataset) == {"1": ("boat", "sea"), "2": ("sea",), "3": ("boat",), "4": ()}


def test_a_column_of_splits(tmp_path: Path) -> None:
    lines = ["image,split,sea,boat", "1.jpg,train,1,1", "2.jpg,train,0,1", "3.jpg,valid,1,0", "4.jpg,test,0,0"]
    dataset = open_data(written(tmp_path, lines))
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 2, "val": 1, "test": 1}
    assert dataset.classes[TASK] == ("sea", "boat")


def test_what_is_not_known(tmp_path: Path) -> None:
    """An empty cell or -1 beside 0 and 1 says nothing of a class."""
    lines = ["image,sea,boat", "1.jpg,1,", "2.jpg,0,1", "3.jpg,-1,0", "4.jpg,1,1"]
    dataset = open_data(written(tmp_path, lines))
    codes = {Path(s.id).stem: s.target(TASK).codes.tolist() for part in dataset.splits.values() for s in part}
    assert codes == {"1": [1, 255], "2": [0, 1], "3": [255, 0], "4": [1, 1]}
    (finding,) = (finding for finding in dataset.findings if finding.kind == "unknown-label")
    assert finding.count == 2


def test_several_rows_an_image(tmp_path: Path) -> None:
    """Where the column says that there may be several; of a column of classes only when it is asked for."""
    rows = ["1.jpg,sea", "2.jpg,sea", "2.jpg,boat", "4.jpg,dog", "3.jpg,boat"]
    expected = {"1": ("sea",), "2": ("boat", "sea"), "4": ("dog",), "3": ("boat",)}
    assert labels(open_data(written(tmp_path / "a", ["image,tags", *rows]))) == expected
    root = written(tmp_path / "b", ["image,class", *rows])
    dataset = open_data(root)
    assert dataset.format == "csv"
    (finding,) = (finding for finding in dataset.findings if finding.kind == "conflicting-labels")
    assert finding.severity == "stop"
    assert "--format csv-multilabel" in finding.message
    assert labels(open_data(root, format="csv-multilabel")) == expected


def test_a_cell_that_says_neither_yes_nor_no_is_a_stop(tmp_path: Path) -> None:
    lines = ["image,sea,boat", "1.jpg,1,0", "2.jpg,7,1", "3.jpg,0,0", "4.jpg,1,1"]
    dataset = open_data(written(tmp_path, lines))
    (finding,) = (finding for finding in dataset.findings if finding.kind == "neither-yes-nor-no")
    assert (finding.severity, finding.examples) == ("stop", ("labels.csv, row 3, sea: 7",))


def test_images_that_nobody_labelled_are_left_out_and_said(tmp_path: Path) -> None:
    lines = ["filename, sea, boat, Unlabeled", "1.jpg, 1, 1, 0", "2.jpg, 0, 1, 0", "3.jpg, 0, 0, 1", "4.jpg, 0, 0, 0"]
    dataset = open_data(written(tmp_path, lines))
    assert dataset.classes[TASK] == ("sea", "boat")
    assert labels(dataset) == {"1": ("boat", "sea"), "2": ("boat",), "4": ()}
    (finding,) = (finding for finding in dataset.findings if finding.kind == "unlabelled-image")
    assert (finding.count, finding.severity) == (1, "repair")


def test_rows_that_contradict_one_another_are_a_stop(tmp_path: Path) -> None:
    lines = ["image,sea,boat", "1.jpg,1,0", "1.jpg,1,0", "2.jpg,1,1", "2.jpg,0,1", "3.jpg,0,0"]
    assert {"duplicate-row": "note", "conflicting-labels": "stop"}.items() <= kinds(
        open_data(written(tmp_path, lines))
    ).items()


def test_columns_that_are_no_classes_are_named(tmp_path: Path) -> None:
    lines = ["image,age,is_valid,sea,boat", "1.jpg,71,0,1,0", "2.jpg,9,0,1,1", "3.jpg,23,1,0,0", "4.jpg,5,1,0,1"]
    dataset = open_data(written(tmp_path, lines))
    assert dataset.classes[TASK] == ("sea", "boat")
    (finding,) = (finding for finding in dataset.findings if finding.kind == "unused-column")
    assert finding.examples == ("labels.csv: age",)


def test_a_class_that_train_lacks_is_a_stop(tmp_path: Path) -> None:
    lines = ["image,split,tags", "1.jpg,train,sea", "2.jpg,train,sea boat", "3.jpg,val,cat sea", "4.jpg,val,boat"]
    dataset = open_data(written(tmp_path, lines))
    assert kinds(dataset)["unknown-class"] == "stop"


def test_a_table_of_another_split_that_lacks_a_class_says_nothing_of_it(tmp_path: Path) -> None:
    written(tmp_path, ["image,sea,boat", "1.jpg,1,0", "2.jpg,1,1"], "train.csv")
    written(tmp_path, ["image,boat,extra", "3.jpg,1,0", "4.jpg,0,0"], "val.csv")
    dataset = open_data(tmp_path)
    assert [sample.target(TASK).codes.tolist() for sample in dataset.split("val")] == [[255, 1], [255, 0]]


def test_missing_images_are_counted(tmp_path: Path) -> None:
    lines = ["image,sea,boat", "1.jpg,1,0", "2.jpg,1,1", "8.jpg,0,1", "9.jpg,0,0"]
    assert kinds(open_data(written(tmp_path, lines)))["missing-image"] == "stop"
    with pytest.raises(DataError, match="no image"):
        open_data(written(tmp_path / "b", ["image,sea,boat", "8.jpg,1,0", "9.jpg,0,1"]))


@pytest.mark.parametrize(
    ("lines", "format"),
    [
        (["image,label", "1.jpg,cat", "2.jpg,dog", "3.jpg,cat", "4.jpg,dog"], "csv"),
        (["image,label", "1.jpg,golden retriever", "2.jpg,labrador retriever", "3.jpg,husky", "4.jpg,husky"], "csv"),
        (["image,label,is_valid", "1.jpg,0,0", "2.jpg,1,0", "3.jpg,1,1", "4.jpg,0,0"], "csv"),
        (["image,nose_x,nose_y", "1.jpg,1,0", "2.jpg,1,1", "3.jpg,0,1", "4.jpg,0,0"], "csv-landmarks"),
        (["image,caption", "1.jpg,a b", "2.jpg,a", "3.jpg,b", "4.jpg,c"], "captions"),
    ],
)
def test_other_tables_are_left_to_their_readers(tmp_path: Path, lines: list[str], format: str) -> None:
    assert open_data(written(tmp_path, lines)).format == format


def test_the_whole_check_and_what_predictions_write_back(tmp_path: Path) -> None:
    from visus.structures import LabelSet
    from visus.workflow.saving import table

    classes, limits = ("sea", "boat", "dog"), np.full(3, 0.5, np.float32)
    rows = []
    for number, scores in enumerate([(0.9, 0.8, 0.1), (0.6, 0.2, 0.3), (0.1, 0.2, 0.3), (0.2, 0.9, 0.8)], 1):
        value = LabelSet.of_scores(classes, np.asarray(scores, np.float32), limits)
        rows += value.rows(f"images/{number}.jpg")
    dataset = open_data(written(tmp_path, table(rows).splitlines(), "predictions.csv"))
    assert labels(dataset) == {"1": ("boat", "sea"), "2": ("sea",), "3": (), "4": ("boat", "dog")}
    assert not [finding for finding in check(dataset, TASK) if finding.severity == "stop"]


def test_two_columns_of_one_class_are_refused(tmp_path: Path) -> None:
    lines = ["image,sea,boat,sea", "1.jpg,1,0,0", "2.jpg,0,1,1", "3.jpg,1,0,0", "4.jpg,0,0,1"]
    with pytest.raises(DataError, match="several columns of one class"):
        open_data(written(tmp_path, lines))


def test_a_table_that_is_damaged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VisusError):
        open_data(written(tmp_path, ["image,sea,boat", "1.jpg,1,0", "2.jpg,1", "3.jpg,0,1,1,1"]))
