"""Grad-CAM: heat maps of the pixels that support a prediction.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017.
With A the [C,h,w] maps of one layer and y the score of the prediction:

    alpha_c = mean over i,j of dy / dA_c,i,j              (eq. 1)
    L = ReLU(sum over c of alpha_c A_c)                   (eq. 2)

``features`` and ``from_features`` cut the network in two, so that no hook is needed. Only the maps get gradients:
parameters may be frozen, and get none.

Letters: N images, C channels, H x W pixels of the network's input, h x w cells of a map.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visus.errors import ShapeError
from visus.models.protocols import Backbone, RegionNetwork
from visus.structures import Batch, Detections, Heatmap, Value

if TYPE_CHECKING:
    from visus.tasks.task import Task

NAMED_CLASSES = 3


def grad_cam(network: nn.Module, task: Task, batch: Batch, predictions: Sequence[Value]) -> list[Heatmap]:
    """Makes heat maps for the predictions of a network, from its deepest maps.

    For each image, the heat map comes from one of the maps of ``network.features``: the deepest that the score depends
    on and that has more than one cell. A detector's small objects thus come from a shallower map than its large ones.
    The map is scaled to the network's input bilinearly, moved to file pixels, and divided by its largest value. It is 0
    everywhere if nothing supports the prediction, and at pixels of the file that the network did not see. A network
    that sees each region by itself (R-CNN) is asked about the predicted boxes, and their maps are put back there.

    Args:
        network: a :class:`~visus.models.protocols.Backbone`, or any other network, whose only map is the images
            themselves; in any mode, explained as in eval mode.
        task: computes the score that is differentiated.
        batch: normalised images [N,C,H,W] with their placements; targets are not needed.
        predictions: N predictions in network pixels, or other values whose support is asked for.

    Returns:
        N heat maps without their images.

    Raises:
        ShapeError: if the number of predictions is not the number of images.
    """
    if len(predictions) != len(batch):
        raise ShapeError(
            "Grad-CAM needs one prediction for each image",
            expected=f"{len(batch)} predictions",
            got=f"{len(predictions)} predictions",
        )
    if isinstance(network, RegionNetwork):
        return [_heatmaps_of_regions(network, task, batch, n, [p])[0] for n, p in enumerate(predictions)]
    with _opened(network, batch) as (maps, outputs):
        gradients = _gradients(task.score(network, outputs, predictions), maps)
    return [_heatmap(maps, gradients, n, batch, prediction) for n, prediction in enumerate(predictions)]


def grad_cam_of_each(network: nn.Module, task: Task, batch: Batch, questions: Sequence[Value]) -> list[Heatmap]:
    """Makes a heat map for each of several predictions of one image, each as by :func:`grad_cam`.

    The image goes through the network once. Each prediction has its own heat map, since the objects of an image would
    cancel out in the mean gradient by which Grad-CAM weighs a map.

    Args:
        network, task: as for :func:`grad_cam`.
        batch: one normalised image [1,C,H,W] with its placement.
        questions: predictions in network pixels.

    Returns:
        A heat map for each question, without its image.

    Raises:
        ShapeError: if there is more than one image.
    """
    if len(batch) != 1:
        raise ShapeError(
            "several predictions are explained for one image at a time",
            expected="one image",
            got=f"{len(batch)} images",
        )
    if isinstance(network, RegionNetwork):
        return _heatmaps_of_regions(network, task, batch, 0, questions)
    heatmaps = []
    with _opened(network, batch) as (maps, outputs):
        for question in questions:
            gradients = _gradients(task.score(network, outputs, [question]), maps)
            heatmaps.append(_heatmap(maps, gradients, 0, batch, question))
    return heatmaps


@contextmanager
def _opened(network: nn.Module, batch: Batch) -> Iterator[tuple[dict[int, Tensor], Any]]:
    """A context with the maps by stride, as leaves of a graph, and the outputs that the graph ends in."""
    images = batch.images
    # Inside a caller's inference mode no gradient could be taken.
    with torch.inference_mode(False), in_eval_mode(network):
        regions = _proposals(batch)
        with torch.no_grad():
            features = network.features(images) if isinstance(network, Backbone) else {1: images}
        with torch.enable_grad():
            maps = {stride: map_.detach().clone().requires_grad_() for stride, map_ in features.items()}
            # Copies, since a network may work in place on what it is given, which a leaf of the graph forbids.
            copies = {stride: map_.clone() for stride, map_ in maps.items()}
            if isinstance(network, Backbone):
                yield maps, network.from_features(copies, images.shape[-2:], **regions)
            else:
                yield maps, network(copies[1], **regions)


def _proposals(batch: Batch) -> dict[str, list[Tensor]]:
    """The regions that the network is to look at, as its argument; nothing for a network that is given none."""
    if batch.proposals is None:
        return {}
    return {"proposals": [torch.from_numpy(given.boxes).to(batch.images.device) for given in batch.proposals]}


def _heatmap(maps: dict[int, Tensor], gradients: dict[int, Tensor], n: int, batch: Batch, prediction: Value) -> Heatmap:
    """Makes the heat map of image n in file pixels."""
    size = (batch.images.shape[-2], batch.images.shape[-1])
    stride = _deepest(gradients, n)
    values = np.zeros(size, np.float32)
    if stride is not None:
        heat = _weighted_sum(maps[stride][n : n + 1].detach(), gradients[stride][n : n + 1])  # [1,1,h,w]
        larger = nn.functional.interpolate(heat, size=size, mode="bilinear", align_corners=False)
        values = larger[0, 0].cpu().numpy()  # [H,W]
    values = batch.placements[n].undo_map(values, smooth=True).astype(np.float32)
    return Heatmap(_normalised(values), label=_name(prediction))


def _heatmaps_of_regions(network: Any, task: Task, batch: Batch, n: int, questions: Sequence[Value]) -> list[Heatmap]:
    """Makes heat maps of image n, each of the maps that the network makes of a prediction's boxes.

    Without any object the whole image is the region. All boxes go through the network together.
    """
    images = batch.images[n : n + 1]
    size = (images.shape[-2], images.shape[-1])
    whole = images.new_tensor([[0, 0, size[1], size[0]]])
    regions = []
    for question in questions:
        boxes = torch.from_numpy(cast(Detections, question).boxes).to(images)
        boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)]
        regions.append(boxes if len(boxes) else whole)
    heatmaps = []
    with torch.inference_mode(False), in_eval_mode(network):
        with torch.no_grad():
            features = network.region_maps(images, [torch.cat(regions)])
        first = 0
        for question, boxes in zip(questions, regions, strict=True):
            own = slice(first, first + len(boxes))
            first += len(boxes)
            with torch.enable_grad():
                maps = {stride: map_[own].clone().requires_grad_() for stride, map_ in features.items()}
                copies = {stride: map_.clone() for stride, map_ in maps.items()}
                outputs = network.from_region_maps(copies, [boxes], size)
                gradients = _gradients(task.score(network, outputs, [question]), maps)
            values = torch.zeros(size)
            for stride, gradient in gradients.items():
                heat = _weighted_sum(maps[stride].detach(), gradient)[:, 0]  # [R,h,w]
                values = torch.maximum(values, network.placed(heat, boxes, size).cpu())
            placed = batch.placements[n].undo_map(values.numpy(), smooth=True).astype(np.float32)
            heatmaps.append(Heatmap(_normalised(placed), label=_name(question)))
    return heatmaps


def _gradients(scores: Tensor, maps: dict[int, Tensor]) -> dict[int, Tensor]:
    """Returns d(sum of scores)/d(map) [N,C,h,w] by stride; in eval mode no image influences another."""
    if not scores.requires_grad:
        return {}
    gradients = torch.autograd.grad(scores.sum(), list(maps.values()), allow_unused=True, retain_graph=True)
    return {stride: gradient for stride, gradient in zip(maps, gradients, strict=True) if gradient is not None}


def _weighted_sum(map_: Tensor, gradient: Tensor) -> Tensor:
    """Equations 1 and 2: [N,C,h,w], [N,C,h,w] -> [N,1,h,w] float32."""
    alpha = gradient.float().mean(dim=(2, 3), keepdim=True)  # [N,C,1,1]
    return (alpha * map_.float()).sum(dim=1, keepdim=True).relu()  # [N,1,h,w]


def _deepest(gradients: dict[int, Tensor], n: int) -> int | None:
    """Returns the largest stride whose map the score of image n depends on; maps of one cell come last."""
    used = [stride for stride, gradient in gradients.items() if bool(gradient[n].any())]
    spread = [stride for stride in used if gradients[stride][n, 0].numel() > 1]
    return max(spread or used, default=None)


def _normalised(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divides values [h,w] >= 0 by their largest; values that are all 0 stay 0."""
    largest = float(values.max())
    return np.clip(values / largest, 0, 1).astype(np.float32) if largest > 0 else np.zeros_like(values)


def _name(prediction: Value) -> str:
    """Names what is explained, in words."""
    names = prediction.mentions()
    more = f" and {len(names) - NAMED_CLASSES} more" if len(names) > NAMED_CLASSES else ""
    if not names:
        return "nothing found" if prediction.classes else prediction.words()
    return ", ".join(names[:NAMED_CLASSES]) + more


@contextmanager
def in_eval_mode(network: nn.Module) -> Iterator[None]:
    """A context with the network in eval mode; afterwards each module has its earlier mode."""
    before = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
