"""Our networks beside those of other libraries, run with equal weights: the same, or apart where the reason is known.

No table of names is needed (``visus.testing.compare_networks``). Where a library differs, the table says in what, and
the comment why ours stands.
"""

from __future__ import annotations

import pytest

import visus

SAME = [
    ("alexnet@torchvision", "torchvision:alexnet"),
    ("densenet121", "torchvision:densenet121"),
    ("efficientnet_b0@torchvision", "torchvision:efficientnet_b0"),
    ("googlenet@torchvision", "torchvision:googlenet"),
    ("mobilenet_v2@torchvision", "torchvision:mobilenet_v2"),
    ("resnet50@torchvision", "torchvision:resnet50"),
    ("resnext50_32x4d", "torchvision:resnext50_32x4d"),
    ("squeezenet1_0@torchvision", "torchvision:squeezenet1_0"),
    ("vgg11", "torchvision:vgg11"),
    ("efficientnet_b0", "timm:tf_efficientnet_b0"),
    ("mobilenet_v1@timm", "timm:mobilenetv1_100"),
    ("xception@timm", "timm:legacy_xception"),
    ("darknet19", "pytorchcv:darknet19"),
    ("densenet121", "pytorchcv:densenet121"),
    ("efficientnet_b0", "pytorchcv:efficientnet_b0b"),
    ("inception_resnet_v2@timm", "pytorchcv:inceptionresnetv2"),
    ("inception_v4@timm", "pytorchcv:inceptionv4"),
    ("resnet50@torchvision", "pytorchcv:resnet50b"),
    ("squeezenet1_0@torchvision", "pytorchcv:squeezenet_v1_0"),
    ("vgg16", "pytorchcv:vgg16"),
    ("xception@timm", "pytorchcv:xception"),
    ("mobilenet_v2", "keras:MobileNetV2"),
    ("xception", "keras:Xception"),
    ("efficientnet_b0", "keras:EfficientNetB0"),
    ("inception_v3@torchvision", "torchvision:inception_v3"),
    ("se_resnet50", "timm:legacy_seresnet50"),
]

# He et al.'s prototxt pools without padding and rounds up; both ports pad by 1, as fb.resnet.torch.
STEM = ["in maxpool they have padding 1 and rounding down, we padding 0 and rounding up"]
# He et al. 2016, section 4.2: shortcuts of option A, without weights; pytorchcv's have a convolution, option B.
SHORTCUT = [
    "in layer2.0.shortcut they have Conv2d(16, 32, kernel_size=(1, 1), stride=(2, 2), bias=False), "
    "we ZeroPaddedIdentity(stride=2, zeros=(0, 16))"
]

# (ours, theirs, what differs, whether all else is the same)
APART: list[tuple[str, str, list[str], bool]] = [
    # slim and Keras learn no factors in the batch normalisation of this network.
    ("inception_v3", "keras:InceptionV3", ["in Conv2d_1a_3x3.bn they have no scale, we have one (94 times)"], True),
    # pytorchcv counts the padding in the means, as slim and Keras do not.
    (
        "inception_v3",
        "pytorchcv:inceptionv3",
        ["in Mixed_5b.pool they have average with the padding, we without the padding (9 times)"],
        True,
    ),
    ("resnet18", "torchvision:resnet18", STEM, True),
    ("resnet50", "pytorchcv:resnet50", STEM, True),
    ("resnet20", "pytorchcv:resnet20_cifar10", SHORTCUT, False),
    ("resnet110", "pytorchcv:resnet110_cifar10", SHORTCUT, False),
    # Keras caps at 6. The paper names ReLU.
    (
        "mobilenet_v1",
        "keras:MobileNet",
        ["in act1 they have ReLU(max_value=6.0, negative_slope=0.0), we ReLU() (27 times)"],
        True,
    ),
    # The first unit's shortcut begins behind the first activation in the authors' resnet-pre-act.lua, as ours does.
    (
        "preact_resnet110",
        "pytorchcv:preresnet110_cifar10",
        [
            "in sum in layer1.0 they take other inputs, namely features.stage1.unit1.body.conv2.conv, "
            "features.init_block, we layer1.0.residual.3, relu"
        ],
        False,
    ),
    # fb.resnet.torch, the authors' framework, has BatchNorm and ReLU before the first pooling and not again behind it.
    (
        "preact_resnet152",
        "pytorchcv:preresnet152",
        [
            "in layer1.0.residual.0 they have BatchNorm2d(64, eps=1e-05), "
            "we Conv2d(64, 64, kernel_size=(1, 1), stride=(1, 1), bias=False)"
        ],
        False,
    ),
    # Keras pools before the first normalisation, as pytorchcv does not and fb.resnet.torch does not.
    (
        "preact_resnet152",
        "keras:ResNet152V2",
        [
            "in conv1_conv they add a bias, we do not",
            "in bn1 they have MaxPooling2D(pool_size=(3, 3), strides=(2, 2), padding=valid), "
            "we BatchNorm2d(64, eps=1e-05)",
        ],
        False,
    ),
    # pytorchcv has one more, unscaled block C and another head; the paper's figure 15 has the pooling there.
    (
        "inception_resnet_v1",
        "pytorchcv:inceptionresnetv1",
        [
            "in avgpool they have Conv2d(1792, 192, kernel_size=(1, 1), stride=(1, 1), bias=False), "
            "we AdaptiveAvgPool2d(output_size=1)"
        ],
        False,
    ),
    # The authors' Lua has the stride in the first 1x1 convolution, pytorchcv in the 3x3.
    (
        "preact_resnet164",
        "pytorchcv:preresnet164bn_cifar10",
        ["in layer2.0.residual.0 they have stride 1, we 2"],
        False,
    ),
    # cuda-convnet and Caffe round up; pytorchcv pads instead.
    (
        "nin_cifar@caffe",
        "pytorchcv:nin_cifar10",
        [
            "in pool1 they have padding 1 and rounding down, we padding 0 and rounding up",
            "in pool2 they have padding 1 and rounding down, we padding 0 and rounding up",
        ],
        True,
    ),
    # slim pads SAME, has an epsilon of 1e-3, and no expansion in the first block, as in the paper's table 2.
    (
        "mobilenet_v2",
        "pytorchcv:mobilenetv2_w1",
        [
            "in features.0.0 they pad 1, we 0 before and 1 after",
            "in features.0.1 they have epsilon 1e-05, we 0.001",
            "in features.1.conv.0.0 they have padding 0, kernel 1 and groups 1, we padding 1, kernel 3 and groups 32",
        ],
        False,
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("ours", "theirs"), SAME)
def test_the_same_network(ours: str, theirs: str) -> None:
    judgement = visus.judge(ours, theirs)
    assert judgement.same, str(judgement)
    assert judgement.largest is not None
    assert judgement.largest < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize(("ours", "theirs", "differences", "else_the_same"), APART)
def test_another_network_and_how(ours: str, theirs: str, differences: list[str], else_the_same: bool) -> None:
    judgement = visus.judge(ours, theirs)
    assert [str(difference) for difference in judgement.differences] == differences
    assert (judgement.largest is not None) == else_the_same
