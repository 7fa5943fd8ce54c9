"""R-CNN and SPP-net in phases: what each leaves, how a killed one goes on, and what the model file answers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import visus
from visus.engine.feature_cache import FeatureCache
from visus.engine.tensor_file import read_tensors
from visus.structures import Detections
from visus.workflow.region_phases import region_targets

PHASES = ("finetune", "features", "svm", "boxes", "model")
CHANGES: dict[str, Any] = {
    "size": [64, 64],
    "epochs": 1,
    "batch_size": 4,
    "model_options.side": 32,
    "model_options.context": 2,
    "regions.box_overlap": 0.4,
}


def proposals_of(data: Path, path: Path) -> Path:
    """A table of regions: the objects, moved and scaled a little, and some places."""
    random = np.random.default_rng(0)
    rows = ["image,x1,y1,x2,y2"]
    for samples in visus.open_data(data).splits.values():
        for sample in samples:
            target: Detections = sample.target("detection")
            height, width = target.size
            near = target.boxes.repeat(3, 0) + random.normal(0, 2, (3 * len(target), 4))
            corners = random.uniform(0, 0.6, (6, 2)) * (width, height)
            places = np.concatenate([corners, corners + random.uniform(8, 20, (6, 2))], 1)
            kept = np.clip(np.concatenate([near, places]), 0, [width, height, width, height])
            rows += [",".join([Path(sample.id).name, *(f"{value:.1f}" for value in box)]) for box in kept]
    path.write_text("\n".join(rows))
    return path


@pytest.fixture(scope="module")
def boxes(make_boxes: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few tiny pictures, one of them without objects."""
    counts = {"train": (2, 1, 0, 2, 1), "val": (1, 2), "test": (2,)}
    return make_boxes(tmp_path_factory.mktemp("data") / "boxes", counts)


