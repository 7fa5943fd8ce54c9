"""The cards of R-CNN. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions, Conversion, ReleasedFile
from visus.models.classification.cards.imagenet import MEAN_OF_BVLC
from visus.structures.preprocessing import Preprocessing, ProposalSettings

_BUILDERS = "visus.models.detection.rcnn"
_PAPER = (
    "R. Girshick, J. Donahue, T. Darrell, J. Malik. Rich Feature Hierarchies for Accurate Object Detection and "
    "Semantic Segmentation. CVPR 2014, arXiv:1311.2524"
)
_RELEASED = Conventions(
    padding="that of Caffe's CaffeNet, as in the authors' prototxts (rbgirshick/rcnn); none in conv1 and the poolings",
    initialisation="the release's: N(0, 0.01) in fc8, N(0, 0.005) and biases of 1 in fc6 and fc7; He et al. (2015) in "
    "convolutions, which begin with ImageNet's",
)
_VGG = Conventions(
    padding="that of VGG-16",
    initialisation="the convolutions' as in VGG-16; fc6, fc7 and fc8 as in R-CNN's release",
)
_PROPOSALS = ProposalSettings("selective_search", "fast", 2000)  # section 2.2


def _bgr(*mean: float) -> Preprocessing:
    """Files as they are: it is their regions that are scaled. Where a batch needs one size, grey is added."""
    return Preprocessing(
        size=None,
        fit="none",
        order="BGR",
        scale=1.0,
        mean=mean,
        std=(1.0, 1.0, 1.0),
        fill=114,
        proposals=_PROPOSALS,
    )


_COUNTED = (
    "the count is that of fine-tuning, with a softmax layer of K + 1 classes; instead of its 4,097 (K + 1) values, the "
    "finished detector has 4,097 K of SVMs and {boxes} K of regressions"
)
_REGIONS = "regions are sampled from the images of a batch, where the release samples from all images"

CARDS: tuple[Card, ...] = (
    Card(
        name="rcnn",
        edition="paper",
        task="detection",
        builder=f"{_BUILDERS}:rcnn",
        title="R-CNN: CaffeNet on warped regions, linear SVMs, box regression",
        year=2014,
        paper=f"{_PAPER}, section 2",
        input=(3, 227, 227),
        classes=20,
        parameters=56_954_261,
        macs=720_396_832,
        preprocessing=_bgr(*MEAN_OF_BVLC),
        fact="rcnn_caffenet_voc",
        citation="girshick2014rich",
        conventions=_RELEASED,
        own_data="rcnn",
        phases="region-svms",
        takes_backbone=True,
        conversions=(
            Conversion(f"{_BUILDERS}_weights:from_caffenet", is_partial=True, suffix=".caffemodel", mark="conv5.0"),
        ),
        released=(
            ReleasedFile(
                "finetune_voc_2007_trainval_iter_70k",
                "PASCAL VOC 2007",
                is_partial=True,
                source="rbgirshick/rcnn, data/README.md",
            ),
            ReleasedFile(
                "bvlc_reference_caffenet.caffemodel",
                "ImageNet-1k",
                is_partial=True,
                source="BVLC/caffe, models/bvlc_reference_caffenet",
            ),
        ),
        proof_level="L2",
        note=f"The input is one region, and so are the operations; {_COUNTED.format(boxes='36,868')}. A mean colour "
        f"instead of the release's mean image; {_REGIONS}.",
    ),
    Card(
        name="rcnn_vgg16",
        edition="paper",
        task="detection",
        builder=f"{_BUILDERS}:rcnn_vgg16",
        title="R-CNN on VGG-16",
        year=2014,
        paper=f"{_PAPER}, version 5, section 3.3 and table 3 (O-Net)",
        input=(3, 224, 224),
        classes=20,
        parameters=134_346_581,
        macs=15_466_254_336,
        preprocessing=_bgr(103.939, 116.779, 123.68),
        citation="girshick2014rich",
        conventions=_VGG,
        own_data="rcnn",
        phases="region-svms",
        conversions=(
            Conversion(f"{_BUILDERS}_weights:from_vgg16", is_partial=True, suffix=".caffemodel", mark="conv5_3.0"),
        ),
        released=(
            ReleasedFile(
                "VGG_ILSVRC_16_layers.caffemodel", "ImageNet-1k", is_partial=True, source="ksimonyan/readme.md (gist)"
            ),
        ),
        proof_level="L1",
        note=f"The input is one region, and so are the operations; {_COUNTED.format(boxes='100,356')}; {_REGIONS}.",
    ),
)
