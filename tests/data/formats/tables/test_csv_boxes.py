"""Tables of boxes: the columns of known tools, in pixels and in fractions, give the boxes that were written."""

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


def opened(root: Path, text: str, count: int = 2, name: str = "boxes.csv") -> Dataset:
    pictures(root / "images", count)
    (root / name).write_text(text)
    return open_data(root)


def boxes_of(dataset: Dataset) -> dict[str, list[tuple[str, list[float]]]]:
    """From the stem of an image to the classes and boxes of its objects, of all splits."""
    found = {}
    for part in dataset.splits.values():
        for sample in part:
            target = sample.target("detection")
            boxes = [[round(float(value), 3) for value in box] for box in target.boxes]
            found[Path(sample.id).stem] = list(zip([target.classes[i] for i in target.labels], boxes, strict=True))
    return found


def severities(dataset: Dataset) -> dict[str, str]:
    return {finding.kind: finding.severity for finding in dataset.findings}


CAT, DOG = ("cat", [5, 6, 25, 20]), ("dog", [1, 2, 11, 22])


@pytest.mark.parametrize(
    "text",
    [
        "filename,width,height,class,xmin,ymin,xmax,ymax\n0.png,40,30,cat,5,6,25,20\n1.png,40,30,dog,1,2,11,22\n",
        '"image","xmin","ymin","xmax","ymax","label"\n"0.png",5,6,25,20,"cat"\n"1.png",1,2,11,22,"dog"\n',
        "images/0.png,5,6,25,20,cat\nimages/1.png,1,2,11,22,dog\n",
        'image_id,width,height,bbox,label\n0,40,30,"[5.0, 6.0, 20.0, 14.0]",cat\n1,40,30,"[1, 2, 10, 20]",dog\n',
        "image_id,box,label\n0,5 6 25 20,cat\n1,1 2 11 22,dog\n",
        "image;x;y;w;h;label\n0.png;5;6;20;14;cat\n1.png;1;2;10;20;dog\n",
        "image,left,top,width,height,category\n0.png,5,6,20,14,cat\n1.png,1,2,10,20,dog\n",
        "image,bbox_x,bbox_y,bbox_width,bbox_height,category\n0.png,5,6,20,14,cat\n1.png,1,2,10,20,dog\n",
        "image,class,x1,y1,x2,y2\n0.png,cat,5,6,25,20\n1.png,dog,1,2,11,22\n",
        "image,class,x0,y0,x1,y1\n0.png,cat,5,6,25,20\n1.png,dog,1,2,11,22\n",
        "image,label,cx,cy,w,h\n0.png,cat,15,13,20,14\n1.png,dog,6,12,10,20\n",
        "image,label,x_center,y_center,width,height\n0.png,cat,0.375,0.43333333,0.5,0.46666667\n"
        "1.png,dog,0.15,0.4,0.25,0.66666667\n",
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\n0,v,cat,1,0.125,0.625,0.2,0.66666667\n"
        "1,v,dog,1,0.025,0.275,0.06666667,0.73333333\n",
        "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;label\n0.png;40;30;5;6;25;20;cat\n1.png;40;30;1;2;11;22;dog\n",
        "TRAIN,gs://bucket/images/0.png,cat,0.125,0.2,,,0.625,0.66666667,,\n"
        "TRAIN,gs://bucket/images/1.png,dog,0.025,0.06666667,,,0.275,0.73333333,,\n",
    ],
)
def test_the_columns_of_known_tools(text: str, tmp_path: Path) -> None:
    dataset = opened(tmp_path, text)
    assert (dataset.format, dataset.tasks) == ("csv-boxes", ("detection",))
    assert boxes_of(dataset) == {"0": [CAT], "1": [DOG]}
    assert "stop" not in severities(dataset).values()


def test_several_rows_an_image_and_images_without_objects(tmp_path: Path) -> None:
    text = "path,xmin,ymin,xmax,ymax,label\n0.png,5,6,25,20,cat\n1.png,,,,,\n0.png,1,2,11,22,dog\n"
    text += "2.png,nan,nan,nan,nan,none\n"
    dataset = opened(tmp_path, text, count=3)
    assert boxes_of(dataset) == {"0": [CAT, DOG], "1": [], "2": []}
    assert dataset.ledger.to_dict()["objects"] == {"found": 2, "used": 2, "left": {}}


def test_retinanet_without_header_and_with_empty_rows(tmp_path: Path) -> None:
    dataset = opened(tmp_path, "images/0.png,5,6,25,20,cat\nimages/1.png,,,,,\nimages/0.png,1,2,11,22,dog\n")
    assert boxes_of(dataset) == {"0": [CAT, DOG], "1": []}


def test_cells_with_several_boxes_and_dictionaries(tmp_path: Path) -> None:
    text = "image_id,annotations\n0,\"[{'x': 5, 'y': 6, 'width': 20, 'height': 14}]\"\n1,[]\n"
    dataset = opened(tmp_path, text)
    assert boxes_of(dataset) == {"0": [("object", CAT[1])], "1": []}
    (tmp_path / "boxes.csv").write_text(
        "image_name,BoxesString,domain\n0.png,5 6 25 20;1 2 11 22,field\n1.png,no_box,field\n"
    )
    assert boxes_of(open_data(tmp_path)) == {"0": [("object", CAT[1]), ("object", DOG[1])], "1": []}


