"""Networks leave as files that answer alike, or not at all: the export as a whole."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import visus
from visus.answers.table import reader_from
from visus.engine.exported_card import ExportedCard
from visus.errors import ExportError, ShapeError, TaskMismatchError, UsageError, WeightsError


def session_of(path):
    return onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])


def card_of(session):
    return ExportedCard.from_metadata(session.get_modelmeta().custom_metadata_map)


def network(name, **options):
    torch.manual_seed(3)
    return visus.create(name, **options)


@pytest.fixture(scope="module")
def lenet(tmp_path_factory):
    """A network, and the file that it became; it was in train mode."""
    made = network("lenet5@modern", classes=4).train()
    return made, visus.export(made, path=tmp_path_factory.mktemp("out") / "a.onnx", name="lenet5@modern", classes=4)


def test_one_file_is_enough_wherever_it_is_taken(lenet, tmp_path):
    made, done = lenet
    assert made.training
    alone = tmp_path / "elsewhere.onnx"
    shutil.copy(done.file, alone)
    session = session_of(alone)
    card = card_of(session)
    card.require_graph(
        {one.name: one.shape for one in session.get_inputs()}, [one.name for one in session.get_outputs()]
    )
    assert card.info.classes == ("class 0", "class 1", "class 2", "class 3")
    assert card.info.preprocessing.size == (32, 32)
    assert card.check["passed"] is True
    made.eval()
    for count in (1, 2, 5):
        images = torch.randn(count, 1, 32, 32)
        got = dict(zip(card.outputs, session.run(None, {"images": images.numpy()}), strict=True))
        with torch.no_grad():
            expected = made(images).softmax(1).numpy()
        labels = reader_from(card.reader).read(got, (32, 32))
        assert np.allclose([label.scores for label in labels], expected, atol=1e-6)
    model = onnx.load(str(alone))
    assert (model.ir_version, model.opset_import[0].version) == (10, 20)
    onnx.checker.check_model(model)


def test_the_check_lies_beside_it(lenet):
    _, done = lenet
    assert sorted(path.name for path in done.file.parent.iterdir()) == ["a.check.json", "a.onnx"]
    report = json.loads(done.report.read_text())
    assert report["passed"]
    assert report["batches"] == [1, 3]
    assert report["agreement"] == 1
    assert report["outputs"][0]["relative"] < report["outputs"][0]["limit"] == 5e-4
    assert set(report["versions"]) == {"visus", "torch", "onnx", "onnxscript", "onnxruntime"}
    assert "next: visus predict" in str(done)
    assert json.loads(json.dumps(done.to_dict()))["input"] == {
        "name": "images", "batch": "dynamic", "size": [32, 32], "multiple": 1, "smallest": [1, 1],
    }  # fmt: skip


def test_an_old_file_is_checked_again(lenet):
    made, done = lenet
    again = visus.export(made, path=done.file, name="lenet5@modern", classes=4, check_only=True)
    assert again.check.passed
    assert again.report is None
    other = network("lenet5@modern", classes=4)
    torch.nn.init.normal_(other.f6.weight)
    with pytest.raises(ExportError, match="other weights") as caught:
        visus.export(other, path=done.file, name="lenet5@modern", classes=4, check_only=True)
    assert caught.value.exit_code == 1
    with pytest.raises(WeightsError, match="no file"):
        visus.export(made, path=done.file.with_name("b.onnx"), name="lenet5@modern", classes=4, check_only=True)
    with pytest.raises(UsageError, match="has its size"):
        visus.export(made, path=done.file, name="lenet5@modern", classes=4, check_only=True, size=(32, 32))


def spoiled(path, name):
    """Changes the weights of one layer in a file."""
    model = onnx.load(str(path))
    weights = {one.name: one for one in model.graph.initializer}[name]
    values = onnx.numpy_helper.to_array(weights).copy()
    values[0] *= 1.5
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    onnx.save(model, str(path))


def test_a_damaged_file_is_found_and_the_layer_named(lenet, tmp_path):
    made, done = lenet
    file = tmp_path / "a.onnx"
    shutil.copy(done.file, file)
    spoiled(file, "network.c5.weight")
    with pytest.raises(ExportError, match="--find-difference"):
        visus.export(made, path=file, name="lenet5@modern", classes=4, check_only=True)
    with pytest.raises(ExportError, match="the outputs part at c5, a Conv2d"):
        visus.export(made, path=file, name="lenet5@modern", classes=4, check_only=True, find_difference=True)


def test_where_the_check_fails_nothing_is_written(tmp_path, monkeypatch):
    from visus.exporters import exporting

    real = exporting.onnx_bytes

    def wrong(program, *rest):
        with torch.no_grad():
            next(value for name, value in program.state_dict.items() if "c3.weight" in name).mul_(1.1)
        return real(program, *rest)

    monkeypatch.setattr(exporting, "onnx_bytes", wrong)
    old = tmp_path / "a.onnx"
    old.write_text("old")
    copied = network("lenet5@modern", classes=4)
    monkeypatch.setattr(exporting, "trace", _of_a_copy(exporting.trace))
    with pytest.raises(ExportError, match="answers otherwise") as caught:
        visus.export(copied, path=old, name="lenet5@modern", classes=4, find_difference=True)
    assert "the outputs part at c3, a Conv2d" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
    assert old.read_text() == "old"


def _of_a_copy(trace):
    import copy

    return lambda module, *rest: trace(copy.deepcopy(module), *rest)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"to": "tflite"}, "no export to tflite"),
        ({"size": (32, 31)}, "does not take images of 32 x 31"),
        ({"size": "any"}, "LeNet-5 cannot take images of this size"),
        ({"size": (0, 1)}, "no such size"),
        ({"path": "a.pt"}, "another ending"),
        ({"backbone": "resnet18"}, "backbone cannot be chosen"),
        ({"name": None}, "which edition"),
    ],
)
def test_wrong_wishes_are_refused(lenet, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    made, _ = lenet
    with pytest.raises(UsageError, match=said):
        visus.export(made, **{"name": "lenet5@modern", "classes": 4, **arguments})
    assert not list(tmp_path.iterdir())


def test_a_batch_normalised_network_of_any_size(tmp_path):
    made = network("nin_cifar@paper")
    with pytest.raises(ShapeError):
        visus.export(made, path=tmp_path / "a.onnx", name="nin_cifar@paper", size=(1, 1))
    done = visus.export(made, path=tmp_path / "a.onnx", name="nin_cifar@paper", size="any")
    assert done.card.input.size is None
    assert len(done.check.sizes) == 3
    session = session_of(done.file)
    made.eval()
    assert done.card.input.multiple == 4  # two poolings by two that round up
    for size in ((32, 32), (52, 36), (16, 92)):
        done.card.input.require(size)
        images = torch.randn(2, 3, *size)
        with torch.no_grad():
            expected = made(images).numpy()
        assert np.allclose(session.run(None, {"images": images.numpy()})[0], expected, atol=1e-5)


def test_segmentation_leaves_for_one_size_and_sees_others_in_tiles(tmp_path):
    made = network("unet@padded", classes=2, width=4, depth=2)
    done = visus.export(made, path=tmp_path / "a.onnx", name="unet@padded", classes=2, size=(32, 48))
    assert done.card.input.size == (32, 48)
    assert done.card.info.preprocessing.size is None or done.card.info.preprocessing.fit == "none"
    assert done.check.sizes == ((32, 48),)
    assert done.check.agreement > 0.999


@pytest.mark.parametrize("name", ["localizer@visus", "landmarks@visus"])
@pytest.mark.full
def test_boxes_and_points(tmp_path, name):
    done = visus.export(network(name, classes=3), path=tmp_path / "a.onnx", name=name, classes=3, size=(64, 96))
    assert done.check.passed


SMALL_SSD = {"backbone": "mobilenet_v1_025", "classes": 2, "size": 64}


def test_a_detector_of_one_stage_leaves_without_its_default_boxes(tmp_path):
    made = network("ssd", **SMALL_SSD)
    name = "ssd+mobilenet_v1_025"
    done = visus.export(made, path=tmp_path / "a.onnx", name=name, classes=2, size=(64, 64))
    assert done.check.passed
    assert {output.partition("_")[0] for output in done.card.outputs} == {"logits", "offsets"}
    with pytest.raises(ShapeError, match="any size"):
        visus.export(made, path=tmp_path / "b.onnx", name=name, classes=2, size="any")


@pytest.mark.full
@pytest.mark.parametrize("size", [(96, 128), "any"])
def test_a_detector_of_cells_is_right_at_sizes_that_it_was_not_traced_at(tmp_path, size):
    made = network("yolov3_tiny@darknet", classes=3)
    done = visus.export(made, path=tmp_path / "a.onnx", name="yolov3_tiny@darknet", classes=3, size=size)
    assert done.card.input.multiple == (32 if size == "any" else 1)
    assert len(done.check.sizes) == (3 if size == "any" else 1)


def test_detectors_of_two_stages_say_why_not(tmp_path):
    with pytest.raises(TaskMismatchError, match=r"one pass|region proposals"):
        visus.export("faster_rcnn_fpn", path=tmp_path / "a.onnx", backbone="mobilenet_v1_025", quiet=True)
    assert not list(tmp_path.iterdir())


def test_from_a_run_with_its_own_images(trained, tmp_path, cli):
    run = trained("classification")
    told = cli("export", run.path, tmp_path / "out", "--json")
    assert told.code == 0, told.err
    said = json.loads(told.out)
    assert said["check"]["made_up"] is False
    assert said["file"] == str(tmp_path / "out" / "model.onnx")
    report = json.loads((tmp_path / "out" / "model.check.json").read_text())
    assert all(Path(image).is_file() for image in report["compared"])
    assert not re.search(re.escape(str(run.data)), (tmp_path / "out" / "model.onnx").read_bytes().decode("latin1"))
    again = cli("export", run.path, tmp_path / "out", "--check-only")
    assert again.code == 0, again.err
    assert "agrees with PyTorch" in again.out


def test_the_command_line_ends_with_its_codes(tmp_path, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli("export", "lenet5@modern", "--size", "32").code == 2
    assert cli("export", "lenet5@modern", "--size", "any").code == 2
    assert cli("export", "lenet99").code == 2
    assert cli("export", "no/such.safetensors").code == 5
    assert cli("export", "lenet5@modern", "--check-only").code == 5
    (tmp_path / "lenet5@modern.onnx").write_bytes(b"\x08\x0a")
    assert cli("export", "lenet5@modern", "--check-only").code == 5
