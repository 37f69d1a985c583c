"""Kernels by name: against OpenCV's, whose Sobel and Scharr have the opposite sign."""

import cv2
import numpy as np
import pytest

from cnncli.convolving.convolution import build_convolution
from cnncli.convolving.kernels import NAMES, parse_kernel, unknown_kernel
from cnncli.convolving.large import forward_large
from cnncli.convolving.values import Values
from cnncli.errors import CnncliError


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (23, 31)).astype(np.float64)


def apply(name, image):
    """Apply a kernel to an image whose border is mirrored."""
    values = Values((1, *image.shape), image.reshape(-1))
    kernel = parse_kernel(name)
    layer = build_convolution([kernel], [0], values.shape, mode="reflect", padding="same")
    return forward_large(layer, values).numbers.reshape(image.shape)


OPENCV = {
    "sobel-x": lambda image: -cv2.Sobel(image, cv2.CV_64F, 1, 0),
    "sobel-y": lambda image: -cv2.Sobel(image, cv2.CV_64F, 0, 1),
    "scharr-x": lambda image: -cv2.Scharr(image, cv2.CV_64F, 1, 0),
    "scharr-y": lambda image: -cv2.Scharr(image, cv2.CV_64F, 0, 1),
    "laplacian": lambda image: cv2.Laplacian(image, cv2.CV_64F),
    "identity": lambda image: image,
    "sobel": lambda image: (
        abs(cv2.Sobel(image, cv2.CV_64F, 1, 0)) + abs(cv2.Sobel(image, cv2.CV_64F, 0, 1))
    ),
    "scharr": lambda image: (
        abs(cv2.Scharr(image, cv2.CV_64F, 1, 0)) + abs(cv2.Scharr(image, cv2.CV_64F, 0, 1))
    ),
}
ROUNDED = {
    "gaussian 5 1.4": lambda image: cv2.GaussianBlur(image, (5, 5), 1.4),
    "gaussian 7 0.8": lambda image: cv2.GaussianBlur(image, (7, 7), 0.8),
    "box 3": lambda image: cv2.blur(image, (3, 3)),
    "box5": lambda image: cv2.blur(image, (5, 5)),
}


@pytest.mark.parametrize("name", OPENCV)
def test_as_opencv(name, image):
    np.testing.assert_array_equal(apply(name, image), OPENCV[name](image))


@pytest.mark.parametrize("name", ROUNDED)
def test_as_opencv_up_to_rounding(name, image):
    np.testing.assert_allclose(apply(name, image), ROUNDED[name](image), rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("sobel-x", [[1, 0, -1], [2, 0, -2], [1, 0, -1]]),
        ("Sobel Y", [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]),
        ("scharr-x", [[3, 0, -3], [10, 0, -10], [3, 0, -3]]),
        ("prewitt-x", [[1, 0, -1], [1, 0, -1], [1, 0, -1]]),
        ("oblique", [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        ("vertical", [[0, 1, 0], [0, 1, 0], [0, 1, 0]]),
        ("horizontal", [[0, 0, 0], [1, 1, 1], [0, 0, 0]]),
    ],
)
def test_the_signs_of_lecture_notes(name, rows):
    assert parse_kernel(name).parts[0].grids() == [rows]


def test_flipped_is_turned_by_180_degrees():
    kernel = parse_kernel("1 2 3; 4 5 6 | 7 8 9; 1 2 3")
    turned = np.reshape(kernel.flipped().parts[0].numbers, (2, 2, 3))
    given = np.reshape(kernel.parts[0].numbers, (2, 2, 3))
    np.testing.assert_array_equal(turned, np.rot90(given, 2, (1, 2)))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("gaussian", "write its size in pixels, from 1 to 101, and its standard deviation"),
        ("gaussian 5", "as in 'gaussian 5 1.4'"),
        ("gaussian 5 0", "as in 'gaussian 5 1.4'"),
        ("gaussian 5 -1", "as in 'gaussian 5 1.4'"),
        ("gaussian 0 1", "from 1 to 101"),
        ("gaussian 103 1", "from 1 to 101"),
        ("gaussian 2 .001", "standard deviation"),
        ("box", "as in 'box 3'"),
        ("box 3 3", "as in 'box 3'"),
        ("box x", "as in 'box 3'"),
        ("sobel-x 5", "is 3x3 and takes no number"),
        ("1 2; 3", "all rows must be of one length"),
    ],
)
def test_wrong_numbers_of_a_kernel(text, why):
    with pytest.raises(CnncliError, match=why):
        parse_kernel(text)


@pytest.mark.parametrize(
    ("text", "near"), [("sobl-x", "sobel-x"), ("gausian 5 1", "gaussian"), ("prewit", "prewitt")]
)
def test_the_nearest_names(text, near):
    assert parse_kernel(text) is None
    assert f"did you mean {near}" in str(unknown_kernel(text))


def test_without_a_near_name_all_are_listed():
    message = str(unknown_kernel("qqqqqqq"))
    assert all(name in message for name in NAMES)
