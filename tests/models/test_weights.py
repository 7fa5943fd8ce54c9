"""Files become weights only when they are what they say; made-up files stand for the published ones."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from visus.errors import WeightsError
from visus.files.cache_folder import cache_folder
from visus.models import building, catalog
from visus.models.card import Card, Conversion, WeightsFile
from visus.models.classification.tflite_weights import v2_layers
from visus.models.fetching import fetch
from visus.models.weights import load_weights
from visus.structures.extensions import load_object
from visus.testing.cheap_values import CheapValues

NAME = "resnet18@torchvision"


def build(card: Card, **choices: Any) -> Any:
    """The card's network with values that take no time; ``published`` has others."""
    with CheapValues():
        return building.build(card, **choices)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISUS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def published() -> nn.Module:
    torch.manual_seed(5)
    return building.build(catalog.find(NAME))  # drawn, so that no other network has its values


@pytest.fixture(scope="module")
def published_file(published: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The file of ``published``, written once, and its SHA-256."""
    path = tmp_path_factory.mktemp("published") / "resnet18.pth"
    torch.save(published.state_dict(), path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def card(published_file: tuple[Path, str], tmp_path: Path) -> Card:
    """ResNet-18 whose published file lies at a file:// address, from which a test may remove it."""
    path = tmp_path / "publisher" / "resnet18.pth"
    path.parent.mkdir()
    whole, digest = published_file
    path.hardlink_to(whole)
    file = replace(catalog.find(NAME).weights[0], name="resnet18.pth", sha256=digest, url=path.as_uri())
    return replace(catalog.find(NAME), weights=(file,))


def with_file(card: Card, **changes: str) -> Card:
    return replace(card, weights=(replace(card.weights[0], **changes),))


def assert_loaded(network: nn.Module, source: nn.Module, *, but: tuple[str, ...] = ()) -> None:
    theirs = source.state_dict()
    for name, value in network.state_dict().items():
        assert torch.equal(value, theirs[name]) == (not name.startswith(but or ("-",))), name


def test_published_weights_come_into_the_cache_once(card: Card, published: nn.Module, cache: Path) -> None:
    network = build(card)
    steps: list[tuple[int, int]] = []
    report = load_weights(network, card, "default", progress=lambda done, total: steps.append((done, total)))
    assert_loaded(network, published)
    assert report.source == cache / "weights" / "resnet18.pth"
    assert (report.part, report.loaded, report.left_random) == ("network", 122, ())
    assert steps
    assert steps[-1][0] == steps[-1][1] == report.source.stat().st_size
    assert [path.name for path in report.source.parent.iterdir()] == ["resnet18.pth"]
    Path(card.weights[0].url.removeprefix("file://")).unlink()
    load_weights(build(card), card, "default")


def test_another_number_of_classes_leaves_the_head_random(card: Card, published: nn.Module) -> None:
    network = build(card, classes=4)
    before = network.state_dict()["fc.weight"].clone()
    report = load_weights(network, card, "default")
    assert report.left_random == ("fc.weight", "fc.bias")
    assert "random values: fc" in str(report)
    assert torch.equal(network.state_dict()["fc.weight"], before)
    assert torch.equal(network.state_dict()["layer4.1.conv2.weight"], published.state_dict()["layer4.1.conv2.weight"])


def test_grey_images_are_answered_like_three_equal_channels(card: Card, published: nn.Module) -> None:
    network = build(card, in_channels=1)
    report = load_weights(network, card, "default")
    assert report.adapted == ("conv1.weight",)
    grey = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            network.eval()(grey), published.eval()(grey.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4
        )


def test_more_channels_take_the_kernels_in_turn_as_in_timm(card: Card, published: nn.Module) -> None:
    from timm.models import adapt_input_conv

    network = build(card, in_channels=5)
    assert load_weights(network, card, "default").adapted == ("conv1.weight",)
    kernel = published.state_dict()["conv1.weight"]
    torch.testing.assert_close(network.state_dict()["conv1.weight"], adapt_input_conv(5, kernel))


def test_a_wrong_hash_is_refused_and_nothing_is_kept(card: Card, cache: Path) -> None:
    network = build(card)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(WeightsError, match="is not the published one") as caught:
        load_weights(network, with_file(card, sha256="0" * 64), "default")
    assert "0" * 64 in caught.value.expected
    assert list((cache / "weights").iterdir()) == []
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_leading_digits_of_a_hash_are_enough_where_no_more_are_stated(card: Card) -> None:
    load_weights(build(card), with_file(card, sha256=card.weights[0].sha256[:8]), "default")


def test_a_corrupt_cached_file_is_named(card: Card, cache: Path) -> None:
    path = cache / "weights" / "resnet18.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half a file")
    with pytest.raises(WeightsError, match="corrupt") as caught:
        load_weights(build(card), card, "default")
    assert str(path) in caught.value.remedy
    assert path.exists()


