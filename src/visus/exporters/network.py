"""What leaves in an exported file: the network alone, images in, named raw outputs out.

What follows the network (softmax, decoding and suppression of boxes, pasting of masks, tiles) is left to the reader of
its codec, which needs no torch.

Letters: N images, C channels, H x W pixels.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from visus.answers.reader import Array, Reader
from visus.engine.model_card import ModelInfo
from visus.errors import TaskMismatchError
from visus.exporters.replaced_layers import with_exportable_layers
from visus.models.protocols import ReadableCodec
from visus.tasks.task import Task


class NamedNetwork(nn.Module):
    """A network that returns a tuple of tensors, each of which depends on the images.

    Args:
        network: answers with what its codec reads.
        named: the codec's ``named_outputs``.
    """

    def __init__(self, network: nn.Module, named: Callable[[Any], dict[str, Tensor]]) -> None:
        super().__init__()
        self.network = network
        self._named = named

    def named(self, images: Tensor) -> dict[str, Tensor]:
        """The outputs [N,...] of [N,C,H,W] by name."""
        return self._named(self.network(images))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.named(images).values())


@dataclass(frozen=True, slots=True)
class Exportable:
    """A network that is ready to leave.

    Args:
        module: a copy of it in eval mode, float32, on the CPU.
        reader: reads its outputs.
        info: its card.
        task: names the answers.
    """

    module: NamedNetwork
    reader: Reader
    info: ModelInfo
    task: Task

    def run(self, images: Array) -> dict[str, Array]:
        """The outputs of [N,C,H,W] in PyTorch, in the precision of the module's values."""
        dtype = next(self.module.parameters()).dtype
        with torch.no_grad():
            outputs = self.module.named(torch.from_numpy(np.ascontiguousarray(images)).to(dtype))
        return {name: tensor.numpy() for name, tensor in outputs.items()}

    def double(self) -> Exportable:
        """The same network in float64: the judge where float32 alone cannot tell right from wrong."""
        return Exportable(copy.deepcopy(self.module).double(), self.reader, self.info, self.task)


def exportable(network: nn.Module, task: Task, info: ModelInfo) -> Exportable:
    """Makes the copy of a network that leaves; the network itself stays as it is.

    It is in eval mode whatever the mode of the network: an export in train mode would have half of it.

    Raises:
        TaskMismatchError: if the network cannot leave: it answers in more than one pass, or looks at more than images.
    """
    codec = task.codec(network) if hasattr(task, "codec") else None
    reason = ""
    if info.preprocessing.proposals is not None:
        reason = "it looks at region proposals beside the image, and a file takes images alone"
    elif not isinstance(codec, ReadableCodec):
        reason = (
            "its answers are not read from the outputs of one pass: later layers look at places that earlier ones "
            "choose, which are as many as the image asks for"
        )
    if reason or not isinstance(codec, ReadableCodec):
        raise TaskMismatchError(
            f"{info.model} cannot be exported: {reason}",
            expected="a network whose outputs follow from the image in one pass",
            got=type(network).__name__,
            remedy="predict with the run itself, or export a network of one stage: visus models --task " + info.task,
        )
    copied = copy.deepcopy(network).to("cpu", torch.float32, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    copied.requires_grad_(False)
    # The copy's own codec: one that keeps tensors of the network would mix the two.
    own = task.codec(copied)  # type: ignore[attr-defined]
    module = NamedNetwork(with_exportable_layers(copied), own.named_outputs).eval()
    return Exportable(module, codec.reader(network), info, task)
