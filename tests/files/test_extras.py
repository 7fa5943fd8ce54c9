"""A missing package is named with the extra that installs it."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

import visus
from visus.cli.main import main
from visus.errors import MissingExtraError
from visus.files.extras import EXTRAS, missing_extra, require_train

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
DISTRIBUTIONS = {"cv2": "opencv-python-headless", "sklearn": "scikit-learn", "skimage": "scikit-image"}


@pytest.mark.parametrize("package", EXTRAS)
def test_the_extra_has_the_package(package: str) -> None:
    if package == "scipy":
        return  # a part of scikit-learn and scikit-image
    name = DISTRIBUTIONS.get(package, package)
    assert any(line.startswith(name + ">") for line in PROJECT["optional-dependencies"][EXTRAS[package]])
    assert not any(line.startswith(name + ">") for line in PROJECT["dependencies"])


def test_an_error_of_another_package_stays() -> None:
    assert missing_extra(ModuleNotFoundError(name="somebody.else")) is None
    found = missing_extra(ModuleNotFoundError(name="torch.nn"))
    assert found is not None
    assert 'pip install "visus[train]"' in found.remedy


def test_training_without_torch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    require_train("training")
    monkeypatch.setitem(sys.modules, "torch", None)
    for call in (lambda: visus.train("photos"), lambda: visus.create("lenet5"), lambda: visus.load("runs/none")):
        with pytest.raises(MissingExtraError, match="torch"):
            call()
    with pytest.raises(SystemExit) as end:
        main(["train", "digits"])
    assert end.value.code == 2
    assert 'pip install "visus[train]"' in capsys.readouterr().err