def test_offline_the_file_its_hash_place_and_the_way_out_are_said(card: Card, cache: Path) -> None:
    offline = with_file(card, url="http://127.0.0.1:9/resnet18.pth")
    with pytest.raises(WeightsError) as caught:
        load_weights(build(card), offline, "default")
    message = str(caught.value)
    for part in ("resnet18.pth", card.weights[0].sha256, str(cache), "http://127.0.0.1:9", "--weights none"):
        assert part in message
    assert list((cache / "weights").iterdir()) == []


def test_weights_that_are_not_for_download_must_be_brought(cache: Path) -> None:
    card = catalog.find("mobilenet_v2@tf")
    with pytest.raises(WeightsError, match="no download address") as caught:
        load_weights(build(card), card, "default")
    assert str(cache) in str(caught.value)
    assert card.weights[0].sha256 in str(caught.value)


def test_an_edition_without_weights_names_those_that_have_some() -> None:
    card = catalog.find("resnet18@paper")
    with pytest.raises(WeightsError, match="resnet18@torchvision"):
        load_weights(build(card), card, "default")


def save_torch(state: dict[str, Tensor], path: Path) -> None:
    torch.save(state, path.with_suffix(".pth"))


def save_checkpoint(state: dict[str, Tensor], path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, path.with_suffix(".pth"))


def save_safe(state: dict[str, Tensor], path: Path) -> None:
    save_file(state, path.with_suffix(".safetensors"))


@pytest.mark.parametrize("save", [save_torch, save_checkpoint, save_safe])
def test_own_files(save: Callable[[dict[str, Tensor], Path], None], tmp_path: Path) -> None:
    card = catalog.find("mnist_cnn")
    trained = build(card, classes=4)
    save(trained.state_dict(), tmp_path / "own")
    (file,) = tmp_path.glob("own.*")
    network = build(card, classes=4)
    assert load_weights(network, card, file).left_random == ()
    assert_loaded(network, trained)
    other = build(card, classes=6)
    assert load_weights(other, card, file).left_random == ("dense_2.weight", "dense_2.bias")


def test_old_files_without_batch_counts(published: nn.Module, tmp_path: Path) -> None:
    state = {name: v for name, v in published.state_dict().items() if not name.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "old.pth")
    load_weights(build(catalog.find(NAME)), catalog.find(NAME), tmp_path / "old.pth")


class Payload:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("code was run",))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("short.pth", b"PK\x03\x04 no archive"),
        ("empty.pth", b""),
        ("short.safetensors", b"\x00" * 12),
        ("text.npz", b"a,b\n1,2\n"),
    ],
)
def test_unreadable_files(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=r"cannot read|is empty"):
        load_weights(build(catalog.find("mnist_cnn")), catalog.find("mnist_cnn"), tmp_path / name)


def test_a_file_with_code_is_refused_and_the_code_is_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"weight": Payload()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match="cannot read"):
        load_weights(build(catalog.find("mnist_cnn")), catalog.find("mnist_cnn"), tmp_path / "evil.pth")
    assert "code was run" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [{"epoch": 3}, [1, 2], {}])
def test_a_file_without_weights(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="does not hold the weights of a network"):
        load_weights(build(catalog.find("mnist_cnn")), catalog.find("mnist_cnn"), tmp_path / "a.pth")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights file"):
        load_weights(build(catalog.find("mnist_cnn")), catalog.find("mnist_cnn"), tmp_path / "none.pth")


def test_the_weights_of_another_network(tmp_path: Path) -> None:
    torch.save(building.build(catalog.find("resnet34")).state_dict(), tmp_path / "r34.pth")
    torch.save(build(catalog.find("lenet5@modern")).state_dict(), tmp_path / "lenet.pth")
    network = build(catalog.find("resnet18"))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for name in ("r34.pth", "lenet.pth"):
        with pytest.raises(WeightsError, match="another network"):
            load_weights(network, catalog.find("resnet18"), tmp_path / name)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_other_shapes_are_named_with_both(tmp_path: Path) -> None:
    card = catalog.find("mnist_cnn")
    torch.save(build(card, options={"size": (40, 40)}).state_dict(), tmp_path / "large.pth")
    with pytest.raises(WeightsError, match=r"dense_1\.weight") as caught:
        load_weights(build(card), card, tmp_path / "large.pth")
    assert (caught.value.expected, caught.value.got) == ("[64, 576]", "[64, 2304]")


