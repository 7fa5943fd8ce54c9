"""Recognises the label files of tools that visus does not read, and says how to bring them here."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from visus.data.formats.listing import Listing
from visus.errors import DataError
from visus.files.regular import GIB, open_regular

_HEAD = 4096  # bytes of a file that are looked at
_FOLDERS = 50  # so many folders are looked into
_OF_EACH = 2  # files of each suffix in a folder

Matches = Callable[[Path, bytes], bool]
"""Whether a file, given its path and its first bytes, is of a kind."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One kind of label file.

    Args:
        name: of the tool or data set.
        matches: whether a file, given its path and its first bytes, is of this kind.
        advice: how to bring it here, in one line.
    """

    name: str
    matches: Matches
    advice: str


def _keys(*names: str) -> Matches:
    """Files whose beginning has all of these keys of JSON."""
    quoted = [f'"{name}"'.encode() for name in names]
    return lambda _, head: all(name in head for name in quoted)


def _called(pattern: str) -> Matches:
    """Files whose lower-case name matches a pattern."""
    return lambda path, _: re.fullmatch(pattern, path.name.lower()) is not None


def _begins(*starts: bytes) -> Matches:
    """Files that begin with one of these bytes."""
    return lambda _, head: head.startswith(starts)


def _holds(pattern: bytes) -> Matches:
    """Files whose beginning matches a pattern."""
    return lambda _, head: re.search(pattern, head) is not None


def _both(first: Matches, second: Matches) -> Matches:
    return lambda path, head: first(path, head) and second(path, head)


def _any(*kinds: Matches) -> Matches:
    return lambda path, head: any(matches(path, head) for matches in kinds)


_NUMBER = rb"-?[\d.]+(?:e-?\d+)?"
_TEXT = _called(r".*\.(txt|lst|list)")

TOOLS: tuple[Tool, ...] = (
    Tool("a project of VIA 3", _keys("project", "pid", "config"), "export it as COCO (Project, Export)"),
    Tool("a table of VIA 3", _begins(b"# Exported using VGG"), "export the project as COCO instead"),
    Tool("masks of Segment Anything", _keys("predicted_iou", "stability_score"),
         "these have no classes: give each mask a class, and write them as COCO"),
    Tool("COCO's panoptic labels", _keys("segments_info"),
         "put the folder of its PNG files beside the JSON file"),
    Tool("COCO's captions", _keys("caption", "image_id"), "no task of visus learns from captions"),
    Tool("predictions in COCO's form", _keys("image_id", "category_id", "score"), "these are results, not labels"),
    Tool("samples of FiftyOne", _any(_keys("_media_type"), _keys("sample_fields"), _keys("samples", "_cls")),
         "export them with fiftyone.types.COCODetectionDataset or ImageClassificationDirectoryTree"),
    Tool("polygons of Cityscapes", _keys("imgHeight", "imgWidth", "objects"),
         "use the images *_labelIds.png or *_labelTrainIds.png as masks"),
    Tool("labels of BDD100K or Scalabel", _any(_keys("box2d"), _keys("poly2d")),
         "convert them with scalabel.label.to_coco"),
    Tool("Datumaro's own JSON", _any(_keys("dm_format_version"), _keys("media_type", "infos", "categories")),
         "convert them with datum convert -f coco_instances"),
    Tool("a backup of CVAT", _keys("shapes", "tracks", "tags"), 'export the task as "CVAT for images 1.1" or COCO'),
    Tool("Ultralytics' NDJSON", _both(_called(r".*\.ndjson"), _keys("type", "dataset")),
         "convert them with ultralytics.data.converter.convert_ndjson_to_yolo"),
    Tool("an export of Labelbox", _keys("data_row"),
         "write its annotations as COCO; boxes are top, left, height, width"),
    Tool("V7 Darwin's JSON", _any(_keys("schema_ref"), _keys("item", "slots", "annotations")),
         "convert them with darwin dataset convert NAME coco"),
    Tool("an export of SuperAnnotate", _any(_keys("instances", "lastAction"), _keys("instances", "pointLabels")),
         "convert them with superannotate's export_annotation(..., 'COCO')"),
    Tool("an export of Scale", _keys("task_id", "response"), "write its annotations as COCO: x, y, width, height"),
    Tool("Prodigy's JSONL", _any(_keys("_input_hash"), _keys("_task_hash")),
         "write its spans as COCO, or its answers as a table of path and label"),
    Tool("a manifest of SageMaker Ground Truth", _holds(rb'"source-ref"'),
         "write its annotations as COCO, or its class names as a table of path and label"),
    Tool("an import file of Google's Vertex AI", _any(_keys("imageGcsUri"), _holds(rb"(?m)^[^\n]{0,40}gs://")),
         "download the images, and write a table of path and label, or boxes as COCO"),
    Tool("JSONL of Azure Machine Learning", _keys("image_url", "image_details"),
         "download the images; its boxes are fractions: write them as COCO in pixels"),
    Tool("an export of Azure Custom Vision", _keys("tagName", "regions"), "write its regions as COCO"),
    Tool("JSON of Sloth", _holds(rb'"class"\s*:\s*"image"'), "write its rectangles as COCO"),
    Tool("MMDetection's own JSON", _keys("metainfo", "data_list"), "use the COCO files from which it was made"),
    Tool("JSONL of Grounding DINO (ODVG)", _keys("detection", "instances"), "write its instances as COCO"),
    Tool("GeoJSON, as of QuPath", _holds(rb'"type"\s*:\s*"Feature'), "export label images (masks) from the program"),
    Tool("XML of a viewer of slides (ASAP, Aperio)", _holds(rb"<(ASAP_Annotations|Annotations\s+MicronsPerPixel)"),
         "export label images (masks) from the program"),
    Tool("a table of DeepLabCut", _begins(b"scorer,"),
         "write a table with the columns path, NAME_x and NAME_y of each point"),
    Tool("labels of SLEAP", _called(r".*\.slp"), "save them as COCO with sleap_io.save_coco"),
    Tool("shapes of napari", _begins(b"index,shape-type"), "save a labels layer as TIFF instead"),
    Tool("regions of ImageJ", _any(_called(r".*\.roi"), _begins(b"Iout")),
         "make a label image of them (Plugins, LOCI or MorphoLibJ) and save it as TIFF"),
    Tool("masks of Cellpose", _called(r".*_seg\.npy"), "save them as images (--save_png or --save_tif)"),
    Tool("tracks of MOT or MOTS", _both(_called(r"(gt|det)\.txt"), _holds(rb"\A(?:" + _NUMBER + rb",){8,9}" + _NUMBER)),
         "write the boxes as COCO, a file for each sequence; frames count from 1"),
    Tool("annotations of VisDrone", _both(_called(r".*\.txt"), _holds(rb"\A\d+,\d+,\d+,\d+,[01],\d+,\d,\d")),
         "convert them to YOLO or COCO"),
    Tool("boxes of SVHN", _called(r"digitstruct\.mat"),
         "read this HDF5 file with h5py and write the boxes as COCO; or take the cropped digits, train_32x32.mat"),
    Tool("a MATLAB file", _begins(b"MATLAB "),
         "read it with scipy.io.loadmat (or h5py, version 7.3) and write a table or COCO"),
    Tool("an HDF5 file", _begins(b"\x89HDF"), "read it with h5py and write images, and a table or COCO"),
    Tool("TFRecord", _any(_called(r".*\.(tfrecords?|record)(-\d+-of-\d+|\.gz)?"), _called(r".*\.tfrecord-.*")),
         "read it with tensorflow_datasets or the tfrecord package and write images, and a table or COCO"),
    Tool("LMDB", _called(r".*\.mdb|.*\.lmdb"), "read it with the lmdb package and write images, and a table or COCO"),
    Tool("a pickle", _both(_called(r".*\.(pkl|pickle)"), _begins(b"\x80")),
         "visus opens none, because they can run code; save the labels as COCO (detectron2: convert_to_coco_json)"),
    Tool("a list of images and class numbers, as of ImageNet and Caffe",
         _both(_TEXT, _holds(rb"(?i)\A\S+\.(?:jpe?g|png|bmp|webp|tiff?)[ \t]+\d+\s*(?:\n|\Z)")),
         "save it as a table: a line path,label above, and commas for the spaces"),
)  # fmt: skip
"""The kinds of label files that visus knows but does not read; the first that matches is named."""


def recognise_tool(paths: Sequence[Path]) -> str:
    """What these files look like and how to bring them here, in one line; "" if nothing matches."""
    for path in paths:
        try:
            with open_regular(path, limit=1024 * GIB) as stream:
                head = stream.read(_HEAD)
        except (DataError, OSError):
            continue
        for tool in TOOLS:
            if tool.matches(path, head):
                return f"they look like {tool.name}; {tool.advice}"
    return ""


def recognise_tool_below(listing: Listing) -> str:
    """The same of a few files of each folder below the root that are no images."""
    paths: list[Path] = []
    for folder in [folder for folder, _ in zip(listing.folders_below(listing.root), range(_FOLDERS), strict=False)]:
        for suffix in sorted(listing.suffixes(folder)):
            files = listing.files_with(suffix, folder=folder)[:_OF_EACH]
            paths += [path for path in files if not listing.is_image(path)]
    return recognise_tool(paths)
