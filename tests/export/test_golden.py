"""The pictures of golden samples: always the same, and what the network takes."""

import cv2
import numpy as np
import pytest

from cnncli.export.golden import COUNT, draw_pictures
from cnncli.images.intensity import IntensityRange
from cnncli.images.preprocess import Preprocess

FORMS = {
    "grey": Preprocess(28, 28, 1),
    "colour": Preprocess(32, 48, 3),
    "five": Preprocess(16, 16, 5),
    "alpha": Preprocess(16, 16, 4, keep_alpha=True),
    "deep": Preprocess(20, 20, 1, dtype="float32"),
    "range": Preprocess(20, 20, 3, dtype="float32", windows=(IntensityRange(0, 4095 / 65535),)),
    "units": Preprocess(20, 20, 1, dtype="float32", windows=(IntensityRange(-1000, 400, "value"),)),
    "files": Preprocess(
        20,
        24,
        6,
        dtype="float32",
        files=(1, 5),
        windows=(IntensityRange(0, 1), IntensityRange(-5, 5, "value")),
    ),
    "as weights": Preprocess(
        24, 24, 3, resize_mode="crop", resize_size=28, interpolation="bilinear"
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_network_takes_them(form):
    preprocess = FORMS[form]
    samples = draw_pictures(preprocess)
    assert len(samples) == COUNT
    assert samples == draw_pictures(preprocess)
    arrays = [preprocess(files) for files in samples]
    assert len({array.tobytes() for array in arrays}) == COUNT
    for array in arrays:
        assert array.shape == (*preprocess.image_size, preprocess.channels)
        # Black and white are reached nearly, and much lies between.
        assert np.ptp(array) > 0.5 * (255 if preprocess.dtype == "uint8" else 1)
        assert len(np.unique(array)) > 20


def test_they_are_small():
    sizes = [len(data) for files in draw_pictures(Preprocess(96, 96, 3)) for data in files]
    assert sum(sizes) < 40_000


def test_a_png_is_of_the_bits_that_the_network_takes():
    for form, kind in (("colour", np.uint8), ("deep", np.uint16)):
        (data,) = draw_pictures(FORMS[form])[1]
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert pixels.dtype == kind
        assert pixels.shape[:2] != FORMS[form].image_size  # it has to be resized
