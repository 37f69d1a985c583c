"""Channels, intensities and reduced decoding: chosen once by the data, from images of all kinds."""

import io

import cv2
import numpy as np
import pytest
from helpers import SHARED_DATA
from PIL import Image

from cnncli.choices import IntensityRule, parse_intensity
from cnncli.data.find_samples import find_samples
from cnncli.data.survey import ImageSurvey, survey_images
from cnncli.errors import CnncliError
from cnncli.images.decode import decode
from cnncli.images.intensity import IntensityRange
from cnncli.images.preprocess import Preprocess
from cnncli.run.choose_preprocess import Channels, choose_channels, choose_intensity

RNG = np.random.default_rng(0)


def write_set(root, arrays, ending=".npy"):
    """Write arrays as two classes of images; return the samples."""
    for number, array in enumerate(arrays):
        path = root / "ab"[number % 2] / f"{number:02d}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if ending == ".npy":
            np.save(path, array)
        else:
            path.write_bytes(cv2.imencode(ending, array)[1].tobytes())
    return find_samples(str(root))


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_channels_of_more_kinds_of_light_count(tmp_path, channels):
    arrays = [RNG.integers(0, 255, (9, 8, channels), dtype=np.uint8) for _ in range(6)]
    assert survey_images(write_set(tmp_path, arrays), threads=1).files == (channels,)


def test_alpha_never_counts(tmp_path):
    arrays = [RNG.integers(0, 255, (9, 8, 4), dtype=np.uint8) for _ in range(6)]
    survey = survey_images(write_set(tmp_path, arrays, ".png"), threads=1)
    assert (survey.files, survey.alpha) == ((3,), True)


def test_the_deepest_type_counts(tmp_path):
    arrays = [np.full((9, 8), 3, np.uint8) for _ in range(5)]
    assert survey_images(write_set(tmp_path / "8", arrays), threads=1).dtype == "uint8"
    arrays[1] = arrays[1].astype(np.uint16)
    assert survey_images(write_set(tmp_path / "16", arrays), threads=1).dtype == "uint16"
    arrays[2] = arrays[2].astype(np.float64)
    assert survey_images(write_set(tmp_path / "f", arrays), threads=1).dtype == "float32"


@pytest.mark.parametrize(
    ("given", "expected", "survey", "chosen"),
    [
        (None, None, ImageSurvey((9, 9), (1,)), Channels((1,))),
        (None, None, ImageSurvey((9, 9), (3,), alpha=True), Channels((3,))),
        (None, 3, ImageSurvey((9, 9), (1,)), Channels((3,))),
        (
            None,
            3,
            ImageSurvey((9, 9), (4,)),
            Channels((4,)),
        ),  # no weights know these: the stem adapts
        (None, 3, ImageSurvey((9, 9), (1, 1)), Channels((1, 1))),
        (1, 3, ImageSurvey((9, 9), (3,)), Channels((1,))),
        (3, None, ImageSurvey((9, 9), (1,)), Channels((3,))),
        (4, None, ImageSurvey((9, 9), (3,), alpha=True), Channels((4,), alpha=True)),
        (4, None, ImageSurvey((9, 9), (1,), alpha=True), Channels((4,), alpha=True)),
        (2, None, ImageSurvey((9, 9), (1,), alpha=True), Channels((2,), alpha=True)),
        (5, None, ImageSurvey((9, 9), (5,)), Channels((5,))),
        (4, None, ImageSurvey((9, 9), (3, 1)), Channels((3, 1))),
        (2, None, ImageSurvey((9, 9), (3, 1)), Channels((1, 1))),
        (6, None, ImageSurvey((9, 9), (1, 1)), Channels((3, 3))),
    ],
)
def test_channels_chosen(given, expected, survey, chosen):
    assert choose_channels(given, expected, survey) == chosen


@pytest.mark.parametrize(
    ("given", "survey", "said"),
    [
        (4, ImageSurvey((9, 9), (3,)), "the images have 3 channels and no alpha"),
        (2, ImageSurvey((9, 9), (5,)), "5 channels and no alpha"),
        (5, ImageSurvey((9, 9), (3,), alpha=True), "3 channels, alpha not counted"),
        (4, ImageSurvey((9, 9), (1, 1)), r"2 channels \(1 \+ 1 of 2 files\) and no alpha"),
    ],
)
def test_channels_refused(given, survey, said):
    with pytest.raises(CnncliError, match=f"--in-channels {given}: .*{said}"):
        choose_channels(given, None, survey)


def test_windows_are_read():
    assert parse_intensity("full") == (IntensityRule("full"),)
    assert parse_intensity("-1000:400, p1:p99.5") == (
        IntensityRule("values", -1000, 400),
        IntensityRule("percentiles", 1, 99.5),
    )
    for bad in ("", "a:b", "5:5", "9:1", "p1:99", "p-1:p50", "p1:p101", "1:2:3", "nan:1", "1:inf"):
        with pytest.raises(CnncliError, match=r"^intensity: "):
            parse_intensity(bad)


def survey_of(values, dtype):
    return ImageSurvey((9, 9), (1,), dtype=dtype, values=(np.sort(np.asarray(values, float)),))


