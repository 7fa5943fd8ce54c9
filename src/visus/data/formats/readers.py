"""All formats, in the order of the documentation. To add one, write a reader file and list it here."""

from __future__ import annotations

from visus.data.formats import plain_images
from visus.data.formats.coco import coco
from visus.data.formats.folders import class_folders
from visus.data.formats.labelling import create_ml, cvat, label_studio, labelme, supervisely, via
from visus.data.formats.masks import class_masks, instance_maps, masks, nifti, object_masks, panoptic
from visus.data.formats.published import arrays_npz, cifar, dota, idx, jpeg_npz, kitti, mpii, pts, svhn, wider_face
from visus.data.formats.reading import Format
from visus.data.formats.tables import (
    captions,
    csv_boxes,
    csv_labels,
    csv_landmarks,
    csv_multilabel,
    csv_pixels,
    hugging_face,
)
from visus.data.formats.voc import voc
from visus.data.formats.yolo import yolo
from visus.structures.extensions import extensions

FORMATS: tuple[Format, ...] = (
    class_folders.FORMAT,
    csv_labels.FORMAT,
    csv_multilabel.FORMAT,
    csv_landmarks.FORMAT,
    csv_boxes.FORMAT,
    csv_pixels.FORMAT,
    hugging_face.FORMAT,
    idx.FORMAT,
    cifar.FORMAT,
    svhn.FORMAT,
    jpeg_npz.FORMAT,
    arrays_npz.FORMAT,
    coco.FORMAT,
    panoptic.FORMAT,
    voc.FORMAT,
    yolo.FORMAT,
    masks.FORMAT,
    class_masks.FORMAT,
    instance_maps.FORMAT,
    nifti.FORMAT,
    labelme.FORMAT,
    cvat.FORMAT,
    label_studio.FORMAT,
    via.FORMAT,
    supervisely.FORMAT,
    create_ml.FORMAT,
    kitti.FORMAT,
    dota.FORMAT,
    wider_face.FORMAT,
    pts.FORMAT,
    mpii.FORMAT,
    object_masks.FORMAT,
    captions.FORMAT,
    plain_images.FORMAT,
)


def all_formats() -> tuple[Format, ...]:
    """visus's own formats, then those of other installed packages.

    Raises:
        ExtensionError: if an installed package's formats cannot be loaded.
    """
    return (*FORMATS, *extensions("visus.formats", Format, tuple(item.name for item in FORMATS)))
