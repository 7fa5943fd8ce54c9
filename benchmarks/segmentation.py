"""Times visus's U-Net and FCN-8s beside plain PyTorch versions with the same weights.

The plain ones are what a person would write after the papers' figures: a module of Sequentials for U-Net, the
functional interface for FCN-8s. Both answer the same image (evaluation, no gradients) in rounds that alternate; what is
printed is the median of the paired ratios, ours over theirs, with an interval that holds it 19 times in 20.

    python benchmarks/segmentation.py [--rounds 15] [--only unet] [--clock cpu]

Goal: the interval of each ratio includes or lies below 1.02.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from paired import Ratio, paired, ratio
from visus.models.building import build
from visus.models.catalog import find

SIZES = {"unet": (1, 252, 252), "fcn8s": (3, 160, 160)}


class PlainUNet(nn.Module):
    """Figure 1 of Ronneberger et al. 2015 with a width of 64."""

    def __init__(self, classes: int) -> None:
        super().__init__()

        def double(before: int, after: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(before, after, 3), nn.ReLU(inplace=True), nn.Conv2d(after, after, 3), nn.ReLU(inplace=True)
            )

        self.down = nn.ModuleList(double(*pair) for pair in ((1, 64), (64, 128), (128, 256), (256, 512), (512, 1024)))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * c, c, 2, 2) for c in (64, 128, 256, 512))
        self.join = nn.ModuleList(double(2 * c, c) for c in (64, 128, 256, 512))
        self.last = nn.Conv2d(64, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for number, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if number else x)
            kept.append(x)
        for level in (3, 2, 1, 0):
            x = self.up[level](x)
            edge = (kept[level].shape[2] - x.shape[2]) // 2
            x = self.join[level](torch.cat([kept[level][:, :, edge:-edge, edge:-edge], x], 1))
        return self.last(x)


def plain_fcn8s(state: dict[str, Tensor], images: Tensor) -> Tensor:
    """Builds figure 3 of Long et al. 2015 from the weights of our FCN-8s."""
    f, x, pools = functional, images, []
    for number, depth in enumerate((2, 2, 3, 3, 3), start=1):
        for layer in range(depth):
            name = f"backbone.conv{number}.{2 * layer}"
            border = 100 if number == 1 and layer == 0 else 1
            x = f.relu(f.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=border), inplace=True)
        x = f.max_pool2d(x, 2, ceil_mode=True)
        pools.append(x)
    for name in ("backbone.fc6", "backbone.fc7"):
        x = f.relu(f.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"]), inplace=True)

    def score(name: str, maps: Tensor) -> Tensor:
        return f.conv2d(maps, state[f"{name}.weight"], state[f"{name}.bias"])

    x = f.conv_transpose2d(score("score_fr", x), state["upscore2.weight"], stride=2)
    x = x + score("score_pool4", pools[3])[:, :, 5 : 5 + x.shape[2], 5 : 5 + x.shape[3]]
    x = f.conv_transpose2d(x, state["upscore_pool4.weight"], stride=2)
    x = x + score("score_pool3", pools[2])[:, :, 9 : 9 + x.shape[2], 9 : 9 + x.shape[3]]
    x = f.conv_transpose2d(x, state["upscore.weight"], stride=8)
    return x[:, :, 31 : 31 + images.shape[2], 31 : 31 + images.shape[3]]


def contenders(name: str) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Our network and the plain one, with equal weights."""
    torch.manual_seed(0)
    ours = build(find(name)).eval()
    if name == "fcn8s":
        state = ours.state_dict()
        return ours, lambda images: plain_fcn8s(state, images)
    plain = PlainUNet(2).eval()
    values = list(ours.state_dict().values())
    names = ("contracting", "up", "expanding", "output")
    theirs = [
        v for prefix in ("down", "up", "join", "last") for k, v in plain.state_dict().items() if k.startswith(prefix)
    ]
    own = [v for prefix in names for k, v in ours.state_dict().items() if k.startswith(prefix)]
    assert len(values) == len(own) == len(theirs)
    with torch.no_grad():
        for mine, yours in zip(own, theirs, strict=True):
            yours.copy_(mine)
    return ours, plain


def compare(name: str, rounds: int, clock: Callable[[], float]) -> Ratio:
    """The ratio of our time to the plain network's."""
    images = torch.rand(1, *SIZES[name], generator=torch.Generator().manual_seed(0))
    ours, plain = contenders(name)

    def seconds(network: Callable[[Tensor], Tensor]) -> float:
        began = clock()
        with torch.no_grad():
            network(images)
        return clock() - began

    with torch.no_grad():
        torch.testing.assert_close(ours(images), plain(images), rtol=1e-4, atol=1e-5)
    return ratio(*paired(lambda: seconds(ours), lambda: seconds(plain), rounds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", choices=SIZES, action="append", help="this network; may be given again")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: of the driving thread alone")
    options = parser.parse_args()
    clock = time.thread_time if options.clock == "cpu" else time.perf_counter
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, {options.clock} clock")
    for name in options.only or SIZES:
        found = compare(name, options.rounds, clock)
        print(
            f"{name:6} {'x'.join(map(str, SIZES[name]))}: plain {found.theirs * 1000:7.1f} ms, "
            f"visus {found.median:.3f} [{found.low:.3f}, {found.high:.3f}] of it ({options.rounds} rounds)",
            flush=True,
        )


if __name__ == "__main__":
    main()
