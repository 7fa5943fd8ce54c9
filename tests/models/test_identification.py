"""A file of weights finds its own edition; files of each layout are written on the spot."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import visus
from blank_weights import write_caffe, write_darknet, write_state
from visus.engine.model_card import ModelInfo
from visus.engine.model_file import save_model
from visus.errors import UnknownModelError, WeightsError
from visus.models import building, catalog
from visus.models.card import WeightsFile
from visus.models.identification import identify
from visus.models.on_meta import build_on_meta

SSD_BODY = {  # weiliu89/caffe, python/caffe/model_libs.py and examples/ssd/ssd_pascal.py: outputs, inputs, side
    "conv1_1": (64, 3, 3),
    "conv1_2": (64, 64, 3),
    "conv2_1": (128, 64, 3),
    "conv2_2": (128, 128, 3),
    "conv3_1": (256, 128, 3),
    "conv3_2": (256, 256, 3),
    "conv3_3": (256, 256, 3),
    "conv4_1": (512, 256, 3),
    "conv4_2": (512, 512, 3),
    "conv4_3": (512, 512, 3),
    "conv5_1": (512, 512, 3),
    "conv5_2": (512, 512, 3),
    "conv5_3": (512, 512, 3),
    "fc6": (1024, 512, 3),
    "fc7": (1024, 1024, 1),
}
SSD_EXTRAS = {
    "conv6_1": (256, 1024, 1),
    "conv6_2": (512, 256, 3),
    "conv7_1": (128, 512, 1),
    "conv7_2": (256, 128, 3),
    "conv8_1": (128, 256, 1),
    "conv8_2": (256, 128, 3),
    "conv9_1": (128, 256, 1),
    "conv9_2": (256, 128, 3),
}
SSD_HEADS = {"conv4_3_norm": (512, 4), "fc7": (1024, 6), "conv6_2": (512, 6), "conv7_2": (256, 6),
             "conv8_2": (256, 4), "conv9_2": (256, 4)}  # fmt: skip


def write_ssd(path: Path, classes: int | None) -> Path:
    """SSD300's .caffemodel; None: that of its base."""
    layers = {**SSD_BODY, **(SSD_EXTRAS if classes is not None else {})}
    for source, (depth, boxes) in SSD_HEADS.items() if classes is not None else ():
        layers[f"{source}_mbox_loc"] = (4 * boxes, depth, 3)
        layers[f"{source}_mbox_conf"] = ((1 + int(classes or 0)) * boxes, depth, 3)
    shapes: dict[str, tuple[tuple[int, ...], ...]] = {
        name: ((after, before, side, side), (after,)) for name, (after, before, side) in layers.items()
    }
    return write_caffe(path, shapes | ({"conv4_3_norm": ((512,),)} if classes is not None else {}))


def chosen(path: Path, name: str | None = None, **options: Any) -> str:
    found = identify(path, name, **options)
    return "" if found.chosen is None else found.chosen.card.full_name


# --- Darknet: the length tells


