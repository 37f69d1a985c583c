"""The default range of intensities holds the content of a set, whatever a few values are."""

import io

import cv2
import numpy as np
import pytest

from cnncli.data.find_samples import find_samples
from cnncli.run.choose_preprocess import (
    Channels,
    choose_intensity,
    choose_preprocess,
    survey_as_read,
)
from cnncli.run.intensity_rule import explain_rule

FULL = {"uint16": 65535, "float32": 1}


def content(number, low, high, dtype, side=40):
    """Return a smooth picture with noise, from about ``low`` to about ``high``."""
    rng = np.random.default_rng(number)
    coarse = rng.random((6, 6)).astype(np.float32)
    picture = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    picture += rng.normal(0, 0.02, picture.shape)
    picture = (picture - picture.min()) / np.ptp(picture)
    return (low + picture * (high - low)).astype(dtype)


def write(root, arrays):
    for number, array in enumerate(arrays):
        path = root / "ab"[number % 2] / f"{number:03d}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, array)
    return find_samples(str(root))


def hot(value, every=1, pixels=1):
    """Return a fault: single pixels of a value in every so-many-th image."""

    def spoil(array, number):
        if number % every == 0:
            for k in range(pixels):
                array[3 + 4 * k % 36, 5 + 7 * k % 34] = value
        return array

    return spoil


def corner(*values, every=1, side=12):
    """Return a fault: a corner of a value, the next corner of the next value."""

    def spoil(array, number):
        if number % every == 0:
            array[:side, :side] = values[0]
            if len(values) > 1:
                array[-side:, -side:] = values[1]
        return array

    return spoil


def odd(value, most=2):
    """Return a fault: two images that are many times as bright as all others."""

    def spoil(array, number):
        return content(number, 0, value, array.dtype) if 5 <= number < 5 + most else array

    return spoil


