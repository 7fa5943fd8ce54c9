"""All formats, in the order of the documentation. To add one, write a reader file and list it here."""

from __future__ import annotations

from visus.data.formats import (
    arrays_npz,
    captions,
    cifar,
    class_folders,
    class_masks,
    coco,
    create_ml,
    csv_boxes,
    csv_labels,
    csv_landmarks,
    csv_multilabel,
    csv_pixels,
    cvat,
    dota,
    hugging_face,
    idx,
    instance_maps,
    jpeg_npz,
    kitti,
    label_studio,
    labelme,
    masks,
    mpii,
    nifti,
    object_masks,
    panoptic,
    plain_images,
    pts,
    supervisely,
    svhn,
    via,
    voc,
    wider_face,
    yolo,
)
from visus.data.formats.reading import Format
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