def test_a_composition_takes_its_backbones_weights(card: Card, published: nn.Module, tmp_path: Path) -> None:
    whole = catalog.find("ssd+resnet18@torchvision")
    path = Path(card.weights[0].url.removeprefix("file://"))
    network = build(whole, classes=2)
    report = load_weights(network, whole, path, prefix_backbone=True)
    assert report.part == "backbone"
    theirs = published.state_dict()
    for name, value in network.backbone.state_dict().items():
        assert torch.equal(value, theirs[name])
    again = build(whole, classes=2)
    assert load_weights(again, whole, path).part == "backbone"  # seen from the names in the file
    torch.save(network.state_dict(), tmp_path / "whole.pth")
    assert load_weights(again, whole, tmp_path / "whole.pth").part == "network"


def test_a_compositions_default_is_its_backbones(cache: Path) -> None:
    whole = catalog.find("ssd+mobilenet_v2@tf")
    with pytest.raises(WeightsError, match=r"mobilenet_v2_1\.0_224\.npz"):
        load_weights(build(whole, classes=2), whole, "default")
    assert load_weights(build(whole, classes=2), whole, write_tflite(cache)).part == "backbone"


def write_tflite(folder: Path) -> Path:
    """A file in the TFLite layout, of random bytes."""
    random = np.random.default_rng(0)
    state = build(catalog.find("mobilenet_v2@tf")).state_dict()
    arrays: dict[str, np.ndarray] = {}
    for number, layer in enumerate(v2_layers()):
        shape = state[f"{layer}.weight"].shape
        shape = shape if len(shape) == 4 else (*shape, 1, 1)
        arrays[f"{number:02d}.weight_q"] = random.integers(0, 256, shape, np.uint8)
        arrays[f"{number:02d}.weight_scale"] = np.float32(0.01)
        arrays[f"{number:02d}.weight_zero_point"] = np.int32(100 + number)
        arrays[f"{number:02d}.bias"] = random.normal(size=shape[0]).astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "tf.npz", **arrays)  # type: ignore[arg-type]
    return folder / "tf.npz"


def test_the_tflite_layout_is_dequantised(tmp_path: Path) -> None:
    path = write_tflite(tmp_path)
    card = catalog.find("mobilenet_v2@tf")
    network = build(card)
    assert load_weights(network, card, path).loaded == 106
    arrays = np.load(path)
    state = network.state_dict()
    assert set(state) == {f"{layer}.{part}" for layer in v2_layers() for part in ("weight", "bias")}
    for number, layer in ((0, "features.0.0"), (1, "features.1.conv.0.0"), (52, "classifier.1")):
        stored = arrays[f"{number:02d}.weight_q"].astype(np.float64)
        expected = 0.01 * (stored - (100 + number))
        np.testing.assert_allclose(state[f"{layer}.weight"].numpy(), expected.reshape(state[f"{layer}.weight"].shape),
                                   rtol=1e-5)  # fmt: skip
        np.testing.assert_array_equal(state[f"{layer}.bias"].numpy(), arrays[f"{number:02d}.bias"])
    own = build(card, classes=5)
    assert load_weights(own, card, path).left_random == ("classifier.1.weight", "classifier.1.bias")


def test_a_tflite_file_of_another_network(tmp_path: Path) -> None:
    np.savez(tmp_path / "v1.npz", **{"00.bias": np.zeros(3, np.float32)})
    with pytest.raises(WeightsError, match="MobileNet v1 or v2"):
        load_weights(build(catalog.find("mobilenet_v2@tf")), catalog.find("mobilenet_v2@tf"), tmp_path / "v1.npz")


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("VISUS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "visus"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "visus"


def test_every_conversion_on_a_card_is_a_function() -> None:
    files: list[WeightsFile] = [file for card in catalog.CARDS for file in card.weights]
    named = {file.convert for file in files} | {c.convert for card in catalog.CARDS for c in card.conversions}
    named.discard("")
    assert len(named) == 52
    for path in named:
        assert callable(load_object(path)), path


def test_a_card_of_an_installed_package_brings_its_own_conversion(
    card: Card, published: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("own_weights")
    module.convert = lambda values: {name.removeprefix("theirs."): value for name, value in values.items()}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "own_weights", module)
    path = tmp_path / "theirs.pth"
    torch.save({f"theirs.{name}": value for name, value in published.state_dict().items()}, path)
    network = build(card)
    with pytest.raises(WeightsError, match="another network"):
        load_weights(network, card, path)
    load_weights(network, replace(card, conversions=(Conversion("own_weights:convert"),)), path)
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in published.state_dict().items())


def test_a_cache_that_cannot_be_written_is_a_disk_error(
    card: Card, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from visus.errors import DiskError

    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("VISUS_CACHE", str(tmp_path / "a file"))
    with pytest.raises(DiskError, match=r"resnet18\.pth"):
        fetch(card.weights[0])
