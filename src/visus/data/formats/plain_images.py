"""Images without labels: a file, or a folder of them."""

from __future__ import annotations

from pathlib import Path

from visus.data.formats.listing import IMAGE_FOLDERS, Listing
from visus.data.formats.reading import Format, Reading
from visus.data.pixels.images import FileImage
from visus.structures import Sample


def _image_folder(listing: Listing) -> Path | None:
    """The folder that holds the images: the given one, or its only subfolder if that is named "images"."""
    if listing.images():
        return listing.root
    folders = listing.folders()
    if len(folders) == 1 and folders[0].name.lower() in IMAGE_FOLDERS and listing.images(folders[0]):
        return folders[0]
    return None


def _recognise(listing: Listing) -> bool:
    return listing.once(_image_folder) is not None


def _read(listing: Listing) -> Reading:
    folder = listing.once(_image_folder)
    images = listing.images() if listing.is_file or folder is None else listing.images(folder)
    return Reading({}, {"predict": [Sample(listing.name_of(path), FileImage(path)) for path in images]})


FORMAT = Format("images", "images without labels", _recognise, _read, fallback=True)
