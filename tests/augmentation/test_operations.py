"""Every word on every kind of image, against numpy and OpenCV."""

import math

import cv2
import numpy as np
import pytest

from cnncli.augmentation.build import build_augment, build_operations
from cnncli.augmentation.notation import parse_augment
from cnncli.augmentation.operations import Form
from cnncli.augmentation.words import LEVELS, WORDS

DTYPES = ("uint8", "float32")
TEXTS = {name: name for name in (*WORDS, *LEVELS)}
TEXTS["affine"] = "affine translate=0.1 scale=0.2 rotate=20 shear=10"


def noise(shape=(24, 24, 1), dtype="float32", seed=0):
    values = np.random.default_rng(seed).random(shape, dtype=np.float32)
    return values if dtype == "float32" else np.rint(values * 255).astype(np.uint8)


def smooth(height=64, width=64, channels=1):
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [
        0.5 + 0.4 * np.sin(9 * columns + k) * np.cos(7 * rows - 0.3 * k) for k in range(channels)
    ]
    return np.stack(waves, axis=2).astype(np.float32)


def force(text, image, state=0):
    """Return the picture that the one step of a text draws for certain."""
    (operation,) = build_operations(parse_augment(text), Form.of(image))
    return operation(image.copy(), state, force=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", TEXTS)
def test_every_word_keeps_the_form_of_every_image(name, channels, dtype):
    wanted = WORDS[name].channels if name in WORDS else None
    if wanted not in (None, channels):
        pytest.skip(f"{name} works on {wanted} channels; that it says so is tested elsewhere")
    augment = build_augment(TEXTS[name])
    image = noise((20, 20, channels), dtype)
    before, changed = image.copy(), 0
    for index in range(12):
        got = augment(image, 0, 1, index)
        assert (got.shape, got.dtype) == (image.shape, image.dtype)
        assert got.flags.c_contiguous
        assert np.isfinite(got).all()
        if dtype == "float32":
            assert got.min() >= 0
            assert got.max() <= 1
        changed += not np.array_equal(got, image)
    assert changed >= 2
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("name", [n for n in TEXTS if n not in ("noise", "strong", "medical")])
def test_depth_does_not_change_what_is_drawn(name):
    """The same picture in 8 bits and as fractions is changed alike, to a few levels."""
    image = np.rint(smooth(64, 64, 3) * 255).astype(np.uint8)
    augment = build_augment(TEXTS[name])
    for index in range(6):
        eight = augment(image, 0, 1, index).astype(float) / 255
        fractions = augment(image.astype(np.float32) / 255, 0, 1, index)
        # The lightness that CLAHE works on is itself rounded to 8 bits.
        assert np.abs(eight - fractions).mean() < (0.02 if name == "clahe" else 0.006)


def test_fractions_keep_more_than_8_bits():
    image = noise((32, 32, 3))
    for name, word in WORDS.items():
        if word.channels in (None, 3):
            levels = force(TEXTS[name], image) * 255
            assert np.abs(levels - np.rint(levels)).max() > 0.01, name


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("dtype", DTYPES)
def test_mirrors_are_numpys(channels, dtype):
    image = noise((12, 17, channels), dtype)
    np.testing.assert_array_equal(force("hflip", image), image[:, ::-1])
    np.testing.assert_array_equal(force("vflip", image), image[::-1])
    square = noise((12, 12, channels), dtype)
    turned = [np.rot90(square, turns).tobytes() for turns in range(4)]
    seen = {turned.index(force("rot90", square, state).tobytes()) for state in range(40)}
    assert seen == {0, 1, 2, 3}


@pytest.mark.parametrize("border", ["reflect", "edge", "black"])
def test_translate_moves_by_whole_pixels(border):
    image = noise((30, 40, 2), "uint8")
    moves = set()
    for state in range(25):
        got = force(f"translate 0.2 border={border}", image, state)
        offsets = [
            (dy, dx)
            for dy in range(-6, 7)
            for dx in range(-8, 9)
            if np.array_equal(
                got[max(0, dy) : 30 + min(0, dy), max(0, dx) : 40 + min(0, dx)],
                np.roll(image, (dy, dx), (0, 1))[
                    max(0, dy) : 30 + min(0, dy), max(0, dx) : 40 + min(0, dx)
                ],
            )
        ]
        assert len(offsets) == 1
        ((dy, dx),) = offsets
        moves.add((dy, dx))
        width = ((max(0, dy), max(0, -dy)), (max(0, dx), max(0, -dx)), (0, 0))
        mode = {"reflect": "reflect", "edge": "edge", "black": "constant"}[border]
        padded = np.pad(image, width, mode)
        top, left = max(0, -dy), max(0, -dx)
        np.testing.assert_array_equal(got, padded[top : top + 30, left : left + 40])
    assert len(moves) > 15


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_rotate_and_scale_are_opencvs_about_the_middle(channels):
    image = smooth(60, 80, channels)
    middle = ((80 - 1) / 2, (60 - 1) / 2)
    for text, angle, scale in (
        ("rotate 30:30", 30, 1),
        ("scale 1.5:1.5", 0, 1.5),
        ("affine rotate=-20:-20 scale=0.7:0.7", -20, 0.7),
    ):
        matrix = cv2.getRotationMatrix2D(middle, angle, scale)
        expected = cv2.warpAffine(image, matrix, (80, 60), borderMode=cv2.BORDER_REFLECT_101)
        got = force(text, image)
        np.testing.assert_allclose(got, expected.reshape(image.shape), atol=0.02)


def test_shear_slants_by_the_tangent():
    image = np.zeros((81, 81, 1), np.uint8)
    image[:, 40] = 255  # a line that stands upright
    got = force("shear 20:20 border=black", image)[..., 0]
    rows = np.array([20, 60])
    columns = np.arange(81)
    at = [(columns * got[row].astype(float)).sum() / got[row].sum() for row in rows]
    # Along x a row moves by tan(20°) of its height; the shear along y moves a point of the line
    # along the line itself.
    slope = (at[1] - at[0]) / (rows[1] - rows[0])
    assert abs(slope) == pytest.approx(math.tan(math.radians(20)), rel=0.15)


def test_aspect_keeps_or_frees_the_ratio():
    image = np.zeros((101, 101, 1), np.uint8)
    cv2.circle(image, (50, 50), 20, 255, -1)
    for aspect, same in (("keep", True), ("free", False)):
        ratios = []
        for state in range(12):
            got = force(f"scale 0.3 aspect={aspect}", image, state)[..., 0] > 127
            ratios.append(got.any(0).sum() / got.any(1).sum())
        assert (np.ptp(ratios) < 0.08) == same


def test_elastic_displaces_by_its_standard_deviation():
    """A ramp's value is its place: what a picture of two ramps shows is where it came from."""
    side = 96
    columns, rows = np.meshgrid(np.arange(side), np.arange(side))
    image = np.stack([columns, rows], axis=2).astype(np.float32) / (side - 1)
    fields = []
    for state in range(80):
        moved = force("elastic 0.02 border=edge", image, state)
        fields.append((moved - image)[side // 2, side // 2] * (side - 1))
    # In the middle of a 3×3 grid stands the grid's own value, near enough.
    spread = np.std(fields, axis=0) / side
    np.testing.assert_allclose(spread, 0.02, rtol=0.25)
    assert np.abs(np.corrcoef(np.transpose(fields))[0, 1]) < 0.3  # x and y each by itself


def test_elastic_bends_all_channels_alike():
    image = np.repeat(noise((40, 40, 1)), 6, axis=2)
    got = force("elastic 0.05 cells=5", image)
    assert not np.array_equal(got, image)
    np.testing.assert_array_equal(got, np.repeat(got[..., :1], 6, axis=2))


@pytest.mark.parametrize("shape", [(50, 50), (40, 80)])
def test_crop_enlarges_a_part_of_the_same_shape(shape):
    height, width = shape
    columns, rows = np.meshgrid(np.arange(width) / width, np.arange(height) / height)
    image = np.stack([columns, rows], axis=2).astype(np.float32)
    for state in range(10):
        got = force("crop 0.25:0.5 ratio=1:1", image, state)
        share = np.ptp(got[..., 0]) * np.ptp(got[..., 1])
        assert 0.2 < share < 0.55
        assert np.ptp(got[..., 0]) == pytest.approx(np.ptp(got[..., 1]), abs=0.06)


def test_grid_keeps_rows_and_columns_in_order():
    columns, rows = np.meshgrid(np.arange(60), np.arange(60))
    image = np.stack([columns, rows], axis=2).astype(np.float32) / 59
    got = force("grid 0.5 border=edge", image, 3)
    assert np.abs(got - image).max() > 0.03
    assert (np.diff(got[..., 0], axis=1) >= -1e-6).all()
    assert (np.diff(got[..., 1], axis=0) >= -1e-6).all()


def test_blur_is_a_gaussian():
    image = np.zeros((61, 61, 1), np.float32)
    image[30, 30] = 1
    for sigma in (1, 2.5):
        got = force(f"blur {sigma}", image)[..., 0]
        offset = np.arange(61) - 30
        variance = (got.sum(0) * offset**2).sum() / got.sum()
        assert variance == pytest.approx(sigma**2, rel=0.1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_noise_has_its_standard_deviation(dtype):
    image = np.full((80, 80, 3), 128 if dtype == "uint8" else 0.5, dtype)
    got = force("noise 0.05", image).astype(float) - image
    got = got / 255 if dtype == "uint8" else got
    assert got.std() == pytest.approx(0.05, rel=0.05)
    assert abs(got.mean()) < 0.005
    assert np.abs(np.corrcoef(got.reshape(-1, 3).T)[0, 1]) < 0.1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_tones_are_their_formulas(channels, dtype):
    image = noise((20, 24, channels), dtype)
    x = image.astype(np.float64) / (255 if dtype == "uint8" else 1)
    mean = x.mean()
    for text, expected in (
        ("brightness 0.2:0.2", x + 0.2),
        ("brightness -0.3:-0.3", x - 0.3),
        ("contrast 1.5:1.5", mean + 1.5 * (x - mean)),
        ("contrast 0:0", np.full_like(x, mean)),
        ("gamma 2:2", x**2),
        # Contrast falls so that nothing is cut: 0.8·x + 0.2; and never below black.
        ("brightness_contrast 0.2:0.2", 0.2 + np.minimum(1.2, 0.8) * x),
        ("brightness_contrast -0.2:-0.2", 0.8 * x),
    ):
        got = np.clip(force(text, image), 0, None).astype(np.float64)
        got = np.clip(got / (255 if dtype == "uint8" else 1), 0, 1)
        tolerance = 1.01 / 255 if dtype == "uint8" else 1e-5
        np.testing.assert_allclose(got, np.clip(expected, 0, 1), atol=tolerance, err_msg=text)


def test_saturation_and_hue():
    image = smooth(20, 20, 3)
    grey = force("saturation 0:0", image)
    luma = image @ np.array([0.299, 0.587, 0.114], np.float32)
    np.testing.assert_allclose(grey, np.dstack([luma] * 3), atol=2e-3)
    red = np.zeros((4, 4, 3), np.float32)
    red[..., 0] = 1
    third = force("hue 0.3333:0.3333", red)[0, 0]
    np.testing.assert_allclose(third, (0, 1, 0), atol=0.01)


def test_clahe_is_opencvs_of_each_channel_or_of_lightness():
    table = cv2.createCLAHE(clipLimit=2, tileGridSize=(4, 4))
    for channels in (1, 2, 4):
        image = noise((32, 32, channels), "uint8")
        expected = np.dstack([table.apply(image[..., c]) for c in range(channels)])
        np.testing.assert_array_equal(force("clahe 2 tiles=4", image), expected)
    colour = np.rint(smooth(32, 32, 3) * 255).astype(np.uint8)
    lab = cv2.cvtColor(colour, cv2.COLOR_RGB2LAB)
    lab[..., 0] = table.apply(lab[..., 0])
    expected = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    np.testing.assert_array_equal(force("clahe 2 tiles=4", colour), expected)


@pytest.mark.parametrize("size", [(64, 64), (60, 90), (61, 87), (5, 7)])
@pytest.mark.parametrize("limit", [1, 2.5, 40])
def test_clahe_of_fractions_is_opencvs_of_8_bits(size, limit):
    image = np.rint(smooth(*size, 1) ** 2 * 255).astype(np.uint8)
    image = np.maximum(image, noise((*size, 1), "uint8") // 8)
    expected = force(f"clahe {limit}", image).astype(float)
    got = force(f"clahe {limit}", image.astype(np.float32) / 255) * 255
    # OpenCV rounds each tile's map to 8 bits.
    assert np.abs(got - expected).max() < 3
    assert np.abs(got - expected).mean() < 0.6


@pytest.mark.parametrize("dtype", DTYPES)
def test_dropout_erases_rectangles_of_the_size(dtype):
    image = np.full((50, 100, 2), 200 if dtype == "uint8" else 0.8, dtype)
    fill = np.asarray(0.4 * (255 if dtype == "uint8" else 1), dtype)
    for state in range(8):
        got = force("dropout 0.2 holes=1 fill=0.4", image, state)
        hole = (got == fill).all(axis=2)
        assert hole.sum() == 10 * 20  # a fifth of height and of width
        assert hole.any(1).sum() == 10
    assert (force("dropout 1 holes=1", image)[:-1, :-1] == 0).all()


@pytest.mark.parametrize("name", WORDS)
def test_p_is_the_probability(name):
    image = noise((16, 16, 3), "uint8")
    text = TEXTS[name]
    for p, low, high in ((0, 0, 0), (0.3, 0.18, 0.42), (1, 0.7, 1)):
        augment = build_augment(f"{text} p={p}")
        changed = [not np.array_equal(augment(image, 0, 1, n), image) for n in range(150)]
        # A quarter of rot90's turns, and a hue or a shift that rounds to none, change nothing.
        scale = 0.75 if name == "rot90" else 1
        assert low * scale * 0.8 <= np.mean(changed) <= high
