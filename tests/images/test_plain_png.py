"""A PNG with nothing but pixels in it: its header is that which Pillow reads."""

import io

import numpy as np
import pytest
from PIL import Image

from cnncli.images.formats import read_header
from cnncli.images.header import ImageError

MODES = ("L", "RGB", "LA", "RGBA", "1")


def picture(mode, height=5, width=7):
    levels = np.random.default_rng(0).integers(0, 255, (height, width, 4), dtype=np.uint8)
    return Image.fromarray(levels, "RGBA").convert(mode)


def written(image, **how):
    file = io.BytesIO()
    image.save(file, "PNG", **how)
    return file.getvalue()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", [{}, {"dpi": (72, 72)}, {"optimize": True}], ids=str)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_header_is_that_of_pillow(mode, how):
    data = written(picture(mode), **how)
    header, by_pillow = read_header(data), Image.open(io.BytesIO(data))
    assert (header.mode, header.width, header.height) == (by_pillow.mode, *by_pillow.size)
    assert header.alpha == (mode in ("LA", "RGBA"))
    assert header.channels == (1 if mode in ("L", "LA", "1") else 3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_else_a_png_says_is_not_passed_over():
    """A grey level that counts as transparent, and the orientation of a photograph."""
    header = read_header(written(picture("L"), transparency=3))
    assert (header.alpha, header.clear_level) == (True, 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_header(written(picture("RGB"), exif=exif)).orientation == 6


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_damage_is_noticed():
    data = written(picture("RGB"))
    for place in range(16, len(data)):
        changed = bytearray(data)
        changed[place] ^= 4
        if data[place - 4 : place] != b"IEND" and place < len(data) - 4:
            with pytest.raises(ImageError):
                read_header(bytes(changed))
        with pytest.raises(ImageError):
            read_header(data[:place])
