"""The shapes that are told without computing are those of torch's own operators on real values."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from visus.analysis.meta_shapes import RULES, meta_result
from visus.models import catalog
from visus.models.building import build

aten = torch.ops.aten


class Compared(TorchDispatchMode):
    """Asks the rules about every operator that runs, and compares with what it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.known: set[str] = set()
        self.unknown: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        shapes = tree_map_only(Tensor, lambda t: torch.empty(t.shape, dtype=t.dtype, device="meta"), args)
        told = meta_result(func.overloadpacket, shapes, kwargs)
        real = func(*args, **kwargs)
        name = func.overloadpacket.__name__
        if told is None:
            self.unknown.add(name)
            return real
        self.known.add(name)
        pairs = zip(
            [t for t in tree_leaves(told) if isinstance(t, Tensor)],
            [t for t in tree_leaves(real) if isinstance(t, Tensor)],
            strict=True,
        )
        for one, other in pairs:
            assert (one.shape, one.dtype) == (other.shape, other.dtype), (func, args)
        return real


class Assorted(nn.Module):
    """What few networks have."""

    def forward(self, x: Tensor) -> Tensor:
        for function in (
            F.elu,
            F.gelu,
            F.silu,
            F.softplus,
            F.hardswish,
            F.hardsigmoid,
            F.leaky_relu,
            F.relu6,
            torch.abs,
        ):
            x = function(x)
        padded = F.group_norm(F.pad(x, (1, 2, 0, 1)).repeat(1, 1, 2, 1).round(), 2)
        F.unfold(padded, 3, padding=1, stride=2)
        pooled, switches = F.max_pool2d(padded, 2, return_indices=True)
        aten.max_unpool2d(pooled, switches, [2 * side for side in pooled.shape[2:]])
        x = F.local_response_norm(F.prelu(x, torch.ones(4)), 3)
        x = F.max_pool2d(F.avg_pool2d(x, 3, 2, 1, ceil_mode=True), 2, 2, ceil_mode=True)
        x = x * F.adaptive_max_pool2d(x, 1) - x.amax((2, 3), keepdim=True) / x.square().sum((2, 3), keepdim=True)
        x = F.interpolate(F.interpolate(x, scale_factor=2), size=(9, 7), mode="bilinear")
        x = F.dropout(F.normalize(x), 0.5, self.training).softmax(1)[:, torch.tensor([0, 2, 2])]
        x = torch.stack([F.adaptive_avg_pool2d(x, (3, 5)), F.avg_pool2d(x, 7, 1, (3, 3))[:, :, :3, :5]], 1)
        return torch.bmm(x.flatten(2), x.flatten(2).transpose(1, 2))


@pytest.mark.parametrize(
    "name", ["", "lenet5", "lenet5@modern", "resnet18", "mobilenet_v2", "googlenet", "se_bn_inception", "unet@padded"]
)
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_rules_tell_what_torch_gives(name: str, training: bool) -> None:
    card = catalog.find(name or "lenet5")
    side = {"unet@padded": 32, "": 21}.get(name, min(card.input[1], 96))
    network = (build(card, classes=5) if name else Assorted()).train(training)
    with Compared() as compared, torch.set_grad_enabled(training):
        network(torch.rand(2 if training else 1, card.input[0] if name else 4, side, side))
    assert len(compared.known) >= 3
    assert not compared.unknown & {packet.__name__ for packet in RULES}


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


@pytest.mark.parametrize(
    ("packet", "args"),
    [
        (aten.add, (meta(2, 3), meta(2, 4))),
        (aten.add, (meta(2, 3), meta(2, 3, dtype=torch.float64))),
        (aten.relu, (meta(2, 3, dtype=torch.int64),)),
        (aten.cat, ([meta(2, 3), meta(3, 3)], 1)),
        (aten.mm, (meta(2, 3), meta(4, 2))),
        (aten.convolution, (meta(1, 3, 8, 8), meta(4, 2, 3, 3), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)),
        (aten.convolution, (meta(1, 3, 2, 2), meta(4, 3, 3, 3), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)),
        (aten.max_pool2d_with_indices, (meta(1, 3, 2, 2), [3, 3])),
        (aten.add, (torch.zeros(2), torch.zeros(2))),
        (aten.linalg_svd, (meta(2, 2),)),
    ],
)
def test_what_is_not_known_is_left_to_torch(packet: Any, args: Any) -> None:
    assert meta_result(packet, args, {}) is None


def test_summaries_import_no_compiler() -> None:
    # It would take longer than all the rest.
    program = (
        "import sys; from visus.api.summary import summary\n"
        "for name in ('resnet18', 'googlenet', 'lenet5', 'unet'): summary(name)\n"
        "print([m for m in ('sympy', 'torch._dynamo', 'torchvision') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"
