"""Loads weights from files into networks: published files and a user's own.

Loading never runs code (see :mod:`visus.models.weight_files`); a published file is read only when its
SHA-256 is the one on the card.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import nn

from visus.errors import WeightsError
from visus.models import catalog
from visus.models.card import Card, Part
from visus.models.fetching import DownloadProgress, fetch
from visus.models.weight_files import size_limit
from visus.models.weight_matching import (
    backbone_of,
    match_file,
    match_published,
    open_file,
    require_finite,
    require_fit,
)


@dataclass(frozen=True, slots=True)
class LoadReport:
    """The tensors that were loaded into a network.

    Args:
        source: the file.
        part: "network", or "backbone" when only that was loaded.
        loaded: how many tensors were.
        left_random: the names that the file has no fitting values for, because the number of classes differs or the
            file is that of a backbone.
        adapted: the names of first kernels that were fitted to another number of channels.
        taken_off: the wrappings and prefixes that were around the file's tensors, such as "model_state_dict" and
            "_orig_mod.*".
    """

    source: Path
    part: Part
    loaded: int
    left_random: tuple[str, ...] = ()
    adapted: tuple[str, ...] = ()
    taken_off: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"{self.part}: {self.loaded} tensors kept from {self.source.name}"
        if self.taken_off:
            text += f" ({' > '.join(self.taken_off)} taken off)"
        if self.left_random:
            text += f"; new, with random values: {', '.join(sorted({n.rpartition('.')[0] for n in self.left_random}))}"
        if self.adapted:
            text += f"; fitted to the number of channels: {', '.join(self.adapted)}"
        return text


def load_weights(
    network: nn.Module,
    card: Card,
    source: Path | Literal["default"],
    *,
    prefix_backbone: bool = False,
    progress: DownloadProgress | None = None,
) -> LoadReport:
    """Loads weights into a network; the head keeps random weights if the number of classes differs.

    A network that can begin with the weights of a smaller one (a VGG with those of configuration A) takes the smaller
    one's file too; the report then names the layers that were drawn at random.

    Args:
        network: as built from ``card``, with any number of classes, and 1 or 3 channels.
        card: of the network. A composition has no published weights of its own: "default" is then its backbone's.
        source: "default" for the first published file of the card, from the cache or its publisher; or a file:
            ``.safetensors`` (such as a run's model), ``.pth``/``.pt`` (a state), ``.npz`` (a state's arrays, or the
            TFLite layout), Caffe's ``.caffemodel`` of SSD and its base, or Darknet's ``.weights`` and ``.conv.N``.
        prefix_backbone: load only ``network.backbone``; ``card`` is the composition's, or the backbone's own.
        progress: called while a file comes from its publisher.

    Raises:
        WeightsError: if there are no such weights, the file is missing, corrupt, or of another network. The network is
            then unchanged.
        DiskError: if the file cannot be stored in the cache.
    """
    if card.backbone and (prefix_backbone or source == "default") and not card.weights:
        card, prefix_backbone = catalog.find(card.backbone), True
    if source == "default":
        if not card.weights:
            raise WeightsError(
                f"no weights are published for {card.full_name}",
                expected=_with_weights(card),
                remedy="use --weights none, or a file",
            )
        published = card.weights[0]
        path = fetch(published, progress=progress)
        file = open_file(path, size_limit(network))
        match = match_published(file, published, network, card, for_backbone=prefix_backbone)
    else:
        path = Path(source)
        file = open_file(path, size_limit(network))
        match = match_file(file, network, card, for_backbone=prefix_backbone)
    part = "backbone" if prefix_backbone else match.part
    target = backbone_of(network, card) if part == "backbone" else network
    fitting = require_fit(target, match.state, path, is_partial=match.is_partial)
    require_finite(fitting.state, path)
    current = target.state_dict()
    target.load_state_dict(fitting.state, strict=False)
    left = tuple(n for n in current if n not in fitting.state and not n.endswith("num_batches_tracked"))
    loaded = len(fitting.state) - len(fitting.drawn)
    return LoadReport(path, part, loaded, (*left, *sorted(fitting.drawn)), fitting.adapted, match.taken_off)


def _with_weights(card: Card) -> str:
    others = [other.full_name for other in catalog.editions(card.name) if other.weights]
    return "an edition that has some: " + " or ".join(others) if others else ""
