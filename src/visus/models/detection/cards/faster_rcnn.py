"""The cards of Faster R-CNN. Loads no torch."""

from __future__ import annotations

from dataclasses import replace

from visus.models.card import Card, Conventions, Conversion, ReleasedFile
from visus.models.detection.cards.caffe_images import CAFFE_600

_MODULE = "visus.models.detection.faster_rcnn"
_WEIGHTS = "visus.models.detection.faster_rcnn_weights"
_PAPER = (
    "S. Ren, K. He, R. Girshick, J. Sun. Faster R-CNN: Towards Real-Time Object Detection with Region Proposal "
    "Networks. NIPS 2015, arXiv:1506.01497"
)
_RELEASE = "rbgirshick/py-faster-rcnn"
_BEGINS = "N(0, 0.01) in the first stage and the class scores, N(0, 0.001) in the boxes, biases 0 (section 3.1.3)"

_ON_VGG = Conventions(
    padding=f"1 around 3x3 kernels; poolings round up: {_RELEASE}, models/pascal_voc/VGG16", initialisation=_BEGINS
)
_ON_ZF = Conventions(
    padding=f"half a kernel everywhere, poolings too, which round up: {_RELEASE}, models/pascal_voc/ZF",
    initialisation=_BEGINS,
)
_ON_RESNET = Conventions(
    padding="that of the backbone, see its card; regions of 14x14 cells before conv5_x, which no paper states",
    initialisation=_BEGINS,
    epsilon=1e-05,
    epsilon_source="that of the backbone",
)

_SCALED = "batches of training pad images to one size; the released code takes one image a step"

_VGG_FILES = (
    Conversion(f"{_WEIGHTS}:from_caffe_vgg16", suffix=".caffemodel", mark="rpn_cls_score.0"),
    Conversion(f"{_WEIGHTS}:from_caffe_base_vgg16", is_partial=True, suffix=".caffemodel", mark="fc8.0"),
    Conversion(f"{_WEIGHTS}:from_vgg16", is_partial=True),
)
_ZF_FILES = (
    Conversion(f"{_WEIGHTS}:from_caffe_zf", suffix=".caffemodel", mark="rpn_cls_score.0"),
    Conversion(f"{_WEIGHTS}:from_caffe_base_zf", is_partial=True, suffix=".caffemodel", mark="fc8.0"),
)
_RESNET_FILES = (Conversion(f"{_WEIGHTS}:from_resnet", is_partial=True),)

_VGG_BASE = ReleasedFile("VGG16.v2.caffemodel", "ImageNet-1k", is_partial=True, source=_RELEASE)
_ZF_BASE = ReleasedFile("ZF.v2.caffemodel", "ImageNet-1k", is_partial=True, source=_RELEASE)
_VOC = "PASCAL VOC 2007"

_VGG = Card(
    name="faster_rcnn",
    edition="paper",
    task="detection",
    builder=f"{_MODULE}:faster_rcnn",
    title="Faster R-CNN on VGG-16",
    year=2015,
    paper=f"{_PAPER}, figure 2",
    input=(3, 600, 1000),
    classes=20,
    parameters=137_078_239,
    macs=225_573_931_008,
    preprocessing=CAFFE_600,
    fact="faster_rcnn_vgg16",
    citation="ren2015faster",
    conventions=_ON_VGG,
    own_data="faster_rcnn",
    own_anchors=9,
    conversions=_VGG_FILES,
    released=(_VGG_BASE,),
    takes_backbone=True,
    proof_level="L2",
    note=_SCALED,
)

_ZF = Card(
    name="faster_rcnn_zf",
    edition="paper",
    task="detection",
    builder=f"{_MODULE}:faster_rcnn_zf",
    title="Faster R-CNN on ZF",
    year=2015,
    paper=f"{_PAPER}, figure 2",
    input=(3, 600, 1000),
    classes=20,
    parameters=59_294_751,
    macs=33_722_863_104,
    preprocessing=CAFFE_600,
    fact="faster_rcnn_zf",
    citation="ren2015faster",
    conventions=_ON_ZF,
    own_data="faster_rcnn",
    own_anchors=9,
    conversions=_ZF_FILES,
    released=(_ZF_BASE,),
    proof_level="L2",
    note=_SCALED,
)

_RESNET50 = Card(
    name="faster_rcnn_resnet50",
    edition="paper",
    task="detection",
    builder=f"{_MODULE}:faster_rcnn_resnet50",
    title="Faster R-CNN on ResNet-50, whose conv5_x sees each region",
    year=2016,
    paper="K. He, X. Zhang, S. Ren, J. Sun. Deep Residual Learning for Image Recognition. CVPR 2016, "
    "arXiv:1512.03385, appendix A",
    input=(3, 600, 1000),
    classes=20,
    parameters=28_469_983,
    macs=268_786_732_032,
    preprocessing=replace(CAFFE_600, mean=(103.939, 116.779, 123.68)),
    citation="he2016deep",
    conventions=_ON_RESNET,
    own_data="faster_rcnn",
    own_anchors=9,
    conversions=_RESNET_FILES,
    proof_level="L2",
    note=f"regions of 14x14 cells, which appendix A does not state; {_SCALED}",
)

CARDS: tuple[Card, ...] = (
    _VGG,
    replace(
        _VGG,
        edition="caffe",
        title="Faster R-CNN on VGG-16 as py-faster-rcnn trains it",
        options={"released": "caffe"},
        released=(ReleasedFile("VGG16_faster_rcnn_final.caffemodel", _VOC, source=_RELEASE), _VGG_BASE),
        takes_backbone=False,
        note="anchors of whole pixels, boxes decoded a pixel larger, losses of the end-to-end training; for the "
        f"authors' .caffemodel, which --weights takes; {_SCALED}",
    ),
    _ZF,
    replace(
        _ZF,
        edition="caffe",
        title="Faster R-CNN on ZF as py-faster-rcnn trains it",
        options={"released": "caffe"},
        released=(ReleasedFile("ZF_faster_rcnn_final.caffemodel", _VOC, source=_RELEASE), _ZF_BASE),
        note="anchors of whole pixels, boxes decoded a pixel larger, losses of the end-to-end training; for the "
        f"authors' .caffemodel, which --weights takes; {_SCALED}",
    ),
    _RESNET50,
    replace(
        _RESNET50,
        name="faster_rcnn_resnet101",
        builder=f"{_MODULE}:faster_rcnn_resnet101",
        title="Faster R-CNN on ResNet-101, whose conv5_x sees each region",
        parameters=47_462_111,
        macs=314_128_862_208,
    ),
)
