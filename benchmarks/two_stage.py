"""Times Faster and Mask R-CNN on a pyramid beside torchvision's with the same weights.

"answer": from the normalised image to the objects with their masks, which both leave at 28 x 28; "pasted": Mask R-CNN's
masks in the whole image, too, true or false. "step": losses, gradients and an update of SGD with momentum, with as many
sampled anchors and regions, norms that are not trained, 15 objects with masks an image. Ours runs in the memory layout
that visus trains and predicts in (channels last); torchvision's in its own, or in the same with ``--layout``. Its own
networks have ``BatchNorm2d``; with ``--frozen`` they have the norms of its published weights, which are slower.

    python benchmarks/two_stage.py [--rounds 7] [--only faster mask] [--sizes 416x544] [--parts answer step]

``memory`` predicts one image of 800 x 1333 with 300 proposals in a process of its own, and prints how far its memory
rose above that of the built network (Linux).

Ratios are our time by torchvision's: the median of paired rounds, with an interval that holds it 19 times in 20.
Goals: answer at most 0.9, step at most 0.95; under 2 GiB.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection import fasterrcnn_resnet50_fpn, maskrcnn_resnet50_fpn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.ops.misc import FrozenBatchNorm2d

from paired import paired, ratio
from visus.models.building import build
from visus.models.catalog import find
from visus.models.detection import faster_rcnn_fpn_weights, mask_rcnn_weights
from visus.structures import Batch, Detections, Placement
from visus.structures.masks import Masks

NETWORKS = ("faster", "mask")
PARTS = ("answer", "pasted", "step", "memory")
OBJECTS, CLASSES = 15, 90
LARGE = (800, 1333)

Clock = Callable[[], float]
Size = tuple[int, int]


def pair(name: str, *, frozen: bool, layout: torch.memory_format) -> tuple[Any, Any]:
    """Our network and torchvision's with equal weights."""
    torch.manual_seed(0)
    if name == "faster":
        theirs: Any = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None)
        state = faster_rcnn_fpn_weights.from_torchvision(theirs.state_dict(), epsilon=1e-5)
        ours: Any = build(find("faster_rcnn_fpn@torchvision"))
    else:
        theirs = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None)
        state = mask_rcnn_weights.from_torchvision(theirs.state_dict(), epsilon=1e-5)
        ours = build(find("mask_rcnn@torchvision"))
    ours.load_state_dict(state)
    if frozen:
        freeze_norms(theirs)
    return ours.to(memory_format=torch.channels_last).eval(), theirs.to(memory_format=layout).eval()


def freeze_norms(network: nn.Module) -> None:
    """Puts torchvision's frozen norms in the place of all norms."""
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.BatchNorm2d):
                norm = FrozenBatchNorm2d(layer.num_features)
                state = layer.state_dict()
                state.pop("num_batches_tracked")
                norm.load_state_dict(state)
                setattr(parent, name, norm)


def their_answer(theirs: Any, images: Tensor) -> list[dict[str, Tensor]]:
    """torchvision's forward pass without its first and last step (scaling and normalising, and their inverse)."""
    sizes = [(images.shape[2], images.shape[3])] * len(images)
    features = theirs.backbone(images)
    proposals, _ = theirs.rpn(ImageList(images, sizes), features)
    answers, _ = theirs.roi_heads(features, proposals, sizes)
    return answers  # type: ignore[no-any-return]


def objects(size: Size, random: np.random.Generator) -> tuple[Detections, dict[str, Tensor]]:
    """The same objects, ours and torchvision's; each mask fills its box but for its corners."""
    sides = random.uniform(24, 0.4 * min(size), (OBJECTS, 2))
    corners = random.uniform(0, 1, (OBJECTS, 2)) * (np.asarray(size[::-1]) - sides)
    boxes = np.concatenate([corners, corners + sides], 1).round().astype(np.float32)
    labels = random.integers(0, CLASSES, OBJECTS)
    whole = np.zeros((OBJECTS, *size), bool)
    for mask, (x1, y1, x2, y2) in zip(whole, boxes.astype(int).tolist(), strict=True):
        rows, columns = np.mgrid[y1:y2, x1:x2] + 0.5
        inside = ((columns - (x1 + x2) / 2) / (x2 - x1)) ** 2 + ((rows - (y1 + y2) / 2) / (y2 - y1)) ** 2 <= 0.25
        mask[y1:y2, x1:x2] = inside
    mine = Detections(tuple(map(str, range(CLASSES))), boxes, labels, size, masks=Masks.from_full(whole))
    yours = {
        "boxes": torch.from_numpy(boxes),
        "labels": torch.from_numpy(labels) + 1,
        "masks": torch.from_numpy(whole).to(torch.uint8),
    }
    return mine, yours


