"""AVIF and JPEG 2000 are read; HEIC, JPEG XL and others are named, never passed over."""

import io
import struct

import cv2
import numpy as np
import pytest
import tifffile
from helpers import train, write_digits
from PIL import Image

from cnncli.errors import CnncliError
from cnncli.images.decode import decode
from cnncli.images.formats import UNREAD_FORMATS, read_header
from cnncli.images.header import ImageError

RNG = np.random.default_rng(0)


def save(array, kind, **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **options)
    return file.getvalue()


def smooth(*shape):
    levels = cv2.GaussianBlur(RNG.integers(0, 256, shape, dtype=np.uint8), (0, 0), 3)
    return cv2.normalize(levels, None, 0, 255, cv2.NORM_MINMAX)


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 3)])
def test_jpeg_2000_is_exact(shape):
    levels = smooth(*shape)
    np.testing.assert_array_equal(decode(save(levels, "JPEG2000")), np.atleast_3d(levels))


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_2000_of_16_bits_keeps_them(channels):
    levels = RNG.integers(0, 65536, (40, 60, channels), dtype=np.uint16)
    stored = np.ascontiguousarray(levels[..., ::-1])
    data = cv2.imencode(".jp2", stored, [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])[1]
    assert read_header(data.tobytes()).bits == 16
    np.testing.assert_array_equal(decode(data.tobytes()), levels)


def test_avif_looks_like_the_picture():
    levels = smooth(40, 60, 3)
    difference = decode(save(levels, "AVIF", quality=95)).astype(float) - levels
    assert np.abs(difference).mean() < 4


def test_avif_is_turned_upright():
    levels, exif = smooth(40, 60, 3), Image.Exif()
    exif[0x0112] = 6
    turned = decode(save(levels, "AVIF", quality=95, exif=exif)).astype(float)
    assert np.abs(turned - np.rot90(levels, -1)).mean() < 4


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000"])
def test_alpha_is_laid_on_white(kind):
    picture = np.dstack([smooth(40, 60, 3), np.zeros((40, 60), np.uint8)])
    assert decode(save(picture, kind)).min() == 255
    assert decode(save(picture, kind), keep_alpha=True).shape == (40, 60, 4)


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.97])
def test_cut_files_are_refused(kind, part):
    data = save(smooth(80, 90, 3), kind)
    with pytest.raises(ImageError, match="damaged"):
        decode(data[: int(part * len(data))])


HEIC = struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(200)
UNREAD = {
    "HEIC": HEIC,
    "JPEG XL": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99),
    "Photoshop": b"8BPS" + bytes(99),
    "OpenEXR": b"\x76\x2f\x31\x01" + bytes(99),
    "a camera's raw file": b"II*\0\x10\0\0\0CR\x02\0" + bytes(99),
    "SVG": b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>",
}


@pytest.mark.parametrize("name", UNREAD)
def test_unread_formats_are_named(name):
    with pytest.raises(ImageError, match=f"is {name}, .*convert it to"):
        read_header(UNREAD[name])


def test_a_dng_is_not_its_preview(tmp_path):
    tags = [(50706, "B", 4, b"\1\4\0\0", False)]
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((40, 60, 3), np.uint8), extratags=tags)
    with pytest.raises(ImageError, match="raw file"):
        read_header((tmp_path / "a.tif").read_bytes())


def test_they_are_counted_and_named_by_each_command(cli, tmp_path):
    """Ten digits that can be read, and ten files that cannot."""
    paths = write_digits(tmp_path / "data", per_class=12)
    run = train(tmp_path / "runs", data=str(tmp_path / "data"))
    for row, path in zip(UNREAD_FORMATS, paths, strict=False):
        path.with_suffix(row.suffixes[0]).write_bytes(HEIC)
    folder = str(paths[0].parent)
    count = len(list(paths[0].parent.iterdir()))
    said = cli("predict", folder, "--checkpoint", run, "--format", "csv")
    assert len(said.out.splitlines()) == count + 1
    assert said.out.count("is HEIC, which cannot be read; convert it to JPEG or PNG") == count - 12
    said = cli("check-data", tmp_path / "data", "--format", "csv", "--no-cache")
    assert said.code == 3
    assert said.out.count("is HEIC") == len(UNREAD_FORMATS)
    with pytest.raises(CnncliError, match=r"11 images cannot be used: .* is HEIC"):
        train(tmp_path / "runs", data=str(tmp_path / "data"))
    assert train(tmp_path / "runs", data=str(tmp_path / "data"), on_bad_image="skip")


@pytest.mark.parametrize(
    ("kind", "bits", "named"),
    [(0xC3, 8, "lossless JPEG"), (0xC1, 12, "JPEG of 12 bits"), (0xC5, 8, "hierarchical JPEG")],
)
def test_jpegs_that_cannot_be_read_are_named(kind, bits, named):
    data = bytearray(save(smooth(40, 60), "JPEG"))
    place = data.find(b"\xff\xc0")
    data[place + 1], data[place + 4] = kind, bits
    with pytest.raises(ImageError, match=f"is {named}, which cannot be read; convert"):
        read_header(bytes(data))