def test_the_length_and_the_classes_tell_editions_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two editions as YOLO v2 has them, of a small network: one option is all else that differs."""
    tiny = catalog.find("yolov3_tiny")
    voc = replace(tiny, name="tiny", edition="voc", classes=20, weights=(), released=())
    coco = replace(voc, edition="coco", classes=80, options={"suppression": "linear"})
    monkeypatch.setattr(catalog, "CARDS", (coco, voc))
    file = write_darknet(tmp_path / "a.weights", "tiny@voc")
    found = identify(file, "tiny", classes=20)
    assert found.chosen is not None
    assert (found.chosen.card.full_name, found.chosen.classes) == ("tiny@voc", 20)
    assert "8,720,134 values, as this edition with 20 classes has; tiny@coco would have 8,858,734" in found.reason
    with pytest.raises(WeightsError, match="tiny@coco") as refused:
        identify(file, "tiny@coco")
    assert "name tiny@voc" in refused.value.remedy
    own = write_darknet(tmp_path / "own.weights", "tiny@voc", classes=3)
    with pytest.raises(WeightsError, match="it fits tiny@coco or tiny@voc") as asked:
        identify(own, "tiny").require()
    assert "suppression" in asked.value.got
    assert chosen(own, "tiny@voc") == "tiny@voc"
    assert chosen(file, "tiny@coco", classes=20) == "tiny@coco"  # who names both may have trained it so


@pytest.mark.slow
def test_the_length_of_a_darknet_file_tells_voc_from_coco(tmp_path: Path) -> None:
    voc = write_darknet(tmp_path / "yolov2-voc.weights", "yolov2@darknet-voc")
    found = identify(voc, "yolov2")
    assert found.chosen is not None
    assert (found.chosen.card.full_name, found.chosen.classes) == ("yolov2@darknet-voc", 20)
    assert "50,676,061 values, as this edition with 20 classes has" in found.reason
    assert "yolov2@darknet-coco would have 50,983,561" in found.reason
    with pytest.raises(WeightsError, match="yolov2@darknet-coco") as refused:
        identify(voc, "yolov2@darknet-coco")
    assert "name yolov2@darknet-voc" in refused.value.remedy
    voc.unlink()
    coco = write_darknet(tmp_path / "yolov2.weights", "yolov2@darknet-coco")
    assert chosen(coco, "yolov2") == "yolov2@darknet-coco"
    with pytest.raises(WeightsError, match="yolov2@darknet-voc"):
        identify(coco, "yolov2@darknet-voc")


@pytest.mark.slow
def test_create_builds_the_anchors_of_the_file(
    tmp_path: Path, cheap_values: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_darknet(tmp_path / "yolov2-voc.weights", "yolov2@darknet-voc")
    with cheap_values():
        network = visus.create("yolov2", weights=file, classes=20)
        expected = building.build(catalog.find("yolov2@darknet-voc"))
    assert network.codec.anchors == expected.codec.anchors
    told = capsys.readouterr().err
    assert told.startswith("yolov2@darknet-voc: 50,676,061 values")
    assert "tensors kept from yolov2-voc.weights" in told


def test_a_truncated_darknet_file_names_the_nearest_edition(tmp_path: Path) -> None:
    file = write_darknet(tmp_path / "yolov3-tiny.weights", "yolov3_tiny", more=-8)
    with pytest.raises(WeightsError) as refused:
        identify(file, "yolov3_tiny")
    assert "8,858,732 values" in refused.value.got
    assert "8,858,734 values" in refused.value.expected
    with pytest.raises(WeightsError, match="fits no network of the catalogue"):
        identify(file)


def test_the_released_name_decides_between_editions_of_one_length(tmp_path: Path) -> None:
    """YOLO v3's tiny form has two sets of anchors, and files of both have the same length."""
    released = write_darknet(tmp_path / "yolov3-tiny.weights", "yolov3_tiny")
    found = identify(released, "yolov3_tiny")
    assert found.chosen is not None
    assert found.chosen.card.full_name == "yolov3_tiny@darknet"
    assert found.reason.endswith("released with yolov3_tiny@darknet, though its content is another")
    renamed = released.rename(tmp_path / "renamed.weights")
    with pytest.raises(WeightsError, match="yolov3_tiny@darknet or yolov3_tiny@darknet-corrected") as asked:
        identify(renamed, "yolov3_tiny").require()
    assert asked.value.got.endswith("differ in option anchors: released and corrected")
    renamed.unlink()
    own = write_darknet(tmp_path / "yolov3-tiny.weights", "yolov3_tiny", classes=3)
    assert chosen(own, "yolov3_tiny") == ""  # of which the authors released none


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "edition"),
    [
        ("darknet19.weights", "darknet19@paper"),
        ("darknet19_448.weights", "darknet19@darknet-448"),
        ("darknet53_448.weights", "darknet53@darknet-448"),
        ("yolo-voc.weights", "yolov2@darknet-voc-2016"),
        ("renamed.weights", "yolov2@darknet-voc-2016"),
        ("tiny-coco.weights", "yolov1_tiny@darknet-coco"),
    ],
)
def test_released_names(name: str, edition: str, tmp_path: Path) -> None:
    file = write_darknet(tmp_path / name, edition)
    assert chosen(file, edition.partition("@")[0]) == edition
    assert chosen(file) == edition


@pytest.mark.slow
def test_first_layers_decide_no_edition(tmp_path: Path) -> None:
    file = write_state(tmp_path / "darknet53.pth", "darknet53")
    found = identify(file, "yolov3")
    assert found.chosen is not None
    assert (found.chosen.fills, found.chosen.classes, found.chosen.evidence) == ("backbone", None, "part")


