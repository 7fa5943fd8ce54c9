"""What people hand to predict and explain: every kind gives the same pixels, and everything else one plain error."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from visus.data.pixels.images import FileImage
from visus.data.reading.given import given_image, given_images
from visus.errors import DataError, ShapeError, UsageError, VisusError
from visus.structures import Sample

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY = PIXELS[..., 0]


def encoded(picture=None, format="PNG", **options):
    buffer = io.BytesIO()
    (picture or PIL.Image.fromarray(PIXELS)).save(buffer, format, **options)
    return buffer.getvalue()


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def at_its_end(data):
    file = io.BytesIO(data)
    file.seek(0, io.SEEK_END)
    return file


class Unseekable(io.RawIOBase):
    def __init__(self, data):
        self.rest = data

    def readable(self):
        return True

    def readinto(self, buffer):
        part, self.rest = self.rest[: len(buffer)], self.rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


class Tells:
    """What JAX, TensorFlow and zarr give: something that turns itself into an array."""

    def __array__(self, dtype=None, copy=None):
        return PIXELS


SAME = {
    "array": PIXELS,
    "BGR turned to RGB": np.ascontiguousarray(PIXELS[..., ::-1])[..., ::-1],
    "upside down, from below": np.flipud(np.flipud(PIXELS).copy()),
    "Fortran": np.asfortranarray(PIXELS),
    "every other of a larger one": np.repeat(PIXELS, 2, axis=1)[:, ::2],
    "read only": read_only(PIXELS),
    "big-endian 8 bits in 64": PIXELS.astype(">i8"),
    "int32": PIXELS.astype(np.int32),
    "floats to 1": PIXELS / 255,
    "halves to 1, rounded over it": (PIXELS / 255 * 1.0004).astype(np.float16),
    "floats to 255": PIXELS.astype(np.float32),
    "channels first": PIXELS.transpose(2, 0, 1),
    "tensor": torch.from_numpy(PIXELS).permute(2, 0, 1),
    "tensor of floats with gradients": (torch.from_numpy(PIXELS / 255).permute(2, 0, 1)).requires_grad_(),
    "tensor, channels last": torch.from_numpy(PIXELS),
    "brain float tensor": torch.from_numpy(PIXELS).permute(2, 0, 1).to(torch.bfloat16),
    "makes itself an array": Tells(),
    "Pillow": PIL.Image.fromarray(PIXELS),
    "Pillow, opened": PIL.Image.open(io.BytesIO(encoded())),
    "bytes": encoded(),
    "bytearray": bytearray(encoded()),
    "memoryview": memoryview(encoded()),
    "file": io.BytesIO(encoded()),
    "file that was just written": at_its_end(encoded()),
    "stream": io.BufferedReader(Unseekable(encoded())),
}


@pytest.mark.parametrize("name", SAME)
def test_one_image_of_any_kind_has_the_same_pixels(name):
    given = given_images(SAME[name])
    assert given.one
    loaded = given.samples[0].image.load()
    assert min(loaded.strides) >= 0
    if name == "brain float tensor":  # 8 bits of mantissa
        np.testing.assert_allclose(loaded.transpose(1, 2, 0), PIXELS, atol=1)
    else:
        np.testing.assert_array_equal(loaded.transpose(1, 2, 0), PIXELS)


GREYS = {
    "[H,W]": GREY,
    "[H,W,1]": GREY[..., None],
    "[1,H,W]": GREY[None],
    "tensor [1,H,W]": torch.from_numpy(GREY)[None],
    "tensor [H,W]": torch.from_numpy(GREY),
    "floats [H,W,1]": GREY[..., None] / 255,
    "turned": np.rot90(np.rot90(GREY, -1)),
    "mode L": PIL.Image.fromarray(GREY),
}


@pytest.mark.parametrize("name", GREYS)
def test_a_grey_image_is_seen_in_every_colour(name):
    loaded = given_image(GREYS[name]).image.load()
    np.testing.assert_array_equal(loaded, np.stack([GREY] * 3))


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"]
)
def test_pillow_images_of_any_mode_are_as_pillow_makes_them_rgb(mode):
    rgb = PIL.Image.fromarray(PIXELS)
    through = {"La": "LA", "RGBa": "RGBA", "PA": "P"}  # Pillow converts to these modes from those only
    picture = rgb.convert(through[mode]).convert(mode) if mode in through else rgb.convert(mode)
    back = picture.convert(through[mode]) if mode in ("La", "RGBa") else picture
    loaded = given_image(picture).image.load()
    np.testing.assert_array_equal(loaded.transpose(1, 2, 0), np.asarray(back.convert("RGB")))


def test_deep_pictures_keep_their_16_bits_and_a_transparent_one_lies_on_white():
    deep = (GREY.astype(np.uint16) << 8) + 7
    for picture in (PIL.Image.fromarray(deep), PIL.Image.fromarray(deep.astype(np.int32)), deep, deep.astype(">u2")):
        np.testing.assert_array_equal(given_image(picture).image.load_values(1), deep)
    np.testing.assert_array_equal(given_image(PIL.Image.fromarray(GREY / np.float32(255))).image.load()[1], GREY)
    clear = np.dstack([PIXELS, np.zeros_like(GREY)])
    assert (given_image(PIL.Image.fromarray(clear)).image.load() == 255).all()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_a_photo_is_turned_upright_once_whether_opened_decoded_or_converted(format, tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # the top of the scene is on the right of the file: turned clockwise
    flat = np.zeros((16, 32, 3), np.uint8)
    flat[:, :16] = 255
    data = encoded(PIL.Image.fromarray(flat), format, exif=exif)
    upright = np.rot90(flat, -1)
    decoded = PIL.Image.open(io.BytesIO(data))
    decoded.load()
    converted = PIL.Image.open(io.BytesIO(data)).convert("RGB")
    for picture in (data, PIL.Image.open(io.BytesIO(data)), decoded, converted):
        image = given_image(picture).image
        assert image.size() == (32, 16)
        np.testing.assert_allclose(image.load().transpose(1, 2, 0), upright, atol=3)


def test_several_images_come_as_lists_iterators_columns_and_four_axes(tmp_path):
    for k in range(3):
        PIL.Image.fromarray(PIXELS).save(tmp_path / f"{k}.png")
    paths = sorted(tmp_path.glob("*.png"))
    batch = np.stack([PIXELS] * 3)
    several = [
        [PIXELS] * 3,
        (PIXELS for _ in range(3)),
        iter([PIL.Image.fromarray(PIXELS), paths[0], encoded()]),
        map(str, paths),
        dict.fromkeys(paths, 0).keys(),
        np.array([str(path) for path in paths]),
        np.array([PIXELS, None, None], dtype=object)[[0, 0, 0]],
        batch,
        torch.from_numpy(batch).permute(0, 3, 1, 2) / 255,
        [batch[:2], PIXELS],
        tmp_path,
        str(tmp_path),
        [
            Sample("a", FileImage(paths[0]), {"classification": None}),
            Sample("b", FileImage(paths[1])),
            tmp_path / "2.png",
        ],
    ]
    for images in several:
        given = given_images(images)
        assert not given.one
        assert len(given.samples) == 3
        for sample in given.samples:
            assert not sample.targets
            np.testing.assert_array_equal(sample.image.load().transpose(1, 2, 0), PIXELS)
    for nothing in ([], (), iter(()), np.zeros((0, 5, 7, 3), np.uint8)):
        assert given_images(nothing).samples == []
    names = [sample.id for sample in given_images([batch[:2], paths[0], PIXELS]).samples]
    assert names == ["image 0.0", "image 0.1", str(paths[0]), "image 2"]


def test_images_of_one_array_share_a_range():
    batch = np.stack([np.zeros((4, 4, 3)), np.full((4, 4, 3), 0.5), np.full((4, 4, 3), 200.0)])
    assert [int(sample.image.load().max()) for sample in given_images(batch).samples] == [0, 0, 200]


REFUSED = {
    "none": (None, "cv2.imread"),
    "number": (3, "got:      int"),
    "mapping": ({"image": PIXELS}, "dict"),
    "list of lists": ([[PIXELS], [PIXELS]], "one flat list"),
    "nested empty": ([[]], "one flat list"),
    "empty path": ("", "the path is empty"),
    "empty path among others": (["a.png", ""], "the path is empty"),
    "numbers": ([[0, 1], [2, 3]], "numpy.asarray"),
    "image and label": ([(PIXELS, 1)], "without their labels"),
    "vector": (np.zeros(5, np.uint8), "tobytes"),
    "no pixels": (np.zeros((0, 5, 3), np.uint8), r"\[0, 5, 3\]"),
    "five axes": (np.zeros((1, 1, 5, 5, 3), np.uint8), r"\[N, H, W, C\]"),
    "stack of greys": (np.zeros((520, 2, 520), np.uint8), "more channels"),
    "normalised": (PIXELS / 127.5 - 1, "normalised"),
    "a little over 1": (PIXELS / 255 * 1.2, "0..1 or in 0..255"),
    "over 255": (PIXELS * 2.0, "0..1 or in 0..255"),
    "NaN": (np.full((4, 4), np.nan), "nan"),
    "16 bits in 32": (PIXELS.astype(np.int32) * 16, "uint16"),
    "negative": (PIXELS.astype(np.int16) - 5, "uint16"),
    "complex": (PIXELS * 1j, "complex128"),
    "objects": (np.full((4, 4), None), "object"),
    "text file": (io.StringIO("no"), "binary mode"),
    "vector tensor": (torch.zeros(5, dtype=torch.uint8), "shape"),
    "meta tensor": (torch.zeros(3, 5, 5, device="meta"), "NumPy array"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_image_is_refused_in_one_plain_error(name):
    given, words = REFUSED[name]
    with pytest.raises(VisusError, match=words) as caught:
        given_images(given)
    assert isinstance(caught.value, UsageError | ShapeError | DataError)
    assert caught.value.expected
    assert caught.value.got


def test_bytes_that_are_no_image_and_closed_files_are_data_errors():
    closed = PIL.Image.open(io.BytesIO(encoded()))
    closed.close()
    with tempfile.TemporaryFile() as shut:
        pass
    with pytest.raises(DataError, match="image 0 cannot be read as an image"):
        given_image(b"abc").image.load()
    for given in (closed, shut):
        with pytest.raises(DataError):
            given_image(given)
    with pytest.raises(UsageError, match="only one image at a time is taken"):
        given_image([PIXELS, PIXELS])


def test_arrays_that_need_no_change_are_not_copied():
    assert np.shares_memory(given_image(PIXELS).image.load(), PIXELS)


def test_names_come_from_files(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(encoded())
    with path.open("rb") as file:
        assert given_image(file).id == str(path)
    with PIL.Image.open(path) as picture:
        assert given_image(picture).id == str(path)
    assert given_image(Path(path)).image.path == path
