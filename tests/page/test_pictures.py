"""The small pictures of the page: what a browser decodes is the image, or the heat over it."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from cnncli.page.pictures import SIDE, heat_uri, picture_uri


def decode(uri):
    head, _, content = uri.partition(",")
    assert head == "data:image/webp;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(content)))
    return np.asarray(picture.convert("RGB")).astype(int)


def test_a_tiny_image_is_kept_pixel_by_pixel():
    image = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decode(picture_uri(image)), image)


@pytest.mark.parametrize("size", [(1024, 512), (300, 900), (161, 161)])
def test_a_large_image_becomes_small_and_stays_like_itself(size):
    rows, columns = np.mgrid[: size[0], : size[1]]
    image = np.dstack([255 * rows / size[0], 255 * columns / size[1], 0 * rows]).astype(np.uint8)
    shown = decode(picture_uri(image))
    assert max(shown.shape[:2]) == SIDE
    small = np.asarray(Image.fromarray(image).resize(shown.shape[1::-1])).astype(int)
    assert np.abs(shown - small).mean() < 4


def test_heat_is_bright_where_it_is_hot_and_dark_where_nothing_is_seen():
    image = np.full((64, 64, 3), 128, np.uint8)
    heat = np.zeros((64, 64), np.float32)
    heat[:32, :32] = 7.0
    heat[:, 60:] = np.nan
    shown = decode(heat_uri(image, heat)).sum(axis=2)
    assert shown.shape == (SIDE, SIDE)
    hot, cold, unseen = (
        shown[20:60, 20:60].mean(),
        shown[100:140, 20:60].mean(),
        shown[:, -4:].mean(),
    )
    assert hot > 2 * cold
    assert unseen == pytest.approx(3 * 64, abs=20)  # the image at half its light


def test_a_map_of_zeros_is_drawn():
    zeros = heat_uri(np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20), np.float32))
    assert decode(zeros).max() < 30