# --- Caffe: the layers and the number of classes tell


def test_caffes_ssd_is_not_torchvisions(tmp_path: Path) -> None:
    file = write_ssd(tmp_path / "VGG_VOC0712_SSD_300x300_iter_120000.caffemodel", 20)
    found = identify(file, "ssd", classes=20)
    assert found.chosen is not None
    assert (found.chosen.card.full_name, found.chosen.classes) == ("ssd@paper", 20)
    assert "ssd@caffe-coco has 80 classes" in found.reason
    with pytest.raises(WeightsError, match="does not fit ssd@torchvision, but ssd@paper"):
        identify(file, "ssd@torchvision", classes=20)
    with pytest.raises(WeightsError, match="belongs to ssd@paper, not to ssd@caffe-coco") as refused:
        identify(file, "ssd@caffe-coco")
    assert "scales" in refused.value.remedy
    assert chosen(file, "ssd@caffe-coco", classes=20) == "ssd@caffe-coco"  # who says both may have trained it so


@pytest.mark.slow
def test_the_classes_that_are_asked_for_do_not_decide(tmp_path: Path) -> None:
    file = write_ssd(tmp_path / "VGG_coco_SSD_300x300.caffemodel", 80)
    assert chosen(file, "ssd", classes=20) == "ssd@caffe-coco"
    assert chosen(file) == "ssd@caffe-coco"


def test_the_base_of_ssd_begins_an_edition_of_its_colours(tmp_path: Path) -> None:
    """Caffe's VGG-16 sees blue first, as ssd@paper does."""
    base = write_ssd(tmp_path / "VGG_ILSVRC_16_layers_fc_reduced.caffemodel", None)
    found = identify(base, "ssd")
    assert found.chosen is not None
    assert (found.chosen.card.full_name, found.chosen.fills) == ("ssd@paper", "first layers of the backbone")
    assert "decide no edition" in found.reason


# --- names and shapes


@pytest.mark.slow
def test_equal_names_of_networks_that_differ_are_a_question(tmp_path: Path) -> None:
    file = write_state(tmp_path / "own.pth", "resnet50@torchvision")
    found = identify(file, "resnet50")
    assert found.chosen is None
    with pytest.raises(WeightsError, match="does not tell which edition") as asked:
        found.require()
    assert "stride_in" in asked.value.got
    assert asked.value.remedy.endswith("resnet50@paper or resnet50@torchvision")
    assert chosen(file, "resnet50@torchvision") == "resnet50@torchvision"
    assert chosen(file, "resnet50@paper") == "resnet50@paper"
    with pytest.raises(WeightsError, match="does not tell which edition"):
        visus.create("resnet50", weights=file)


def test_a_state_that_two_editions_fit_is_a_question(tmp_path: Path) -> None:
    file = write_state(tmp_path / "own.pth", "resnet20@akamaster")
    with pytest.raises(WeightsError, match="resnet20@paper or resnet20@akamaster") as asked:
        identify(file, "resnet20").require()
    assert "zeros" in asked.value.got
    assert chosen(file, "resnet20@akamaster") == "resnet20@akamaster"


def test_editions_that_are_the_very_same_are_no_question(tmp_path: Path) -> None:
    file = write_state(tmp_path / "own.pth", "densenet121@torchvision", classes=7)
    found = identify(file, "densenet121")
    assert found.chosen is not None
    assert (found.chosen.evidence, found.chosen.classes) == ("other classes", 7)
    assert {fit.card.edition for fit in found.candidates} == {"paper", "torchvision"}


@pytest.mark.slow
def test_a_composition_asks_where_the_editions_of_its_backbone_differ(tmp_path: Path) -> None:
    file = write_state(tmp_path / "own.pth", "resnet50")
    with pytest.raises(WeightsError, match=r"ssd\+resnet50@paper or ssd\+resnet50@torchvision"):
        identify(file, "ssd+resnet50").require()
    assert chosen(file, "ssd+resnet50@torchvision") == "ssd+resnet50@torchvision"