FAULTS = {
    "12 bits, one hot pixel in one image": (200, 3900, "uint16", hot(65535, 40)),
    "10 bits, one hot pixel in every image": (200, 710, "uint16", hot(65535)),
    "10 bits, hot pixels": (200, 710, "uint16", hot(41234, pixels=6)),
    "10 bits, white corner": (200, 710, "uint16", corner(65535)),
    "10 bits, a few white corners": (200, 710, "uint16", corner(65535, every=9)),
    "thermal, no data is 0": (29000, 30500, "uint16", corner(0)),
    "thermal, no data is 0 and 65535": (29000, 30500, "uint16", corner(0, 65535)),
    "12 bits, two images of 16 bits": (100, 4000, "uint16", odd(65000)),
    "elevation, -9999": (120.0, 480.0, "float32", corner(-9999)),
    "elevation, -32768": (120.0, 480.0, "float32", corner(-32768)),
    "elevation, -9999 and -32768": (120.0, 480.0, "float32", corner(-9999, -32768)),
    "elevation, no data all around": (120.0, 480.0, "float32", corner(-9999, side=34)),
    "elevation, the least float": (120.0, 480.0, "float32", corner(np.finfo("f4").min)),
    "kelvin": (300.0, 300.5, "float32", hot(5000.0, 11)),
    "kelvin, clean": (300.0, 300.5, "float32", hot(300.2)),
    "millions, a small range": (1e6, 1e6 + 40, "float32", hot(1e6)),
    "metres": (0.0, 0.01, "float32", hot(0.005)),
    "metres, a hot pixel": (0.0, 0.01, "float32", hot(1.0, 10)),
    "nanometres": (0.0, 3e-9, "float32", hot(0.0)),
    "decibels": (-30.0, -5.0, "float32", hot(-9999, 7)),
    "fractions, -9999": (0.02, 0.98, "float32", corner(-9999)),
    "fractions, a hot pixel": (0.02, 0.98, "float32", hot(250.0, 10)),
    "fractions in the middle": (0.5, 0.52, "float32", hot(0.51)),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_few_values_do_not_spoil_the_range(tmp_path, name):
    low, high, dtype, spoil = FAULTS[name]
    clean = [content(number, low, high, dtype) for number in range(60)]
    samples = write(tmp_path, [spoil(array.copy(), n) for n, array in enumerate(clean)])
    survey = survey_as_read(samples, None, threads=1)
    text, (window,) = choose_intensity(None, survey)
    scale = FULL[dtype]
    p1, p99 = np.percentile(np.stack(clean).astype(float), (1, 99))
    # The content lies within the range, and uses a good part of it.
    assert window.low * scale <= p1
    assert window.high * scale >= p99
    assert (p99 - p1) > 0.2 * (window.high - window.low) * scale, text
    assert explain_rule(survey), "nothing was said"
    assert choose_intensity(text, survey) == (text, (window,))


CLEAN = {
    "12 bits": (0, 4095, "uint16", "0:4095"),
    "13 bits": (0, 8000, "uint16", "0:8191"),
    "10 bits": (200, 710, "uint16", "0:1023"),
    "14 bits": (0, 16000, "uint16", "full"),
    "16 bits": (0, 65535, "uint16", "full"),
    "8 bits": (0, 255, "uint8", "full"),
    "fractions": (0.0, 1.0, "float32", "full"),
    "reflectance": (0.01, 0.45, "float32", "full"),
}


@pytest.mark.parametrize("name", CLEAN)
def test_clean_sets_have_the_range_of_their_bits(tmp_path, name):
    low, high, dtype, text = CLEAN[name]
    samples = write(tmp_path, [content(number, low, high, dtype) for number in range(30)])
    survey = survey_as_read(samples, None, threads=1)
    assert choose_intensity(None, survey)[0] == text
    assert bool(explain_rule(survey)) == (text != "full")


def test_small_bright_objects_are_no_outliers(tmp_path):
    """A few small spots on a dark ground, as in fluorescence: they are the content."""
    arrays = []
    for number in range(30):
        array = content(number, 100, 200, "float32", side=200)
        for y, x in np.random.default_rng(number).integers(10, 190, (3, 2)):
            away = np.hypot(*np.mgrid[-y : 200 - y, -x : 200 - x])
            array += (1500 + 80 * number) * np.exp(-((away / 2) ** 2))
        arrays.append(array.astype(np.uint16))
    assert np.mean(np.stack(arrays) > 1023) < 0.002
    survey = survey_as_read(write(tmp_path, arrays), None, threads=1)
    assert choose_intensity(None, survey)[0] == "0:4095"


def test_masks_are_no_fill_values(tmp_path):
    arrays = [
        np.where(content(n, 0, 1, "float32") > 0.5, 4000, 0).astype("uint16") for n in range(9)
    ]
    survey = survey_as_read(write(tmp_path, arrays), None, threads=1)
    assert choose_intensity(None, survey)[0] == "0:4095"


def test_the_range_is_explained(tmp_path):
    arrays = [content(number, 120.0, 480.0, "float32") for number in range(20)]
    for array in arrays[:10]:
        array[:9, :9] = -9999
    (told,) = explain_rule(survey_as_read(write(tmp_path, arrays), None, threads=1))
    assert "-9999 is far from all other values, probably no data" in told
    assert "10 of 20 images looked at have values beyond" in told


@pytest.mark.parametrize("place", [3, 48])
def test_an_8_bit_file_among_12_bit_ones_keeps_its_own_scale(tmp_path, place):
    """Whether it is among the images looked at (3) or not (48 of 110)."""
    arrays = [content(number, 0, 4095, "uint16") for number in range(110)]
    arrays[place] = content(place, 0, 255, "uint8")
    samples = write(tmp_path, arrays)
    survey = survey_as_read(samples, None, threads=1)
    text, ranges = choose_intensity(None, survey)
    assert text == "0:4095"
    preprocess = choose_preprocess(survey, Channels((1,)), ranges, (40, 40))
    np.testing.assert_allclose(
        preprocess(
            samples.source.read(samples.paths.tolist().index(f"{'ab'[place % 2]}/{place:03d}.npy"))
        )[..., 0],
        arrays[place] / np.float32(255),
        atol=1e-6,
    )


def test_a_range_meant_for_8_bits_is_used_for_them(tmp_path):
    array = content(1, 0, 255, "uint8")
    survey = survey_as_read(write(tmp_path, [array, array]), "20:30", threads=1)
    _, ranges = choose_intensity("20:30", survey)
    made = choose_preprocess(survey, Channels((1,)), ranges, (40, 40))([npy(array)])
    np.testing.assert_allclose(made[..., 0], np.clip((array - 20.0) / 10, 0, 1), atol=1e-5)


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()
