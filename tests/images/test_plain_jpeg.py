"""A JPEG that says nothing but its size: its header is that which Pillow reads, without Pillow."""

import io

import numpy as np
import pytest
from PIL import Image

from cnncli.images.decode import decode
from cnncli.images.formats import read_header
from cnncli.images.header import ImageError
from cnncli.images.jpeg import read_plain_header

WAYS = [
    {},
    {"progressive": True},
    {"restart_marker_blocks": 2},
    {"comment": b"a comment"},
    {"dpi": (72, 72)},
    {"subsampling": 0, "optimize": True},
]


def written(mode="RGB", *, kind="JPEG", **how):
    levels = np.random.default_rng(0).integers(0, 255, (18, 37, 4), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels, "RGBA").convert("RGB").convert(mode).save(file, kind, **how)
    return file.getvalue()


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("how", WAYS, ids=str)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_header_is_that_of_pillow(mode, how):
    data = written(mode, **how)
    header, by_pillow = read_plain_header(data), Image.open(io.BytesIO(data))
    assert header is not None
    assert (header.mode, header.width, header.height) == (by_pillow.mode, *by_pillow.size)
    assert header.channels == len(by_pillow.getbands())
    assert header == read_header(data)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_else_a_jpeg_says_is_not_passed_over():
    """Its orientation, the inks of a printer, a second picture."""
    data = written(exif=turned())
    assert read_plain_header(data) is None
    assert read_header(data).orientation == 6
    assert read_header(written("CMYK")).mode == "CMYK"
    second = {"append_images": [Image.new("RGB", (9, 9))], "save_all": True}
    assert read_plain_header(written(kind="MPO", **second)) is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_header_that_ends_early_or_is_of_no_size_is_not_plain():
    data = written()
    scan = data.index(b"\xff\xda")
    assert read_plain_header(data[: scan + 4]) is not None
    assert all(read_plain_header(data[:end]) is None for end in range(2, scan + 4))
    size = data.index(b"\xff\xc0") + 5
    assert read_plain_header(data[:size] + bytes(2) + data[size + 2 :]) is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_wrong_table_is_told_in_the_same_words_each_time():
    """Pillow would name the place of the bytes in memory, another one in each row and each run."""
    data = bytearray(written())
    data[data.index(b"\xff\xdb") + 4] = 172  # no precision and number of a table
    with pytest.raises(ImageError) as found:
        decode(bytes(data))
    assert str(found.value) == "is damaged or cut short"
