"""Images of another depth than the training images are told by predict and evaluate, once."""

import cv2
import numpy as np
import pytest
from helpers import train, write_digits

from cnncli.images.intensity import IntensityRange, fraction_cut

EIGHT, TWELVE, SIXTEEN = 1, 16, 257  # what 8-bit levels are multiplied with
TEXT = {
    "dark to 8": "12 images whose values use 15 of 16 bits or fewer (of fractions, 1/2 of the "
    "scale): dark or nearly black (white, if inverted) to a network that was trained on all of "
    "8 bits (",
    "dark to 16": "12 images whose values use 12 of 16 bits or fewer (of fractions, 1/16 of the "
    "scale): dark or nearly black (white, if inverted) to a network that was trained on all of "
    "16 bits (",
    "cut": "12 images with more than 50% of the values beyond the intensities of the training "
    "images, which become black or white (",
}


def write(root, factor, names=("0", "1", "2")):
    """Write light digits in the depth that a factor gives; return the files in a third of them."""
    paths = write_digits(root, names=names, per_class=12)
    for path in paths:
        levels = 255 - cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) // 2
        deep = levels if factor == EIGHT else levels.astype(np.uint16) * factor
        assert cv2.imwrite(str(path), deep)
    return paths[:12]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return the run of each depth."""
    root = tmp_path_factory.mktemp("depths")
    for factor in (EIGHT, TWELVE, SIXTEEN):
        write(root / f"data{factor}", factor)
    return {
        factor: train(root / f"runs{factor}", data=str(root / f"data{factor}"))
        for factor in (EIGHT, TWELVE, SIXTEEN)
    }


@pytest.mark.parametrize(
    ("trained", "given", "told"),
    [
        (EIGHT, EIGHT, None),
        (EIGHT, SIXTEEN, None),  # the same picture
        (EIGHT, TWELVE, "dark to 8"),
        (EIGHT, 64, "dark to 8"),  # 14 bits
        (TWELVE, TWELVE, None),
        (TWELVE, EIGHT, None),  # 8 bits have a scale of their own
        (TWELVE, SIXTEEN, "cut"),
        (SIXTEEN, SIXTEEN, None),
        (SIXTEEN, EIGHT, None),
        (SIXTEEN, TWELVE, "dark to 16"),
    ],
)
def test_what_is_hardly_like_the_training_images_is_told(cli, runs, tmp_path, trained, given, told):
    files = write(tmp_path / "new", given)
    said = cli("predict", tmp_path / "new" / "0", "--checkpoint", runs[trained])
    assert said.code == 0
    expected = (
        [] if told is None else [f"Warning: {TEXT[told]}{files[0]}, …); convert to the depth "]
    )
    lines = said.err.splitlines()
    assert len(lines) == len(expected)
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(start)
    data = tmp_path / "new"
    said = cli("evaluate", "--checkpoint", runs[trained], "--data", data, "--split", "all")
    warnings = [
        line for line in said.err.splitlines() if "training images" in line or "bits" in line
    ]
    assert len(warnings) == len(expected)
    if told is not None:
        assert warnings[0].startswith(f"Warning: {TEXT[told]}".replace("12 images", "36 images"))


@pytest.mark.parametrize(
    ("levels", "dtype", "cut"),
    [
        ([0, 4095], "float32", 1),
        ([0, 4096], "float32", 0),
        ([0, 32767], "uint8", 1),
        ([0, 32768], "uint8", 0),
        ([257, 257 * 3], "uint8", 0),  # 8 bits, stretched
        ([300, 300], "uint8", 0),  # an empty picture
    ],
)
def test_dark_is_what_uses_few_of_its_bits(levels, dtype, cut):
    assert fraction_cut(np.array(levels, np.uint16), None, dtype) == cut


def test_what_lies_beyond_a_range_is_counted():
    window = IntensityRange(0, 4095 / 65535)
    levels = np.array([0, 4095, 4096, 65535], np.uint16)
    assert fraction_cut(levels, window, "float32") == 0.5