def test_a_foreign_file_names_the_nearest_edition_and_the_first_difference(tmp_path: Path) -> None:
    file = write_state(tmp_path / "own.pth", "resnet20@paper")
    with pytest.raises(WeightsError, match="another network") as refused:
        identify(file, "resnet32")
    assert "nearest edition" in refused.value.expected
    assert "layer1.3" in refused.value.got
    kernel = torch.zeros(16, 16, 5, 5)
    file = write_state(tmp_path / "wide.pth", "resnet20@paper", change={"layer1.0.conv1.weight": kernel})
    with pytest.raises(WeightsError, match=r"layer1\.0\.conv1\.weight has another shape") as refused:
        identify(file, "resnet20")
    assert refused.value.got == "[16, 16, 5, 5]"
    with pytest.raises(UnknownModelError):
        identify(file, "resnet21")


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_name(wrong: float, tmp_path: Path) -> None:
    bad = torch.tensor([0.0, wrong] * 8)
    file = write_state(tmp_path / "own.pth", "resnet20@paper", change={"bn1.bias": bad})
    for name in ("resnet20@paper", None):
        with pytest.raises(WeightsError, match=r"no numbers: bn1\.bias") as refused:
            identify(file, name)
        assert "8 of 16 values" in refused.value.got
    with pytest.raises(WeightsError, match=r"bn1\.bias"):
        visus.create("resnet20@paper", weights=file)


@pytest.mark.slow
def test_what_is_not_loaded_may_be_nan(tmp_path: Path) -> None:
    """torchvision's VGG-16 "features" weights, from which its SSD began, have a classifier of NaN."""
    nan = {
        f"classifier.{layer}.{part}": torch.tensor(float("nan")) for layer in (0, 3, 6) for part in ("weight", "bias")
    }
    state = build_on_meta(catalog.find("vgg16@torchvision")).state_dict()
    change = {name: value.expand(state[name].shape) for name, value in nan.items()}
    file = write_state(tmp_path / "vgg16_features-amdegroot.pth", "vgg16@torchvision", change=change)
    found = identify(file, "ssd")
    assert found.chosen is not None
    assert (found.chosen.fills, found.chosen.values) == ("first layers of the backbone", 14_714_688)
    with pytest.raises(WeightsError, match=r"no numbers: classifier\.0\.weight"):
        identify(file, "vgg16@torchvision")


# --- what a file says of itself, and published files


def write_own(path: Path, model: str, classes: int) -> Path:
    card = catalog.find(model)
    info = ModelInfo("classification", model, tuple(map(str, range(classes))), 3, card.preprocessing)
    save_model(path, building.build(card, classes=classes), info)
    return path


def test_a_model_file_says_its_edition(tmp_path: Path) -> None:
    file = write_own(tmp_path / "model.safetensors", "resnet20@akamaster", 4)
    found = identify(file, "resnet20")
    assert found.chosen is not None
    assert (found.chosen.card.full_name, found.chosen.evidence) == ("resnet20@akamaster", "header")
    assert found.reason == "resnet20@akamaster: the file says so itself, with 4 classes"
    assert chosen(file) == "resnet20@akamaster"
    with pytest.raises(WeightsError, match="belongs to resnet20@akamaster, not to resnet20@paper"):
        identify(file, "resnet20@paper")
    (tmp_path / "cut.safetensors").write_bytes(file.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="cannot read"):
        identify(tmp_path / "cut.safetensors", "resnet20")


def test_the_hash_of_a_published_file_tells_its_edition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_state(tmp_path / "renamed.pth", "resnet20@akamaster")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    right = catalog.find("resnet20@akamaster")
    published = WeightsFile("resnet20-12fca82f.pth", digest, "", "CIFAR-10", "")
    cards = tuple(replace(card, weights=(published,)) if card == right else card for card in catalog.CARDS)
    monkeypatch.setattr(catalog, "CARDS", cards)
    found = identify(file, "resnet20")
    assert found.reason == "resnet20@akamaster: it has the SHA-256 of the published file"
    with pytest.raises(WeightsError, match="belongs to resnet20@akamaster, not to resnet20@paper") as refused:
        identify(file, "resnet20@paper")
    assert "by its SHA-256" in refused.value.got


