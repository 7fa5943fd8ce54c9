"""DICOM images have the values that a viewer would show."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from visus.data.pixels.image_kinds import is_readable
from visus.data.pixels.images import BytesImage, FileImage, with_header_read
from visus.data.reading.opening import open_data
from visus.errors import DataError


@pytest.mark.skipif(is_readable("DICOM"), reason="pydicom is here")
def test_without_the_extra_the_files_are_named(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.dcm").write_bytes(bytes(128) + b"DICM" + bytes(50))
    with pytest.raises(DataError) as caught:
        open_data(tmp_path)
    assert "3 .dcm files cannot be read here as images: pip install visus[medical]" in caught.value.got
    with pytest.raises(DataError, match="is a DICOM file"):
        FileImage(tmp_path / "0.dcm").load()


STORED = np.asarray([[0, 1, 100], [1000, 1024, 4095]], np.uint16)


def encoded(pixels: np.ndarray, **tags: object) -> bytes:
    pydicom = pytest.importorskip("pydicom")
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3"
    dataset.Rows, dataset.Columns = pixels.shape[-3 if pixels.ndim == 3 and pixels.shape[2] == 3 else -2 :][:2]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 3 and pixels.shape[2] == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if dataset.SamplesPerPixel == 3 else "MONOCHROME2"
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored = dataset.BitsAllocated if pixels.dtype != np.uint16 else 12
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    if dataset.SamplesPerPixel == 3:
        dataset.PlanarConfiguration = 0
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.PixelData = pixels.tobytes()
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def values(pixels: np.ndarray, **tags: object) -> list[list[int]]:
    return with_header_read(BytesImage(encoded(pixels, **tags), "a.dcm")).load_values(1).tolist()


def test_stored_values_and_those_that_are_turned_over() -> None:
    assert values(STORED) == STORED.tolist()
    assert values(STORED, PhotometricInterpretation="MONOCHROME1") == (4095 - STORED.astype(int)).tolist()
    image = with_header_read(BytesImage(encoded(STORED), "a.dcm"))
    assert (image.size(), image.channels) == ((2, 3), 3)


def test_ct_gives_hounsfield_units_from_air_on() -> None:
    unsigned = values(STORED, Modality="CT", RescaleSlope=1, RescaleIntercept=-1024)
    assert unsigned == STORED.tolist()
    units = np.asarray([[-2000, -1024, 0, 1000]], np.int16)  # -2000: outside of the scanner's circle
    assert values(units, Modality="CT", RescaleSlope=1, RescaleIntercept=0) == [[0, 0, 1024, 2024]]


def test_a_window_runs_over_the_whole_range() -> None:
    tags = {"RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 40, "WindowWidth": 400}
    units = np.asarray([[1024 - 161, 1024 - 160, 1024 + 40, 1024 + 239, 4000]], np.uint16)
    expected = [[0, 0, round(200 / 399 * 65535), 65535, 65535]]  # PS3.3 C.11.2.1.2.1: from c - w/2 over w - 1
    assert values(units, **tags) == expected
    turned = values(units, PhotometricInterpretation="MONOCHROME1", **tags)
    assert turned[0][0] == 65535
    assert turned[0][4] == 0
    several = tags | {"WindowCenter": [40, 400], "WindowWidth": [400, 2000]}
    assert values(units, **several) == expected
    exact = values(units, VOILUTFunction="LINEAR_EXACT", **tags)
    assert exact[0][2] == round(65535 / 2 + 1e-9)


def test_fractions_of_a_slope_keep_the_stored_values() -> None:
    assert values(STORED, RescaleSlope="0.001", RescaleIntercept=0) == STORED.tolist()


def test_colours_are_colours() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    image = BytesImage(encoded(pixels), "a.dcm")
    np.testing.assert_array_equal(image.load(), pixels.transpose(2, 0, 1))


def test_several_frames_are_refused() -> None:
    frames = np.zeros((5, 4, 6), np.uint16)
    with pytest.raises(DataError, match=r"a\.dcm holds 5 frames"):
        BytesImage(encoded(frames, NumberOfFrames=5), "a.dcm").load()


def test_a_folder_of_slices_is_a_data_set(tmp_path: Path) -> None:
    for number in range(8):
        pixels = np.random.default_rng(number).integers(0, 4000, (20, 30)).astype(np.uint16)
        path = tmp_path / ("sick" if number % 2 else "well") / f"IM{number}"  # as scanners name them
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(pixels, InstanceNumber=number))
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    dataset = open_data(tmp_path)
    assert dataset.classes["classification"] == ("sick", "well")
    assert dataset.values.value_range == ((0, 4095),)
    assert sum(map(len, dataset.splits.values())) == 8