@pytest.mark.parametrize(
    ("survey", "text", "windows"),
    [
        (ImageSurvey((9, 9), (1,)), "full", ()),
        (survey_of([0, 0.5, 1], "uint16"), "full", ()),
        (survey_of([0, 4000 / 65535], "uint16"), "0:4095", (IntensityRange(0, 4095 / 65535),)),
        (survey_of([0, 255 / 65535], "uint16"), "0:255", (IntensityRange(0, 255 / 65535),)),
        (survey_of([0, 16384 / 65535], "uint16"), "full", ()),
        (survey_of([0, 0.2, 1], "float32"), "full", ()),
        (
            survey_of(np.linspace(-1000, 1000, 2001), "float32"),
            "-998:998",
            (IntensityRange(-998, 998, "value"),),
        ),
    ],
)
def test_windows_the_data_choose(survey, text, windows):
    assert choose_intensity(None, survey) == (text, windows)
    # What stands in config.yaml gives the same again.
    assert choose_intensity(text, survey) == (text, windows)


def test_windows_the_user_chooses():
    deep = survey_of([0, 0.25, 0.5, 0.75, 1], "uint16")
    assert choose_intensity("0:1000", deep)[1] == (IntensityRange(0, 1000 / 65535),)
    text, (window,) = choose_intensity("p25:p75", deep)
    assert text == "16384:49151"
    np.testing.assert_allclose([window.low, window.high], [0.25, 0.75], atol=1e-5)
    assert choose_intensity("20:200", ImageSurvey((9, 9), (1,)))[1] == (
        IntensityRange(20 / 255, 200 / 255),
    )
    pair = ImageSurvey(
        (9, 9), (1, 1), dtype="float32", values=(np.array([0.0, 9.0]), np.array([0.0, 1]))
    )
    assert choose_intensity("0:5,full", pair) == (
        "0:5,full",
        (IntensityRange(0, 5, "value"), IntensityRange(0, 1)),
    )
    with pytest.raises(CnncliError, match="2 windows, but a sample is 1 file"):
        choose_intensity("0:1,0:2", deep)
    with pytest.raises(CnncliError, match="both percentiles are 7"):
        choose_intensity("p1:p99", survey_of([7, 7, 7], "float32"))


@pytest.mark.parametrize("text", ["0:1234567", "-0.123456789:1e+06", "0:4095", "1e-05:0.5"])
def test_the_text_of_a_choice_gives_the_same_choice(text):
    floats = survey_of([-5, 2e6], "float32")
    told, ranges = choose_intensity(text, floats)
    assert told == text
    assert choose_intensity(told, floats) == (told, ranges)
    assert (ranges[0].low, ranges[0].high) == tuple(map(float, text.split(":")))


def test_percentiles_of_8_bits_are_those_of_the_images(tmp_path):
    arrays = [RNG.integers(100, 150, (40, 40), dtype=np.uint8) for _ in range(6)]
    survey = survey_images(write_set(tmp_path, arrays, ".png"), threads=1)
    low, high = (round(v) for v in np.percentile(arrays, (10, 90)))
    text, (window,) = choose_intensity("p10:p90", survey)
    assert text == f"{low}:{high}"
    np.testing.assert_allclose([window.low, window.high], [low / 255, high / 255])


@pytest.mark.parametrize("mode", ["squash", "pad", "crop"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_decoded_small_and_looks_the_same(mode, orientation):
    ramp = np.linspace(0, 1, 1200)
    picture = np.stack([np.outer(ramp[:800], ramp), np.outer(1 - ramp[:800], ramp)], -1)
    picture = np.concatenate([picture, picture[..., :1] ** 2], axis=2)
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray((picture * 255).astype(np.uint8)).save(file, "JPEG", quality=95, exif=exif)
    data = file.getvalue()
    for size in ((100, 100), (60, 140)):
        exact = Preprocess(*size, 3, resize_mode=mode, exact_decode=True)((data,))
        fast = Preprocess(*size, 3, resize_mode=mode)((data,))
        # Half a reduced pixel may be cut elsewhere: on this ramp, about a level or two.
        assert np.abs(exact.astype(int) - fast.astype(int)).mean() < 1
    assert decode(data, reduction=8).shape[:2] == ((150, 100) if orientation == 6 else (100, 150))


def test_a_jpeg_is_never_enlarged_for_it():
    file = io.BytesIO()
    noise = RNG.integers(0, 255, (200, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "JPEG", quality=95)
    for size in ((101, 10), (10, 151)):  # more than half of one side
        exact = Preprocess(*size, 3, exact_decode=True)((file.getvalue(),))
        np.testing.assert_array_equal(exact, Preprocess(*size, 3)((file.getvalue(),)))
    for way in ("bilinear", "bicubic"):  # as pretrained weights saw their images
        weights = Preprocess(20, 20, 3, interpolation=way)
        exact = Preprocess(20, 20, 3, interpolation=way, exact_decode=True)
        np.testing.assert_array_equal(weights((file.getvalue(),)), exact((file.getvalue(),)))


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="no real images beside the project")
def test_real_jpegs_differ_by_a_level_or_two():
    for path in sorted((SHARED_DATA / "defects" / "crazing").glob("*.jpg"))[:5]:
        data = path.read_bytes()
        exact = Preprocess(112, 112, 1, exact_decode=True)((data,)).astype(float)
        fast = Preprocess(112, 112, 1)((data,)).astype(float)
        assert 0 < np.abs(exact - fast).mean() < 3
