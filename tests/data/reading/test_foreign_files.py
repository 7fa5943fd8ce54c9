"""Files of tools that visus does not read are named, with what to do; their beginnings are written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tool_exports import draw
from visus.data.reading.foreign_files import TOOLS, recognise_tool
from visus.data.reading.opening import open_data
from visus.errors import DataError

BEGINNINGS: dict[str, tuple[str, bytes]] = {
    "a project of VIA 3": ("via.json", b'{"project":{"pid":"__VIA_PROJECT_ID__","pname":"x"},"config":{}}'),
    "a table of VIA 3": ("via.csv", b"# Exported using VGG Image Annotator (http://www.robots.ox.ac.uk)\n"),
    "masks of Segment Anything": ("sa_1.json", b'{"annotations": [{"predicted_iou": 1, "stability_score": 1}]}'),
    "COCO's panoptic labels": ("panoptic_val.json", b'{"annotations": [{"segments_info": [], "file_name": "1.png"}]}'),
    "COCO's captions": ("captions_val.json", b'[{"image_id": 1, "id": 2, "caption": "A cat."}]'),
    "predictions in COCO's form": ("r.json", b'[{"image_id": 1, "category_id": 2, "bbox": [], "score": 0.5}]'),
    "samples of FiftyOne": ("samples.json", b'{"samples": [{"filepath": "a", "_media_type": "image"}]}'),
    "polygons of Cityscapes": ("a_gtFine_polygons.json", b'{"imgHeight": 1, "imgWidth": 2, "objects": []}'),
    "labels of BDD100K or Scalabel": ("bdd.json", b'[{"name": "a.jpg", "labels": [{"box2d": {}}]}]'),
    "Datumaro's own JSON": ("default.json", b'{"dm_format_version": "1.0", "infos": {}}'),
    "a backup of CVAT": ("annotations.json", b'[{"version": 0, "tags": [], "shapes": [], "tracks": []}]'),
    "Ultralytics' NDJSON": ("d.ndjson", b'{"type": "dataset", "task": "detect"}\n'),
    "an export of Labelbox": ("export.ndjson", b'{"data_row": {"id": "x"}, "projects": {}}'),
    "V7 Darwin's JSON": ("1.json", b'{"version": "2.0", "schema_ref": "https://darwin-public.s3.amazonaws.com/x"}'),
    "an export of SuperAnnotate": ("a.jpg___objects.json", b'{"metadata": {"lastAction": {}}, "instances": []}'),
    "an export of Scale": ("scale.json", b'[{"task_id": "1", "response": {"annotations": []}}]'),
    "Prodigy's JSONL": ("p.jsonl", b'{"image": "a.jpg", "_input_hash": 1, "spans": []}'),
    "a manifest of SageMaker Ground Truth": ("output.manifest", b'{"source-ref": "s3://b/a.jpg", "job": {}}'),
    "an import file of Google's Vertex AI": ("import.csv", b"TRAIN,gs://bucket/a.jpg,cat\n"),
    "JSONL of Azure Machine Learning": ("t.jsonl", b'{"image_url": "azureml://a", "image_details": {}, "label": []}'),
    "an export of Azure Custom Vision": ("c.json", b'{"images": [{"regions": [{"tagName": "cat"}]}]}'),
    "JSON of Sloth": ("sloth.json", b'[{"class": "image", "filename": "a.jpg", "annotations": []}]'),
    "MMDetection's own JSON": ("mm.json", b'{"metainfo": {}, "data_list": []}'),
    "JSONL of Grounding DINO (ODVG)": ("o.jsonl", b'{"filename": "a.jpg", "detection": {"instances": []}}'),
    "GeoJSON, as of QuPath": ("a.geojson", b'{"type": "FeatureCollection", "features": []}'),
    "XML of a viewer of slides (ASAP, Aperio)": ("a.xml", b"<?xml version='1.0'?><ASAP_Annotations>"),
    "a table of DeepLabCut": ("CollectedData_ann.csv", b"scorer,ann,ann\nbodyparts,nose,nose\ncoords,x,y\n"),
    "labels of SLEAP": ("labels.v001.slp", b"\x89HDF\r\n"),
    "shapes of napari": ("s.csv", b"index,shape-type,vertex-index,axis-0,axis-1\n"),
    "regions of ImageJ": ("a.roi", b"Iout\x00"),
    "masks of Cellpose": ("a_seg.npy", b"\x93NUMPY"),
    "tracks of MOT or MOTS": ("gt.txt", b"1,1,912,484,97,109,1,1,1\n"),
    "annotations of VisDrone": ("0001.txt", b"684,8,273,116,0,0,0,0\n"),
    "boxes of SVHN": ("digitStruct.mat", b"MATLAB 7.3 MAT-file"),
    "a MATLAB file": ("cars_annos.mat", b"MATLAB 5.0 MAT-file"),
    "an HDF5 file": ("d.h5", b"\x89HDF\r\n"),
    "TFRecord": ("train.tfrecord-00000-of-00002", b"\x00"),
    "LMDB": ("data.mdb", b"\x00"),
    "a pickle": ("d.pkl", b"\x80\x04"),
    "a list of images and class numbers, as of ImageNet and Caffe": ("val.txt", b"n01440764/a.JPEG 0\nb.JPEG 12\n"),
}  # fmt: skip


def test_every_tool_is_tried() -> None:
    assert list(BEGINNINGS) == [tool.name for tool in TOOLS]


@pytest.mark.parametrize("name", BEGINNINGS)
def test_a_file_is_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    file, head = BEGINNINGS[name]
    (tmp_path / file).write_bytes(head)
    assert recognise_tool([tmp_path / file]).startswith(f"they look like {name}; ")


@pytest.mark.parametrize("text", ["cat\ndog\n", "0 0.5 0.5 0.1 0.1\n", "0,0.5,0.5,0.1,0.1\n", "a remark on 3 images\n"])
def test_other_text_is_not_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "gt.txt").write_text(text)
    assert recognise_tool([tmp_path / "gt.txt"]) == ""


def test_a_folder_that_nothing_reads_names_the_tool_in_it(tmp_path: Path) -> None:
    draw(tmp_path, ["MOT17-02/img1/000001.jpg", "MOT17-04/img1/000001.jpg"])
    for sequence in ("MOT17-02", "MOT17-04"):
        (tmp_path / sequence / "gt").mkdir()
        (tmp_path / sequence / "gt" / "gt.txt").write_bytes(BEGINNINGS["tracks of MOT or MOTS"][1])
    try:
        found = " ".join(finding.message for finding in open_data(tmp_path).findings)
    except DataError as error:
        found = error.remedy
    assert "they look like tracks of MOT" in found


def test_images_beside_it_name_the_tool(tmp_path: Path) -> None:
    draw(tmp_path, ["1.jpg", "2.jpg"])
    (tmp_path / "labels.pkl").write_bytes(b"\x80\x04")
    findings = {finding.kind: finding.message for finding in open_data(tmp_path).findings}
    assert "a pickle" in findings["file-passed-over"]
