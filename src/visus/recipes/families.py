"""Which published recipes train which networks, and which families have none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from visus.models.card import Card

_RESNET = ("resnet-imagenet", "resnet-imagenet-torch")

RECIPES_OF: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "mnist_networks": ("mnist-cnn", "mnist-dense"),
        "cats_dogs_cnn": ("cats-dogs", "cats-dogs-augmented"),
        "alexnet": ("alexnet-imagenet", "alexnet-caffe"),
        "zfnet": ("zfnet-imagenet",),
        "maxout": ("maxout-mnist-dense", "maxout-mnist", "maxout-cifar", "maxout-cifar-augmented"),
        "nin": ("nin-cifar", "nin-imagenet"),
        "vgg": ("vgg-imagenet", "vgg-imagenet-384", "vgg-imagenet-jitter", "cats-dogs-frozen", "cats-dogs-finetune"),
        "all_cnn": ("all-cnn-cifar", "all-cnn-cifar-augmented"),
        "fitnet": ("fitnet-cifar",),
        "dsn": ("dsn-cifar", "dsn-cifar-1", "dsn-cifar-2", "dsn-cifar-3"),
        "googlenet": ("googlenet-imagenet", "googlenet-caffe", "googlenet-caffe-quick"),
        "bn_inception": ("bn-inception-baseline", "bn-inception-x5", "bn-inception-x30"),
        "inception_v3": ("inception-v3-imagenet",),
        "inception_v4": ("inception-v4-imagenet",),
        "prelu_net": ("prelu-imagenet", "spp-imagenet"),
        "resnet": _RESNET,
        "resnet_cifar": ("resnet-cifar", "resnet110-cifar"),
        "preact_resnet": ("preact-resnet-cifar", *_RESNET),
        "stochastic_depth": ("stochastic-depth-cifar", "stochastic-depth-svhn"),
        "squeezenet": ("squeezenet-imagenet",),
        "xception": ("xception-imagenet",),
        "yolov1_classifier": ("extraction-imagenet",),
        "darknet19": ("darknet19-imagenet",),
        "darknet53": ("darknet53-imagenet",),
        "resnext": ("resnext-imagenet",),
        "densenet": ("densenet-imagenet", "densenet-cifar"),
        "mobilenet_v1": ("mobilenet-v1-imagenet",),
        "mobilenet_v2": ("mobilenet-v2-imagenet",),
        "senet": ("senet-imagenet",),
        "se_bn_inception": ("senet-imagenet",),
        "nasnet": ("nasnet-imagenet",),
        "amoebanet": ("amoebanet-imagenet",),
        "efficientnet": ("efficientnet-imagenet",),
        "ssd": ("ssd300-voc", "ssd512-voc", "ssd300-coco", "ssd512-coco"),
        "rcnn": ("rcnn-voc", "region-svms"),
        "spp_net": ("spp-voc", "region-svms"),
        "faster_rcnn": (
            *("faster-rcnn-voc", "faster-rcnn-voc-4-step", "faster-rcnn-voc-proposals", "faster-rcnn-voc-regions"),
            *("faster-rcnn-zf-voc", "faster-rcnn-zf-voc-4-step", "faster-rcnn-zf-voc-unshared"),
            *("faster-rcnn-zf-voc-proposals", "faster-rcnn-zf-voc-regions"),
            *("faster-rcnn-4-step", "faster-rcnn-unshared"),
        ),
        "faster_rcnn_fpn": ("faster-rcnn-fpn-coco",),
        "mask_rcnn": ("mask-rcnn-coco",),
        "retinanet": ("retinanet-coco",),
        "fast_rcnn": ("fast-rcnn-voc", "fast-rcnn-small-voc"),
        "r_fcn": ("r-fcn-voc",),
        "yolov1": ("yolov1-voc",),
        "yolov2": ("yolov2-voc", "yolov2-voc-darknet", "yolov2-coco"),
        "yolov3": ("yolov3-coco",),
        "fcn": ("fcn-voc-staged", "fcn32s-voc", "fcn16s-voc", "fcn8s-voc", "fcn-voc"),
        "deconvnet": ("deconvnet-voc", "deconvnet-voc-1", "deconvnet-voc-2"),
        "unet": ("unet-isbi",),
    }
)
"""The names of recipes, single or in phases, by the name of the builder's file."""

WITHOUT: Mapping[str, str] = MappingProxyType(
    {
        "lenet": "LeCun et al. 1998 print 20 passes by a method of second order, which visus has not",
        "polynet": "its authors released no training; the figures in the paper's text have not been checked",
        "pnasnet": "its authors released no training; that of the paper's appendix has not been checked",
        "fcn_torchvision": "torchvision's own training is not in visus",
        "semantic_fpn": "Kirillov et al. 2019 print a training on COCO's stuff and on Cityscapes that is not in visus",
        "localizer": "a network of visus, which no paper has",
        "regressor": "a network of visus, which no paper has",
    }
)
"""Why a family has no published recipe, by the name of the builder's file; the recipes for own data train it."""


def family(card: Card) -> str:
    """The name of the file that builds a model, such as "resnet"."""
    return card.builder.partition(":")[0].rpartition(".")[2]


def recipes_of(card: Card) -> tuple[str, ...]:
    """The names of the published recipes that a model's paper or release prints; () if there is none."""
    return RECIPES_OF.get(family(card), ())


def families(cards: Iterable[Card]) -> dict[str, list[str]]:
    """The families among some models, with the names of their models, each once, in order."""
    found: dict[str, list[str]] = {}
    for card in cards:
        names = found.setdefault(family(card), [])
        if card.name not in names:
            names.append(card.name)
    return found
