"""Files that Keras itself writes load into our networks, which then answer as Keras does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from visus.errors import WeightsError
from visus.models import catalog
from visus.models.building import build
from visus.models.keras_file import read_keras
from visus.models.weights import load_weights
from visus.structures.extensions import load_object


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "theirs", "side"),
    [
        ("xception@paper", "Xception", 96),
        ("densenet121@paper", "DenseNet121", 64),
        ("mobilenet_v2@paper", "MobileNetV2", 64),
        ("efficientnet_b0@paper", "EfficientNetB0", 64),
    ],
)
def test_files_of_keras(name: str, theirs: str, side: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    network = getattr(keras.applications, theirs)(
        weights=None, classes=5, input_shape=(side, side, 3), classifier_activation=None
    )
    random = np.random.default_rng(0)
    for layer in network.layers:
        if type(layer).__name__ == "BatchNormalization":
            shape = layer.get_weights()[0].shape
            values = [random.uniform(*bounds, shape) for bounds in ((0.5, 1.5), (-0.3, 0.3), (-0.3, 0.3), (0.5, 1.5))]
            layer.set_weights(values)
    images = random.uniform(-1, 1, (2, side, side, 3)).astype(np.float32)
    given = (images + 1) * 127.5 if "efficientnet" in name else images  # which divides by 255 within the network
    expected = torch.from_numpy(network.predict(given, verbose=0))
    network.save_weights(tmp_path / "a.weights.h5")
    network.save(tmp_path / "b.h5")
    card = catalog.find(name)
    for file in ("a.weights.h5", "b.h5"):
        ours = build(card, classes=5).eval()
        assert load_weights(ours, card, tmp_path / file).left_random == ()
        with torch.no_grad():
            answers = ours(torch.from_numpy(given / (255 if given is not images else 1)).permute(0, 3, 1, 2))
        torch.testing.assert_close(answers, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    values = read_keras(tmp_path / "a.weights.h5", limit=1 << 30)
    convert = load_object(next(conversion.convert for conversion in card.conversions if conversion.suffix == ".h5"))
    without = {key: value for key, value in values.items() if not key.startswith("predictions/")}
    assert set(convert(values)) - set(convert(without)) == {f"{ours.head[0]}.{part}" for part in ("weight", "bias")}
    needed = [key for key in without if not key.startswith("normalization")]
    for key in (needed[0], needed[-1]):
        with pytest.raises(WeightsError, match="the values are not those of Keras's"):
            convert({other: value for other, value in without.items() if other != key})
