"""How the released region networks for Caffe see an image. Loads no torch."""

from __future__ import annotations

from visus.structures.preprocessing import Preprocessing

CAFFE_600 = Preprocessing(
    # Fast R-CNN, section 4: the shorter side at 600 pixels, the longer one at 1000 at most
    size=(600, 1000),
    fit="shorter_side",
    order="BGR",
    scale=1.0,
    mean=(102.9801, 115.9465, 122.7717),  # PIXEL_MEANS of rbgirshick/fast-rcnn, blue first
    std=(1.0, 1.0, 1.0),
    fill=115,  # near the mean, which the released code pads with
)
