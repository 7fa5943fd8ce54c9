"""Times detectors beside torchvision's: NMS of many boxes, and whole predictions with the same weights.

Suppression: 10,000 boxes of 80 classes, ours of arrays against torchvision.ops.batched_nms of tensors, the same boxes,
of which both must leave the same ones. Detectors: SSD300 and RetinaNet of our editions "torchvision", from the
normalised image to the detections, against torchvision's own network, anchors and post-processing. Rounds alternate;
printed is the median of the paired ratios, ours over theirs, with an interval that holds it 19 times in 20, and how
many images a second our network, our decoding and the suppression in it do on their own.

    python benchmarks/detection.py [--rounds 15] [--only retinanet] [--clock cpu]

Goal: the interval of each ratio includes or lies below 1.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torchvision.models.detection import RetinaNet, retinanet_resnet50_fpn, ssd300_vgg16
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import batched_nms

from paired import Ratio, paired, ratio
from visus.models.building import build
from visus.models.catalog import find
from visus.models.detection import retinanet_weights, ssd_weights
from visus.ops.suppression import nms

SIZES = {"ssd": 300, "retinanet": 320}
BOXES, CLASSES, OVERLAP = 10_000, 80, 0.5

Clock = Callable[[], float]


def suppression(rounds: int, clock: Clock) -> Ratio:
    """The ratio of our NMS to torchvision's, on boxes with sides of 10 to 110 pixels on 800 x 800."""
    generator = torch.Generator().manual_seed(0)
    corners = 700 * torch.rand(BOXES, 2, generator=generator)
    boxes = torch.cat([corners, corners + 10 + 100 * torch.rand(BOXES, 2, generator=generator)], 1)
    scores = torch.randperm(BOXES, generator=generator) / BOXES  # no two alike: their order would be anyone's
    labels = torch.randint(CLASSES, (BOXES,), generator=generator)

    arrays = (boxes.numpy(), scores.numpy(), labels.numpy())

    def seconds(keep: Callable[[], Any]) -> float:
        began = clock()
        keep()
        return clock() - began

    ours, theirs = lambda: nms(*arrays, OVERLAP), lambda: batched_nms(boxes, scores, labels, OVERLAP)
    assert ours().tolist() == theirs().tolist()
    return ratio(*paired(lambda: seconds(ours), lambda: seconds(theirs), rounds))


def pair(name: str) -> tuple[Any, Any]:
    """Our network and torchvision's with equal weights, whose scores are spread like a trained network's."""
    torch.manual_seed(0)
    ours: nn.Module
    if name == "ssd":
        theirs: Any = ssd300_vgg16(weights=None, weights_backbone=None, num_classes=81).eval()
        ours = build(find("ssd@torchvision"), classes=80).eval()
        ours.load_state_dict(ssd_weights.from_torchvision(theirs.state_dict()))
        return ours, theirs
    theirs = retinanet_resnet50_fpn(weights=None, weights_backbone=None, num_classes=80).eval()
    with torch.no_grad():
        theirs.head.classification_head.cls_logits.weight.mul_(4)
    ours = build(find("retinanet@torchvision"), classes=80).eval()
    ours.load_state_dict(retinanet_weights.from_torchvision(theirs.state_dict(), epsilon=1e-5))
    return ours, theirs


def their_answer(theirs: Any, images: Tensor) -> list[dict[str, Tensor]]:
    """Runs torchvision's forward pass without its first and last step (scaling and normalising, and their inverse)."""
    sizes = [(images.shape[2], images.shape[3])] * len(images)
    features = list(theirs.backbone(images).values())
    outputs: Any = theirs.head(features)
    anchors: Any = theirs.anchor_generator(ImageList(images, sizes), features)
    if isinstance(theirs, RetinaNet):  # which is read level by level
        each = theirs.anchor_generator.num_anchors_per_location()[0]
        counts = [f.shape[2] * f.shape[3] * each for f in features]
        outputs = {key: list(value.split(counts, dim=1)) for key, value in outputs.items()}
        anchors = [list(a.split(counts)) for a in anchors]
    return theirs.postprocess_detections(outputs, anchors, sizes)  # type: ignore[no-any-return]


def candidates(network: Any, raw: Any) -> tuple[Any, ...]:
    """The boxes, scores, labels, threshold and number that NMS gets while these raw outputs are decoded."""
    with patch("visus.ops.suppression.nms", wraps=nms) as seen:
        network.codec.decode(raw)
    return seen.call_args.args  # type: ignore[no-any-return]


def detector(name: str, rounds: int, clock: Clock) -> tuple[Ratio, dict[str, float]]:
    """The ratio of our time to torchvision's from image to detections, and our images a second, part by part."""
    ours, theirs = pair(name)
    side = SIZES[name]
    spread = 30 if name == "ssd" else 1
    images = spread * torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))

    def seconds(answer: Callable[[], Any]) -> float:
        began = clock()
        with torch.no_grad():
            answer()
        return clock() - began

    with torch.no_grad():
        raw = ours(images)
        (mine,), (other,) = ours.codec.decode(raw), their_answer(theirs, images)
        assert len(mine) == len(other["scores"])
        torch.testing.assert_close(torch.from_numpy(mine.scores), other["scores"], rtol=1e-3, atol=1e-4)
    found = ratio(
        *paired(
            lambda: seconds(lambda: ours.codec.decode(ours(images))),
            lambda: seconds(lambda: their_answer(theirs, images)),
            rounds,
        )
    )
    boxes = candidates(ours, raw)
    parts = {
        "network": lambda: ours(images),
        "decoding": lambda: ours.codec.decode(raw),
        f"suppression of {len(boxes[0])} in it": lambda: nms(*boxes),
    }
    speeds = {part: 1 / sorted(seconds(work) for _ in range(rounds))[rounds // 2] for part, work in parts.items()}
    return found, speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", choices=["suppression", *SIZES], action="append", help="this; may be given again")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: of the driving thread alone")
    options = parser.parse_args()
    clock = time.thread_time if options.clock == "cpu" else time.perf_counter
    torch.set_num_threads(1)
    print(f"{platform.machine()}, one thread, torch {torch.__version__}, {options.clock} clock")
    for name in options.only or ["suppression", *SIZES]:
        if name == "suppression":
            found, speeds = suppression(options.rounds, clock), {}
        else:
            found, speeds = detector(name, options.rounds, clock)
        parts = ", ".join(f"{part} {speed:.1f}" for part, speed in speeds.items())
        print(
            f"{name:11} torchvision {found.theirs * 1000:7.1f} ms, "
            f"visus {found.median:.3f} [{found.low:.3f}, {found.high:.3f}] of it ({options.rounds} rounds)"
            + (f"; images/s: {parts}" if parts else ""),
            flush=True,
        )


if __name__ == "__main__":
    main()
