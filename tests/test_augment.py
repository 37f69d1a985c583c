"""Random augmentation: the same for the same (seed, epoch, index), wherever and whenever."""

import multiprocessing
import random

import numpy as np
import pytest

from cnncli.images.augment import build_augment

LEVELS = ("light", "medium", "strong")
KEYS = [(0, 1, 0), (0, 1, 1), (0, 2, 0), (1, 1, 0), (2**31, 7, 123456)]


def draw(side=48, channels=3):
    return np.random.default_rng(0).integers(0, 256, (side, side, channels), dtype=np.uint8)


def augment_all(level):
    augment = build_augment(level)
    return [augment(draw(), *key).tobytes() for key in KEYS]


def test_none_is_none():
    assert build_augment("none") is None


@pytest.mark.parametrize("level", LEVELS)
def test_what_was_drawn_before_does_not_matter(level):
    augment, image = build_augment(level), draw()
    first = [augment(image, *key) for key in KEYS]
    np.random.seed(5)
    random.seed(5)
    for index in range(10):
        augment(image, 9, 9, index)
    again = [build_augment(level)(image, *key) for key in reversed(KEYS)][::-1]
    np.testing.assert_array_equal(first, again)


def test_another_process_draws_the_same():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.map(augment_all, LEVELS)
    assert there == [augment_all(level) for level in LEVELS]


@pytest.mark.parametrize("level", LEVELS)
def test_seed_epoch_and_index_each_matter(level):
    augment, image = build_augment(level), draw()
    for place in range(3):
        keys = [tuple(n if p == place else 3 for p in range(3)) for n in range(60)]
        pictures = [augment(image, *key).tobytes() for key in keys]
        changed = [picture for picture in pictures if picture != image.tobytes()]
        assert len(changed) >= 40  # light leaves 0.5 × 0.7 × 0.5 = 18 % alone, the others fewer
        assert len(set(changed)) >= 0.75 * len(changed)  # those that are only mirrored coincide


def test_the_steps_of_a_pipeline_draw_independently():
    # A dark ramp with a bright half: mirrored or not, and lit or not, can be read off it.
    augment, image = build_augment("medium"), np.full((32, 32, 1), 60, np.uint8)
    image[:, 16:] = 180
    seen = set()
    for index in range(80):
        got = augment(image, 0, 1, index)
        mirrored = got[:, :8].mean() > got[:, -8:].mean()
        lit = not set(np.unique(got)) <= set(range(60, 181)) or got.max() != 180 or got.min() != 60
        seen.add((bool(mirrored), bool(lit)))
    assert len(seen) == 4


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 28, 112, 224])
def test_shape_and_dtype_are_kept_and_the_input_too(level, channels, side):
    augment, image = build_augment(level), draw(side, channels)
    before = image.copy()
    for index in range(25):
        got = augment(image, 0, 1, index)
        assert got.shape == image.shape
        assert got.dtype == np.uint8
    np.testing.assert_array_equal(image, before)


def corner_of_mass(image):
    rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]]
    weights = image[..., 0].astype(float)
    return (rows * weights).sum() / weights.sum(), (columns * weights).sum() / weights.sum()


def test_light_never_mirrors_and_the_others_do():
    # A bright triangle in the upper left corner: moved and turned a little, it stays there.
    image = np.zeros((64, 64, 1), np.uint8)
    rows, columns = np.mgrid[0:64, 0:64]
    image[(rows + columns < 40) & (rows > 8) & (columns > 8)] = 255
    places = {
        level: np.array([corner_of_mass(build_augment(level)(image, 0, 1, n)) for n in range(150)])
        for level in LEVELS
    }
    assert (places["light"] < 32).all()
    mirrored = places["medium"][:, 1] > 32
    assert 45 < mirrored.sum() < 105
    assert (places["medium"][:, 0] < 32).all()
    assert (places["strong"][:, 0] > 40).any()


def test_light_moves_by_whole_pixels_or_a_little_else():
    augment = build_augment("light")
    image = draw(32)
    changes = [np.abs(augment(image, 0, 1, n).astype(int) - image).mean() for n in range(60)]
    assert min(changes) == 0
    assert max(changes) > 1
