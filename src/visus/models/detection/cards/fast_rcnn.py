"""The cards of Fast R-CNN. Loads no torch."""

from __future__ import annotations

from dataclasses import replace

from visus.models.card import Card, Conventions, Conversion, ReleasedFile
from visus.models.detection.cards.caffe_images import CAFFE_600
from visus.structures.preprocessing import ProposalSettings

_RELEASED = Conventions(
    padding="that of the authors' prototxt (rbgirshick/fast-rcnn, models/{}); Caffe's poolings round up",
    initialisation="N(0, 0.01) of the class scores and N(0, 0.001) of the boxes (section 2.3); all other layers begin "
    "with those of a network for ImageNet, else as He et al. (2015)",
)

_MODULE = "visus.models.detection.fast_rcnn"
_OF_VGG = "visus.models.detection.faster_rcnn_weights"
_PAPER = "R. Girshick. Fast R-CNN. ICCV 2015, arXiv:1504.08083, figure 1"
_SOURCE = "rbgirshick/fast-rcnn"


def _caffe(function: str, *, mark: str, is_partial: bool = False) -> Conversion:
    return Conversion(f"{_MODULE}_weights:{function}", is_partial=is_partial, suffix=".caffemodel", mark=mark)


def _files(network: str, base: str) -> tuple[ReleasedFile, ...]:
    return (
        ReleasedFile(f"{network}_fast_rcnn_iter_40000.caffemodel", "PASCAL VOC 2007", source=_SOURCE),
        ReleasedFile(f"{base}.v2.caffemodel", "ImageNet-1k", is_partial=True, source=_SOURCE),
    )


_WHOLE = _caffe("from_caffe", mark="bbox_pred.0")

_L = Card(
    name="fast_rcnn",
    edition="paper",
    task="detection",
    builder=f"{_MODULE}:fast_rcnn",
    title="Fast R-CNN on VGG-16",
    year=2015,
    paper=f"{_PAPER}, model L",
    input=(3, 600, 1000),
    classes=20,
    parameters=134_690_729,
    macs=183_989_231_616,
    # section 4.1: about 2,000 proposals of selective search's "fast mode"
    preprocessing=replace(CAFFE_600, proposals=ProposalSettings("selective_search", "fast", 2000)),
    fact="fast_rcnn_vgg16",
    citation="girshick2015fast",
    conventions=replace(_RELEASED, padding=_RELEASED.padding.format("VGG16")),
    own_data="fast_rcnn",
    takes_backbone=True,
    conversions=(
        _WHOLE,
        Conversion(f"{_OF_VGG}:from_caffe_base_vgg16", is_partial=True, suffix=".caffemodel", mark="fc8.0"),
        Conversion(f"{_OF_VGG}:from_vgg16", is_partial=True),
    ),
    released=_files("vgg16", "VGG16"),
    note="MACs are those of one region; offsets are divided by 0.1, 0.1, 0.2, 0.2, as in the authors' later release, "
    "and not by each class's deviations in the data",
)

CARDS: tuple[Card, ...] = (
    _L,
    replace(
        _L,
        name="fast_rcnn_caffenet",
        builder=f"{_MODULE}:fast_rcnn_caffenet",
        title="Fast R-CNN on CaffeNet",
        paper=f"{_PAPER}, model S",
        parameters=57_298_409,
        macs=9_272_180_608,
        fact="fast_rcnn_caffenet",
        conventions=replace(_RELEASED, padding=_RELEASED.padding.format("CaffeNet")),
        takes_backbone=False,
        conversions=(_WHOLE, _caffe("from_caffe_caffenet", mark="fc8.0", is_partial=True)),
        released=_files("caffenet", "CaffeNet"),
        proof_level="L2",
    ),
    replace(
        _L,
        name="fast_rcnn_vgg_cnn_m_1024",
        builder=f"{_MODULE}:fast_rcnn_vgg_cnn_m_1024",
        title="Fast R-CNN on VGG_CNN_M_1024",
        paper=f"{_PAPER}, model M",
        parameters=86_333_161,
        macs=20_632_090_144,
        fact="fast_rcnn_vgg_cnn_m_1024",
        conventions=replace(_RELEASED, padding=_RELEASED.padding.format("VGG_CNN_M_1024")),
        takes_backbone=False,
        conversions=(_WHOLE, _caffe("from_caffe_vgg_m", mark="fc8.0", is_partial=True)),
        released=_files("vgg_cnn_m_1024", "VGG_CNN_M_1024"),
    ),
)