def work_of(part: str, ours: Any, theirs: Any, size: Size, layout: torch.memory_format) -> tuple[Any, Any]:
    """Our function and theirs; each call does the work once."""
    images = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    our_images, their_images = images.to(memory_format=torch.channels_last), images.to(memory_format=layout)
    if part == "step":
        mine, yours = objects(size, np.random.default_rng(0))
        batch = Batch(our_images, [mine], [Placement.identity(size)], ("0",))
        our_sgd, their_sgd = (torch.optim.SGD(n.parameters(), 1e-6, momentum=0.9) for n in (ours, theirs))

        def our_step() -> None:
            our_sgd.zero_grad()
            torch.stack(list(ours.codec.losses(ours, batch).values())).sum().backward()
            our_sgd.step()

        def their_step() -> None:
            their_sgd.zero_grad()
            theirs.rpn.train()
            theirs.roi_heads.train()
            features = theirs.backbone(their_images)
            proposals, first = theirs.rpn(ImageList(their_images, [size]), features, [yours])
            _, second = theirs.roi_heads(features, proposals, [size], [yours])
            torch.stack(list({**first, **second}.values())).sum().backward()
            their_sgd.step()

        return our_step, their_step

    def our_answer() -> Any:
        with torch.inference_mode():
            (answer,) = ours.codec.decode(ours(our_images))
            return answer.masks.full() if part == "pasted" else answer

    def other_answer() -> Any:
        with torch.inference_mode():
            (answer,) = their_answer(theirs, their_images)
            return paste_masks_in_image(answer["masks"], answer["boxes"], size) >= 0.5 if part == "pasted" else answer

    if part == "answer":
        mine, yours = our_answer(), other_answer()
        assert len(mine) == len(yours["scores"])
        torch.testing.assert_close(torch.from_numpy(mine.scores), yours["scores"], rtol=1e-3, atol=1e-3)
    return our_answer, other_answer


def resident(which: str) -> float:
    """MiB of this process that lie in memory now ("VmRSS"), or did at most ("VmHWM")."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(which))
    return int(line.split()[1]) / 1024


def rise_of_memory() -> None:
    """Prints how many MiB one prediction takes above the built network."""
    torch.set_num_threads(1)
    network: Any = build(find("mask_rcnn@torchvision"), options={"proposals": 300}).eval()
    network.to(memory_format=torch.channels_last)
    images = torch.randn(1, 3, *LARGE).to(memory_format=torch.channels_last)
    before = resident("VmRSS")
    with torch.inference_mode():
        outputs = network(images)
        (answer,) = network.codec.decode(outputs)
        answer.masks.areas()
    rise = resident("VmHWM") - before
    print(
        f"memory   {outputs.counts[0]} proposals, {len(answer)} objects of {LARGE[0]}x{LARGE[1]}: {rise:.0f} MiB more"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--sizes", nargs="+", default=["416x544", "800x1088"])
    parser.add_argument("--clock", choices=["wall", "cpu"], default="cpu")
    parser.add_argument("--layout", choices=["contiguous_format", "channels_last"], default="contiguous_format")
    parser.add_argument("--frozen", action="store_true", help="torchvision with its frozen norms")
    parser.add_argument("--rise-of-memory", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rise_of_memory:
        rise_of_memory()
        return
    clock: Clock = time.process_time if options.clock == "cpu" else time.perf_counter
    layout = getattr(torch, options.layout)
    torch.set_num_threads(1)
    print(
        f"{platform.machine()}, one thread, torch {torch.__version__}, torchvision {torchvision.__version__}, "
        f"{options.clock} clock; torchvision: {options.layout}, {'frozen' if options.frozen else 'plain'} norms"
    )

    def timed(work: Callable[[], Any]) -> Callable[[], float]:
        def once() -> float:
            began = clock()
            work()
            return clock() - began

        return once

    for name in options.only:
        for text in options.sizes if set(options.parts) - {"memory"} else ():
            height, width = map(int, text.split("x"))
            for part in options.parts:
                if part == "memory" or (part == "pasted" and name == "faster"):
                    continue
                ours, theirs = pair(name, frozen=options.frozen, layout=layout)
                mine, yours = work_of(part, ours, theirs, (height, width), layout)
                found = ratio(*paired(timed(mine), timed(yours), options.rounds))
                print(
                    f"{name:6} {part:6} {text:8} torchvision {found.theirs * 1000:7.0f} ms, "
                    f"visus {found.median:.3f} [{found.low:.3f}, {found.high:.3f}] of it ({options.rounds} rounds)",
                    flush=True,
                )
    if "memory" in options.parts:
        subprocess.run([sys.executable, __file__, "--rise-of-memory"], check=True)


if __name__ == "__main__":
    main()
