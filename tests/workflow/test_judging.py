"""What a speed is made of."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from visus.models.detection.two_stage import Proposed, RegionOutput, TwoStageDetector, whole_images
from visus.ops.box_coding import BoxCoding
from visus.ops.stopwatch import Stopwatch
from visus.workflow.judging import _speed


def test_a_part_of_the_network_is_counted_in_both() -> None:
    seconds = {"features": 2.0, "proposals": 1.0, "heads": 1.0, "network": 4.0, "suppression": 0.5, "answer": 5.0}
    speed = _speed(seconds, 8)
    assert list(speed) == ["network", "features", "proposals", "heads", "decoding", "suppression"]
    assert speed == {
        "network": 2.0,
        "features": 4.0,
        "proposals": 8.0,
        "heads": 8.0,
        "decoding": 16.0,
        "suppression": 16.0,
    }
    assert _speed({"network": 4.0, "answer": 5.0}, 8) == {"network": 2.0, "decoding": 8.0}


class Small(TwoStageDetector):
    channels = {1: 3}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.coding = BoxCoding()
        self.conv = nn.Conv2d(3, 3, 3)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        return {1: self.conv(images)}

    def propose(
        self, features: dict[int, Tensor], size: Sequence[int], proposals: Sequence[Tensor] | None = None
    ) -> Proposed:
        return Proposed(whole_images(features, size) if proposals is None else list(proposals))

    def classify(self, features: dict[int, Tensor], boxes: Sequence[Tensor], size: Sequence[int]) -> RegionOutput:
        return RegionOutput(torch.zeros(len(boxes), 2), torch.zeros(len(boxes), 1, 4))


@pytest.mark.parametrize("given", [None, [torch.zeros(1, 4)]])
def test_the_stages_of_a_detector(given: list[Tensor] | None) -> None:
    """Proposals that come with the images take no time here."""
    network = Small()
    with Stopwatch(network) as watch:
        network(torch.zeros(1, 3, 8, 8), given)
    assert set(watch.seconds) == {"network", "features", "heads"} | ({"proposals"} if given is None else set())
    parts = sum(seconds for part, seconds in watch.seconds.items() if part != "network")
    assert 0 < parts <= watch.seconds["network"]
