"""The preprocessing of segmentation networks: whole images at their own size, normalised for the backbone."""

from __future__ import annotations

from visus.structures.preprocessing import Preprocessing

CAFFE = Preprocessing(
    size=None, fit="none", order="BGR", scale=1.0, mean=(104.00699, 116.66877, 122.67892), std=(1.0, 1.0, 1.0)
)
TORCHVISION = Preprocessing(size=None, fit="none", scale=255.0, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
