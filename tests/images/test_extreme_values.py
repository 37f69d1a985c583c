"""Values at the end of what float32 can hold, and beyond it."""

import io

import numpy as np
import pytest
import tifffile

from cnncli.images.decode import decode
from cnncli.images.header import ImageError
from cnncli.images.intensity import IntensityRange, fraction_cut, to_fractions

LARGEST = float(np.finfo(np.float32).max)


def as_npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def as_npz(array):
    file = io.BytesIO()
    np.savez(file, array)
    return file.getvalue()


def as_tiff(array):
    file = io.BytesIO()
    tifffile.imwrite(file, array)
    return file.getvalue()


WRITERS = [as_npy, as_npz, as_tiff]


def picture(value):
    return np.array([[0.5, value, 0.25], [1, 0, 1], [0, 1, 0]])


@pytest.mark.parametrize("save", WRITERS)
@pytest.mark.parametrize("value", [1e300, -1e300, 3.5e38, 1e39])
def test_a_value_beyond_float32_is_named(save, value):
    with pytest.raises(ImageError) as caught:
        decode(save(picture(value)))
    assert str(caught.value) == (
        f"holds the value {value:g}, which is beyond float32 (±3.4e38), in which images are "
        "computed"
    )


@pytest.mark.parametrize("save", WRITERS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["f8", "f4"])
def test_what_is_not_finite_is_called_so(save, value, kind):
    with pytest.raises(ImageError, match=r"holds values that are not finite \(NaN or infinity\)"):
        decode(save(picture(value).astype(kind)))


@pytest.mark.parametrize("save", WRITERS)
@pytest.mark.parametrize("value", [LARGEST, -LARGEST, 1e-300])
def test_what_float32_can_hold_is_read(save, value):
    assert decode(save(picture(value)))[0, 1, 0] == np.float32(value)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("values", [(LARGEST, LARGEST), (-LARGEST, 1.0), (-LARGEST, LARGEST)])
def test_the_whole_way_without_a_word_of_numpys(cli, tmp_path, channels, values):
    """A fill value of -3.4e38 is what many maps have; the suite makes an error of any warning."""
    rng = np.random.default_rng(0)
    for number in range(16):
        image = rng.uniform(0, 1, (24, 24, channels)).astype("f4")
        image[:4, :4], image[-4:, -4:] = values if number % 5 == 0 else (0, 1)
        path = tmp_path / "d" / "ab"[number % 2] / f"{number}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, image[..., 0] if channels == 1 else image)
    args = ("--model", "lenet5", "--epochs", 1, "--device", "cpu", "--output", tmp_path / "r")
    assert cli("train", tmp_path / "d", *args).code == 0
    assert cli("check-data", tmp_path / "d", "--no-cache").code in (0, 3)


@pytest.mark.parametrize("ends", [(-LARGEST, LARGEST), (0, 1e300), (-1e300, 0), (0.0, LARGEST)])
def test_ranges_as_wide_as_that(ends):
    intensity_range = IntensityRange(*ends, "value")
    array = np.array([0, 1, LARGEST, -LARGEST], np.float32)
    low, high = ends
    expected = np.clip((array.astype(np.longdouble) - low) / (np.longdouble(high) - low), 0, 1)
    assert to_fractions(array, intensity_range) == pytest.approx(expected.astype(float), abs=1e-6)
    outside = (array.astype(float) < low) | (array.astype(float) > high)
    assert fraction_cut(array, intensity_range, "float32") == outside.mean()


def test_beyond_float32_in_training_is_one_line(cli, tmp_path):
    for number in range(12):
        path = tmp_path / "d" / "ab"[number % 2] / f"{number}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, picture(1e300 if number == 3 else 1.0))
    said = cli("train", tmp_path / "d", "--model", "lenet5", "--device", "cpu")
    assert said.code == 2
    assert "b/3.npy" in said.error
    assert "holds the value 1e+300, which is beyond float32" in said.error
    assert "RuntimeWarning" not in said.err