def test_cells_that_are_no_box_are_lost_and_stop(tmp_path: Path) -> None:
    dataset = opened(tmp_path, 'image,bbox\n0,"[5, 6, 20, 14]"\n1,"[1, 2, 10]"\n2,"[1, 2, 10, 20, 9]"\n', count=3)
    assert severities(dataset)["box-not-a-number"] == "stop"


def test_without_classes_all_boxes_are_objects(tmp_path: Path) -> None:
    dataset = opened(tmp_path, 'image_id,width,height,bbox,source\n0,40,30,"[5, 6, 20, 14]",usask\n')
    assert boxes_of(dataset) == {"0": [("object", CAT[1])]}
    assert severities(dataset)["one-class"] == "note"
    (finding,) = [finding for finding in dataset.findings if finding.kind == "unused-column"]
    assert finding.examples == ("boxes.csv: source",)


def test_numbers_get_the_names_of_a_class_list(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text("Bird,0\nCat,1\nDog,2\n")
    dataset = opened(tmp_path, "image,xmin,ymin,xmax,ymax,class_id\n0.png,5,6,25,20,1\n1.png,1,2,11,22,2\n")
    assert dataset.classes["detection"] == ("Bird", "Cat", "Dog")
    assert boxes_of(dataset) == {"0": [("Cat", CAT[1])], "1": [("Dog", DOG[1])]}


def test_codes_of_openimages_get_their_names_and_groups_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "class-descriptions-boxable.csv").write_text("/m/011k07,Tortoise\n/m/01yrx,Cat\n/m/0bt9lr,Dog\n")
    rows = "0,/m/01yrx,0.125,0.625,0.2,0.66666667,0\n1,/m/0bt9lr,0.025,0.275,0.06666667,0.73333333,1\n"
    rows += "1,/m/0bt9lr,0.5,0.75,0.5,1.0,0\n"
    dataset = opened(tmp_path, "ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf\n" + rows)
    assert dataset.classes["detection"] == ("Cat", "Dog")
    assert boxes_of(dataset)["0"] == [("Cat", CAT[1])]
    ignored = [s.target("detection").ignored.tolist() for part in dataset.splits.values() for s in part if "1" in s.id]
    assert ignored == [[True, False]]


def test_tables_in_the_folders_of_splits(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        pictures(tmp_path / split, 2)
        header = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
        (tmp_path / split / "_annotations.csv").write_text(
            header + "0.png,40,30,cat,5,6,25,20\n1.png,40,30,dog,1,2,11,22\n"
        )
    dataset = open_data(tmp_path)
    assert {split: len(part) for split, part in dataset.splits.items()} == {"train": 2, "val": 2}


def test_a_column_of_splits(tmp_path: Path) -> None:
    text = "image,xmin,ymin,xmax,ymax,label,subset\n0.png,5,6,25,20,cat,train\n1.png,1,2,11,22,cat,test\n"
    dataset = opened(tmp_path, text)
    assert [sample.id for sample in dataset.split("test")] == ["images/1.png"]


def test_half_of_the_boxes_in_fractions_stop(tmp_path: Path) -> None:
    rows = "0.png,5,6,25,20,cat\n0.png,0.1,0.2,0.3,0.4,cat\n1.png,1,2,11,22,cat\n1.png,0.2,0.1,0.5,0.4,cat\n"
    assert severities(opened(tmp_path, "image,xmin,ymin,xmax,ymax,label\n" + rows))["box-in-fractions"] == "stop"


def test_images_scaled_after_labelling(tmp_path: Path) -> None:
    rows = "0.png,80,60,cat,10,12,50,40\n1.png,80,60,dog,2,4,22,44\n"
    dataset = opened(tmp_path, "filename,width,height,class,xmin,ymin,xmax,ymax\n" + rows)
    assert boxes_of(dataset) == {"0": [CAT], "1": [DOG]}


def test_a_wrong_size_moves_no_box(tmp_path: Path) -> None:
    rows = "0.png,20,15,cat,5,6,25,20\n1.png,20,15,dog,1,2,11,22\n"
    dataset = opened(tmp_path, "filename,width,height,class,xmin,ymin,xmax,ymax\n" + rows)
    assert boxes_of(dataset) == {"0": [CAT], "1": [DOG]}


def test_boxes_of_larger_images_stop(tmp_path: Path) -> None:
    rows = "".join(f"{n}.png,{200 + n},100,300,180,cat\n" for n in range(4))
    dataset = opened(tmp_path, "image,xmin,ymin,xmax,ymax,label\n" + rows, count=4)
    assert "stop" in [finding.severity for finding in check(dataset)]


def test_missing_images_and_boxes_without_class_are_counted(tmp_path: Path) -> None:
    rows = "0.png,5,6,25,20,cat\n1.png,1,2,11,22,\n8.png,1,2,11,22,cat\n9.png,1,2,11,22,cat\n"
    dataset = opened(tmp_path, "image,xmin,ymin,xmax,ymax,label\n" + rows)
    assert dataset.ledger.to_dict()["objects"] == {
        "found": 4,
        "used": 1,
        "left": {"object-without-image": 2, "object-without-class": 1},
    }
    assert severities(dataset)["missing-image"] == "stop"


def test_no_image_is_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no image that boxes\.csv names exists"):
        opened(tmp_path, "image,xmin,ymin,xmax,ymax,label\nx.png,5,6,25,20,cat\n", count=1)