def test_arrays_of_tensorflows_mobilenet(tmp_path: Path) -> None:
    from visus.models.classification.tflite_weights import v1_layers

    state = build_on_meta(catalog.find("mobilenet_v1_025@tf")).state_dict()
    arrays: dict[str, Any] = {}
    for number, layer in enumerate(v1_layers()):
        shape = state[f"{layer}.weight"].shape
        arrays[f"{number:02d}.weight_q"] = np.zeros(shape if len(shape) == 4 else (*shape, 1, 1), np.uint8)
        arrays[f"{number:02d}.weight_scale"] = np.float32(0.01)
        arrays[f"{number:02d}.weight_zero_point"] = np.int32(100)
        arrays[f"{number:02d}.bias"] = np.zeros(shape[0], np.float32)
    np.savez(tmp_path / "v1.npz", **arrays)
    assert chosen(tmp_path / "v1.npz", "mobilenet_v1_025") == "mobilenet_v1_025@tf"
    assert chosen(tmp_path / "v1.npz") == "mobilenet_v1_025@tf"
    with pytest.raises(WeightsError, match="does not fit mobilenet_v1_025@paper, but mobilenet_v1_025@tf"):
        identify(tmp_path / "v1.npz", "mobilenet_v1_025@paper")


# --- the verbs


def test_another_number_of_classes_leaves_the_head_random(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_state(tmp_path / "own.pth", "mnist_cnn", classes=10)
    network = visus.create("mnist_cnn", weights=file, classes=3)
    assert float(network.dense_2.weight.detach().abs().sum()) > 0
    assert float(network.dense_1.weight.detach().abs().sum()) == 0
    assert "new, with random values: dense_2" in capsys.readouterr().err
    visus.create("mnist_cnn", weights=file, classes=3, quiet=True)
    assert capsys.readouterr().err == ""


def test_load_takes_a_released_file_and_names_its_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_state(tmp_path / "resnet20.pth", "resnet20@akamaster")
    with pytest.raises(WeightsError, match="does not tell"):
        visus.load(file, device="cpu")
    model = visus.load(file, device="cpu", model="resnet20@akamaster")
    assert model.info.model == "resnet20@akamaster"
    assert model.classes[:3] == ("airplane", "automobile", "bird")
    assert model.predict(np.zeros((32, 32, 3), np.uint8)).classes == model.classes
    assert capsys.readouterr().err.startswith("resnet20@akamaster: ")
    own = write_state(tmp_path / "own.pth", "mnist_cnn", classes=3)
    assert visus.load(own, device="cpu", model="mnist_cnn", quiet=True).classes == ("class 0", "class 1", "class 2")
    assert visus.summary(own).to_dict()["model"] == "mnist_cnn@paper"


def test_a_plan_holds_the_edition_that_was_found(photos: Path, tmp_path: Path) -> None:
    from visus.workflow.plan import prepare
    from visus.workflow.request import Request

    own = write_own(tmp_path / "model.safetensors", "resnet20@akamaster", 4)
    prepared = prepare(Request(data=photos, model="resnet20", weights=str(own)))
    assert prepared.plan.model == "resnet20@akamaster"
    assert "edition: resnet20@akamaster: the file says so itself, with 4 classes" in prepared.messages
    bare = write_state(tmp_path / "bare.pth", "resnet20")
    with pytest.raises(WeightsError, match="resnet20@paper or resnet20@akamaster") as asked:
        prepare(Request(data=photos, model="resnet20", weights=str(bare)))
    assert "--model" in asked.value.remedy


def test_the_command_line_only_asks(tmp_path: Path, cli: Any) -> None:
    file = write_state(tmp_path / "own.pth", "resnet20@paper")
    told = cli("models", "resnet20", "--weights", file)
    assert told.code == 0
    assert "resnet20@paper" in told.out
    assert "the file does not tell which" in told.err
    answer = cli("models", "resnet20@paper", "--weights", file, "--json")
    assert '"chosen": "resnet20@paper"' in answer.out
    assert cli("models", "resnet32", "--weights", file).code == 5
    assert cli("models", "--weights", file, "--task", "detection").code == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", [card.full_name for card in catalog.CARDS])
def test_every_edition_finds_itself_among_all(name: str, tmp_path: Path) -> None:
    card = catalog.find(name)
    found = identify(write_state(tmp_path / "own.pth", name))
    fits = {fit.card.full_name for fit in found.candidates if fit.fills == "network"}
    assert name in fits
    assert found.chosen is None or found.chosen.card.builder == card.builder or name not in fits
