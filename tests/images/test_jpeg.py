"""A JPEG whose data are damaged is refused, without a word of libjpeg's own; all others are read.

Pixels are compared with OpenCV's and Pillow's.
"""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from cnncli.images.decode import decode
from cnncli.images.header import ImageError


def picture(height=80, width=120):
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(cv2.GaussianBlur(noise, (0, 0), 3))


def write(image=None, **settings):
    stream = io.BytesIO()
    (image or picture()).save(stream, "JPEG", quality=90, **settings)
    return stream.getvalue()


BASE = write()
PROGRESSIVE = write(progressive=True)
RESTARTS = write(restart_marker_blocks=4)


def sampled(data, factors):
    """Say in the header that brightness has other factors of sampling than it has."""
    place = data.index(b"\xff\xc0") + 11
    return data[:place] + bytes([factors]) + data[place + 1 :]


SCAN = BASE.index(b"\xff\xda")
END = b"\xff\xd9"

DAMAGED = {
    "half": BASE[: len(BASE) // 2],
    "no end marker": BASE[:-2],
    "half with an end marker": BASE[: len(BASE) // 2] + END,
    "half of the scans": PROGRESSIVE[: len(PROGRESSIVE) // 2] + END,
    "a marker within": BASE[: len(BASE) // 2] + b"\xff\xd0" + BASE[len(BASE) // 2 + 2 :],
    "a marker that is none": BASE[: len(BASE) // 2] + b"\xff\x41" + BASE[len(BASE) // 2 + 2 :],
    "a marker of another kind": BASE[: len(BASE) // 2] + b"\xff\xc5" + BASE[len(BASE) // 2 + 2 :],
    "a marker of no length": BASE[: len(BASE) // 2] + b"\xff\xe0\0\0" + BASE[len(BASE) // 2 + 4 :],
    "a restart marker lost": RESTARTS.replace(b"\xff\xd3", b"", 1),
    "the bytes before a restart lost": RESTARTS[: RESTARTS.index(b"\xff\xd3") - 10]
    + RESTARTS[RESTARTS.index(b"\xff\xd3") :],
    "out of step": BASE[: len(BASE) // 2] + BASE[len(BASE) // 2 - 200 :],
    "out of step, before other bytes": BASE[: len(BASE) // 2]
    + BASE[len(BASE) // 2 - 200 :]
    + b"\0\xff\xd9\0" * 99,
    "half behind stray bytes": BASE[:SCAN] + b"\0\1" + BASE[SCAN : len(BASE) // 2] + END,
}

SOUND = {
    "plain": BASE,
    "progressive": PROGRESSIVE,
    "restarts": RESTARTS,
    "grey": write(picture().convert("L")),
    "inks": write(picture().convert("CMYK")),
    "fine colours": write(subsampling=0),
    "rare colours": sampled(write(picture(48, 48), subsampling=0), 0x31) + END,
    "bytes behind the end": BASE + b"hello",
    "bytes before the end": BASE[:-2] + b"abc" + END,
    "filled up with zeros": BASE[:-2] + bytes(500) + END,
    "filled up, before other bytes": BASE[:-2] + b"\xaa" * 500 + END + b"hello" + END,
    "stray bytes in the header": BASE[:SCAN] + b"\0\1\2" + BASE[SCAN:],
    "fill bytes in the header": BASE[:SCAN] + b"\xff\xff" + BASE[SCAN:],
    "the last bits left out": BASE[:-3] + END,
    "an unknown revision": BASE.replace(b"JFIF\0\1", b"JFIF\0\0", 1),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_picture_with_a_part_missing_is_refused(name, capfd):
    with pytest.raises(ImageError, match="damaged or cut short"):
        decode(DAMAGED[name])
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", SOUND)
def test_what_is_whole_is_read_as_opencv_reads_it(name, capfd):
    pixels = decode(SOUND[name])
    assert capfd.readouterr().err == ""
    expected = np.atleast_3d(
        cv2.imdecode(np.frombuffer(SOUND[name], np.uint8), cv2.IMREAD_UNCHANGED)
    )
    np.testing.assert_array_equal(pixels, expected[..., ::-1])


def test_most_wrong_bytes_within_a_picture_are_noticed():
    """64 random bytes stand for others at 100 places; none was noticed while no rest counted."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (400, 600, 3), dtype=np.uint8)
    data = write(Image.fromarray(cv2.GaussianBlur(noise, (0, 0), 1)))
    start = data.index(b"\xff\xda") + 14
    found = 0
    for place in rng.integers(start, len(data) - 2000, 100).tolist():
        wrong = rng.integers(0, 255, 64, dtype=np.uint8).tobytes()
        try:
            decode(data[:place] + wrong + data[place + 64 :])
        except ImageError:
            found += 1
    assert found >= 95


@pytest.mark.parametrize("reduction", [2, 4, 8])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("size", [(80, 120), (83, 121)])
def test_a_reduced_picture_has_its_part_of_the_size(size, mode, reduction):
    data = write(picture(*size).convert(mode))
    pixels = decode(data, reduction=reduction)
    height, width = (-(-side // reduction) for side in size)
    assert pixels.shape == (height, width, 1 if mode == "L" else 3)
    flag = getattr(cv2, f"IMREAD_REDUCED_{'GRAYSCALE' if mode == 'L' else 'COLOR'}_{reduction}")
    expected = np.atleast_3d(cv2.imdecode(np.frombuffer(data, np.uint8), flag))
    np.testing.assert_array_equal(pixels, expected[..., ::-1])
