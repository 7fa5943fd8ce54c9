"""The cards of the residual networks for CIFAR. Loads no torch."""

from __future__ import annotations

from dataclasses import replace

from visus.models.card import Card, Conventions, ProofLevel, WeightsFile
from visus.models.classification.cards.cifar import CIFAR
from visus.models.classification.cards.imagenet import IMAGENET

_CONVENTIONS = Conventions(
    padding="1 on every side, which the paper's sizes need",
    initialisation="He et al. (2015), as section 4.2 says, of variance 2 / fan-out; the last layer torch's",
    epsilon=1e-05,
    epsilon_source="of the authors' later release for CIFAR (KaimingHe/resnet-1k-layers); for this paper they "
    "released none",
)

_PAPER = "He, Zhang, Ren, Sun: Deep residual learning for image recognition, CVPR 2016, section 4.2"
_MEAN = "The paper subtracts a mean for each pixel; here a mean for each channel, and a division by its deviation."
_ZEROS = "The paper does not say where a shortcut's maps of zeros lie; here they follow the given ones."
_LICENCE = "BSD-2-Clause (akamaster/pytorch_resnet_cifar10)"

# depth: (parameters, MACs)
_COUNTS = {
    20: (269_722, 40_551_040),
    32: (464_154, 68_862_592),
    44: (658_586, 97_174_144),
    56: (853_018, 125_485_696),
    110: (1_727_962, 252_887_680),
    1202: (19_421_274, 2_829_238_912),
}
# depth: (SHA-256, error in percent). The publisher states the first eight digits in the file's name and the errors in
# its readme; the full hashes are those that a public script pins for these files.
_AKAMASTER = {
    20: ("12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8", 8.27),
    32: ("d509ac1820d7f25398913559d7e81a13229b1e7adc5648e3bfa5e22dc137f850", 7.37),
    44: ("014dd6541728a1c700b1642ab640e211dc6eb8ed507d70697458dc8f8a0ae2e4", 6.90),
    56: ("4bfd97631478d6b638d2764fd2baff3edb1d7d82252d54439343b6596b9b5367", 6.61),
    110: ("1d1ed7c27571399c1fef66969bc4df68d6a92c8e6c41170f444e120e5354e3bc", 6.32),
    1202: ("f3b1deed382cd4c986ff8aa090c805d99a646e99d1f9227d7178183648844f62", 6.18),
}
# The same values, repacked as arrays without pickles.
_REPACKED = {
    20: "7db2ed048755c815689e055b0e68e2d53db7f9f6e0f9b3bc9b6f837ab168774e",
    56: "abef877fda074a20ba288b4e7ec4fe11bd385b585c4d25e01c7fb580b0dae725",
}


def _weights(depth: int) -> tuple[WeightsFile, ...]:
    sha256, error = _AKAMASTER[depth]
    name = f"resnet{depth}-{sha256[:8]}.th"
    published = WeightsFile(
        name=name,
        sha256=sha256,
        url=f"https://github.com/akamaster/pytorch_resnet_cifar10/raw/master/pretrained_models/{name}",
        trained_on="CIFAR-10",
        licence=_LICENCE,
        metrics={"accuracy": round(1 - error / 100, 4)},
    )
    if depth not in _REPACKED:
        return (published,)
    repacked = replace(published, name=f"cifar10_resnet{depth}.npz", sha256=_REPACKED[depth], url="")
    return published, repacked


_REPRODUCED = (20, 56)
"""The depths of ``visus reproduce degradation``, which saw figure 6's order of plain and residual networks."""


def _level(depth: int) -> ProofLevel:
    return "L3" if depth in _REPRODUCED else "L2"


def _card(name: str, depth: int, edition: str, title: str, part: str, fact: str, **fields: object) -> Card:
    parameters, macs = _COUNTS[depth]
    return Card(
        name=name,
        edition=edition,
        task="classification",
        builder=f"visus.models.classification.resnet_cifar:{name}",
        title=title,
        year=2016,
        paper=f"{_PAPER}, {part}",
        input=(3, 32, 32),
        classes=10,
        parameters=parameters,
        macs=macs,
        fact=fact,
        citation="he2016deep",
        conventions=_CONVENTIONS,
        **fields,  # type: ignore[arg-type]
    )


def _plain(depth: int) -> Card:
    return _card(
        f"plain{depth}",
        depth,
        "paper",
        f"Plain network of {depth} layers for 32x32 images, as published",
        "figure 6",
        f"plain_cifar_{depth}",
        preprocessing=CIFAR,
        proof_level=_level(depth),
        note=_MEAN,
    )


def _residual(depth: int) -> tuple[Card, Card]:
    name, fact = f"resnet{depth}", f"resnet_cifar_{depth}"
    paper = _card(
        name,
        depth,
        "paper",
        f"ResNet-{depth} for 32x32 images, as published",
        "table 6",
        fact,
        preprocessing=CIFAR,
        proof_level=_level(depth),
        note=f"{_MEAN} {_ZEROS}",
    )
    akamaster = _card(
        name,
        depth,
        "akamaster",
        f"ResNet-{depth} with akamaster's CIFAR-10 weights",
        "table 6",
        fact,
        preprocessing=replace(IMAGENET, size=(32, 32), fit="stretch"),
        options={"zeros": "around"},
        weights=_weights(depth),
        proof_level="L2",
        note="Half of a shortcut's maps of zeros lie before the given ones. Mean and deviation are ImageNet's.",
    )
    return paper, akamaster


CARDS: tuple[Card, ...] = (
    *(_plain(depth) for depth in (20, 32, 44, 56)),
    *(card for depth in _COUNTS for card in _residual(depth)),
)