@pytest.fixture(scope="module")
def given(boxes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return proposals_of(boxes, tmp_path_factory.mktemp("proposals") / "regions.csv")


def train(data: Path, given: Path, out: Path, model: str = "rcnn", **changes: Any) -> Any:
    return visus.train(
        data,
        model=model,
        backbone="mobilenet_v1_025",
        weights="none",
        proposals=[given],
        changes=CHANGES | changes,
        out=out,
        name="cells",
        quiet=True,
    )


@pytest.fixture(scope="module")
def runs(boxes: Path, given: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:  # reports take most of a tiny training
        patch.setattr("visus.workflow.reporting.write_run_report", lambda *_, **__: None)
        train(boxes, given, out)
    return out


def folder_of(runs: Path, phase: str) -> Path:
    return runs / ("cells" if phase == "model" else f"cells-{phase}")


def test_each_phase_leaves_an_artefact_with_a_manifest(runs: Path) -> None:
    made_from: list[str] = []
    for phase in PHASES:
        manifest = json.loads((folder_of(runs, phase) / "artefact.json").read_text())
        assert (manifest["name"], manifest["finished"]) == (phase, True)
        assert list(manifest["made_from"]) == made_from
        assert all((folder_of(runs, phase) / file).is_file() for file in manifest["files"])
        made_from.append(phase)
    assert (runs / "latest").resolve() == (runs / "cells").resolve()
    assert set(json.loads((runs / "cells" / "metrics.json").read_text())) == {"val", "test"}


def test_the_model_file_answers_alone_with_the_fitted_machines(runs: Path, boxes: Path, given: Path) -> None:
    model = visus.load(runs / "cells")
    network: Any = model.network
    assert model.info.options["machines"] is True
    assert model.info.preprocessing.proposals is not None
    assert not hasattr(network, "fc8")
    svms, _ = read_tensors(runs / "cells-svm" / "svms.safetensors")
    torch.testing.assert_close(network.machines.svms.weight, svms["weight"])
    assert svms["weight"].abs().sum() > 0
    finetuned: Any = visus.load(runs / "cells-finetune").network
    for name, value in finetuned.neck.state_dict().items():
        torch.testing.assert_close(network.neck.state_dict()[name], value)
    # margins and offsets of a cached region are those of the model
    cache = FeatureCache.read(runs / "cells-features")
    fc7 = torch.from_numpy(cache[0]["fc7"].astype(np.float32))
    pool5 = torch.from_numpy(cache.array("pool5")[:1].astype(np.float32))
    with torch.inference_mode():
        margins = network.machines.svms(fc7)
        offsets = network.machines.boxes(pool5)
    assert margins.shape == (len(fc7), len(model.classes))
    assert offsets.shape == (1, 4 * len(model.classes))
    torch.testing.assert_close(margins, fc7 @ svms["weight"].T + svms["bias"])


def test_the_cache_holds_all_regions_of_all_training_images(runs: Path, boxes: Path) -> None:
    cache = FeatureCache.read(runs / "cells-features")
    samples = visus.open_data(boxes).split("train")
    assert [entry.id for entry in cache.entries] == [sample.id for sample in samples]
    objects = sum(len(sample.target("detection")) for sample in samples)
    assert cache.rows("objects") == 4 * objects + 6 * len(samples)
    assert (cache.array("objects") >= 0).sum() == objects
    assert objects <= cache.rows("labels") < cache.rows("objects")
    assert cache.array("fc7").dtype == np.float16
    own = cache.array("objects")[:, 0]
    assert (cache.array("overlaps")[np.flatnonzero(own >= 0), own[own >= 0]] > 0.999).all()


@pytest.mark.usefixtures("without_reports")
@pytest.mark.parametrize(
    "phase", [pytest.param(phase, marks=[] if phase == "features" else [pytest.mark.slow]) for phase in PHASES]
)
def test_any_phase_that_was_not_finished_goes_on_with_the_same_result(runs: Path, tmp_path: Path, phase: str) -> None:
    """All later phases are gone, and this one's manifest says that it was broken off."""
    out = tmp_path / "runs"
    for name in PHASES[: PHASES.index(phase) + 1]:
        shutil.copytree(folder_of(runs, name), folder_of(out, name))
        config = folder_of(out, name) / "config.yaml"
        config.write_text(config.read_text().replace(str(runs), str(out)))
    manifest = folder_of(out, phase) / "artefact.json"
    if phase != "finetune":
        manifest.write_text(manifest.read_text().replace('"finished": true', '"finished": false'))
    done = visus.resume(folder_of(out, phase), quiet=True)
    assert done.path == out / "cells"
    ours, _ = read_tensors(out / "cells" / "model.safetensors")
    theirs, _ = read_tensors(runs / "cells" / "model.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert not list(out.glob("*.before"))


KILLED = """
import os, signal, sys
import visus
from visus.engine import feature_cache
from visus.workflow import region_phases

place, run = sys.argv[1:]
append, count = feature_cache.FeatureCache.append, 0

def dying(self, *arguments, **options):
    global count
    append(self, *arguments, **options)
    count += 1
    if place == "features" and count == 3:
        with open(self.folder / "fc7.float16", "ab") as file:
            file.write(b"half a row")
        os.kill(os.getpid(), signal.SIGKILL)

feature_cache.FeatureCache.append = dying
box_rules = region_phases.box_rules

def rules(plan):
    if place == "boxes":
        os.kill(os.getpid(), signal.SIGKILL)
    return box_rules(plan)

region_phases.box_rules = rules
visus.resume(run, quiet=True)
print(count)
"""


@pytest.mark.slow
def test_killed_phases_go_on_where_they_were(runs: Path, tmp_path: Path) -> None:
    """Killed among the images of the features, then in the regressions: nothing that was there is done again."""
    out = tmp_path / "runs"
    shutil.copytree(folder_of(runs, "finetune"), folder_of(out, "finetune"))
    config = folder_of(out, "finetune") / "config.yaml"
    config.write_text(config.read_text().replace(str(runs), str(out)))

    def resume(place: str, run: str) -> tuple[int, str]:
        command = [sys.executable, "-c", KILLED, place, str(out / run)]
        told = subprocess.run(command, capture_output=True, text=True, timeout=300, env=dict(os.environ))
        assert told.returncode in (0, -signal.SIGKILL), told.stderr
        return told.returncode, told.stdout.strip()

    images = len(FeatureCache.read(runs / "cells-features"))
    assert resume("features", "cells-finetune") == (-signal.SIGKILL, "")
    assert not (out / "cells-svm").exists()
    assert resume("boxes", "cells-features") == (-signal.SIGKILL, "")
    assert (out / "cells-svm" / "svms.safetensors").is_file()
    features = (out / "cells-features" / "fc7.float16").read_bytes()
    assert features == (runs / "cells-features" / "fc7.float16").read_bytes()
    assert resume("", "cells-boxes") == (0, "0")
    assert len(FeatureCache.read(out / "cells-features")) == images
    ours, _ = read_tensors(out / "cells" / "model.safetensors")
    theirs, _ = read_tensors(runs / "cells" / "model.safetensors")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.usefixtures("without_reports")
def test_damaged_features_are_computed_again(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    for name in PHASES:
        shutil.copytree(folder_of(runs, name), folder_of(out, name))
        config = folder_of(out, name) / "config.yaml"
        config.write_text(config.read_text().replace(str(runs), str(out)))
    path = out / "cells-features" / "fc7.float16"
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\x00\x01\x02\x03" + whole[104:])
    assert visus.resume(out / "cells-finetune", quiet=True).path == out / "cells"
    assert path.read_bytes() == whole


def test_a_phase_without_what_it_needs_says_where_to_go_on(runs: Path, tmp_path: Path) -> None:
    for name in ("finetune", "svm"):
        shutil.copytree(folder_of(runs, name), folder_of(tmp_path, name))
        config = folder_of(tmp_path, name) / "config.yaml"
        config.write_text(config.read_text().replace(str(runs), str(tmp_path)))
    manifest = tmp_path / "cells-svm" / "artefact.json"
    manifest.write_text(manifest.read_text().replace('"finished": true', '"finished": false'))
    with pytest.raises(visus.errors.DataError, match="features left is missing") as refusal:
        visus.resume(tmp_path / "cells-svm", quiet=True)
    assert "finetune" in refusal.value.remedy


def test_the_name_of_a_training_finds_its_phases(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever folder is named, one that is not there yet or has no plan: the training goes on from its first phase."""
    begun: list[Path] = []
    monkeypatch.setattr("visus.workflow.training_phases._run_from", lambda path, *_, **__: begun.append(path) or path)
    shutil.copytree(folder_of(runs, "finetune"), tmp_path / "cells-finetune")
    shutil.copytree(folder_of(runs, "features"), tmp_path / "cells-features")
    (tmp_path / "cells-svm").mkdir()  # killed before it wrote anything
    for name in ("cells", "cells-svm", "cells-boxes"):
        visus.resume(tmp_path / name, quiet=False)
        told = capsys.readouterr().err
        assert f"{tmp_path / name} is a training in phases: it goes on from {tmp_path / 'cells-finetune'}" in told
    visus.resume(tmp_path / "cells-features", quiet=True)
    assert begun == [tmp_path / "cells-finetune"] * 3 + [tmp_path / "cells-features"]
    shutil.copytree(folder_of(runs, "finetune"), tmp_path / "cells-finetune-2")
    with pytest.raises(visus.errors.UsageError, match="may be one of 2 trainings") as refusal:
        visus.resume(tmp_path / "cells", quiet=True)
    assert str(tmp_path / "cells-finetune-2") in str(refusal.value)
    with pytest.raises(visus.errors.UsageError, match="is not a run"):
        visus.resume(tmp_path / "cell", quiet=True)
    assert len(begun) == 4


@pytest.mark.slow
@pytest.mark.usefixtures("without_reports")
def test_no_region_that_shows_an_object(boxes: Path, given: Path, tmp_path: Path) -> None:
    with pytest.raises(visus.errors.DataError, match="no region of the training images shows an object"):
        train(boxes, given, tmp_path, **{"regions.box_overlap": 1.0})


@pytest.mark.slow
def test_spp_net_goes_through_the_same_phases(boxes: Path, given: Path, tmp_path: Path) -> None:
    changes = {name: value for name, value in CHANGES.items() if not name.startswith("model_options")}
    done = visus.train(
        boxes,
        model="spp_net",
        backbone="mobilenet_v1_025",
        weights="none",
        proposals=[given],
        changes={**changes, "model_options.width": 16, "model_options.scales": [64, 96]},
        out=tmp_path,
        name="cells",
        quiet=True,
    )
    assert sorted(path.name for path in tmp_path.iterdir() if not path.is_symlink()) == [
        "cells", "cells-boxes", "cells-features", "cells-finetune", "cells-svm"
    ]  # fmt: skip
    config = yaml.safe_load((tmp_path / "cells" / "config.yaml").read_text())
    assert config["phase"]["phases"] == "region-svms"
    assert visus.load(done.path).network.scales == {16: 96, 24: 64}
    assert (tmp_path / "cells" / "report.html").is_file()


# --- what is known of regions


def detections(boxes: Sequence[Sequence[float]], labels: Sequence[int], ignored: Sequence[bool] | None = None) -> Any:
    return Detections(
        ("a", "b"),
        np.asarray(boxes, np.float32).reshape(-1, 4),
        np.asarray(labels, np.int64),
        (40, 40),
        ignored=None if ignored is None else np.asarray(ignored),
    )


def test_overlaps_offsets_and_own_boxes() -> None:
    from visus.structures import Proposals

    target = detections([[0, 0, 10, 10], [20, 20, 30, 30], [0, 0, 10, 20]], [0, 1, 0])
    given = Proposals(np.asarray([[0, 0, 10, 8], [20, 20, 40, 30], [5, 5, 5, 9]], np.float32), (40, 40))
    known = region_targets(target, given, (40, 40), 0.6)
    assert known["boxes"].shape == (2 + 3, 4)  # the region without area is dropped, the objects' own boxes join
    np.testing.assert_allclose(known["overlaps"][:2], [[0.8, 0], [0, 0.5]], atol=1e-6)
    assert known["objects"].tolist() == [-1, -1, 0, 1, 0]
    assert known["chosen"].tolist() == [0, 2, 3, 4]
    np.testing.assert_allclose(known["offsets"][0], [0, 1 / 8, 0, np.log(10 / 8)], atol=1e-6)
    assert not known["offsets"][1:].any()
    assert known["labels"].tolist() == [0, 0, 1, 0]


def test_ignored_objects_no_objects_no_proposals() -> None:
    from visus.structures import Proposals

    ignored = detections([[0, 0, 10, 10]], [1], [True])
    known = region_targets(ignored, Proposals.empty((40, 40)), (40, 40), 0.6)
    assert known["boxes"].shape == (0, 4)
    near = region_targets(ignored, Proposals(np.asarray([[0, 0, 10, 9]], np.float32), (40, 40)), (40, 40), 0.6)
    assert near["overlaps"][0, 1] > 0.8  # it is no negative of that class
    assert len(near["chosen"]) == 0
    nothing = region_targets(detections([], []), None, (40, 40), 0.6)
    assert nothing["boxes"].tolist() == [[0, 0, 40, 40]]
    assert not nothing["overlaps"].any()
