"""Random augmentation: the same for the same (seed, epoch, index), wherever and whenever."""

import hashlib
import random
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from cnncli.augmentation.build import build_augment
from cnncli.augmentation.classes import import_albumentations
from cnncli.augmentation.notation import parse_augment
from cnncli.data.loader import Loader, SplitDataset
from cnncli.data.store import ImageStore
from cnncli.images.preprocess import Preprocess

LEVELS = ("light", "medium", "strong", "medical")
KEYS = [(0, 1, 0), (0, 1, 1), (0, 2, 0), (1, 1, 0), (2**31, 7, 123456)]


def draw(side=48, channels=3):
    return np.random.default_rng(0).integers(0, 256, (side, side, channels), dtype=np.uint8)


def augmented_digest(level):
    augment = build_augment(level)
    return hashlib.sha256(b"".join(augment(draw(), *key).tobytes() for key in KEYS)).hexdigest()


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
    code = (
        "import runpy, sys\n"
        "test = runpy.run_path(sys.argv[1])\n"
        "print(*map(test['augmented_digest'], test['LEVELS']))\n"
    )
    there = subprocess.run(
        [sys.executable, "-c", code, __file__],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert there.stdout.split() == [augmented_digest(level) for level in LEVELS]


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


def tuned(level):
    """Return a level's pipeline as it was tuned, in Albumentations' own words."""
    library = import_albumentations()

    def shift(amount, p):
        return library.Affine(
            translate_percent=(-amount, amount),
            interpolation=cv2.INTER_NEAREST,
            border_mode=cv2.BORDER_REFLECT_101,
            p=p,
        )

    def affine(amount, scale, angle, p):
        return library.Affine(
            translate_percent=(-amount, amount),
            scale=(1 - scale, 1 + scale),
            rotate=(-angle, angle),
            border_mode=cv2.BORDER_REFLECT_101,
            p=p,
        )

    def light(amount, p):
        return library.RandomBrightnessContrast(
            brightness_limit=amount, contrast_limit=amount, p=p, ensure_safe_range=True
        )

    sides = (0.1, 0.25)
    steps = {
        "light": [shift(0.08, 0.5), affine(0.08, 0.1, 10, 0.3), light(0.1, 0.5)],
        "medium": [
            library.HorizontalFlip(p=0.5),
            shift(0.1, 0.5),
            affine(0.1, 0.2, 15, 0.5),
            light(0.2, 0.5),
        ],
        "strong": [
            library.HorizontalFlip(p=0.5),
            library.VerticalFlip(p=0.5),
            affine(0.15, 0.3, 30, 0.7),
            light(0.4, 0.7),
            library.GaussianBlur(p=0.2),
            library.GaussNoise(std_range=(0.02, 0.08), p=0.2),
            library.CoarseDropout(hole_height_range=sides, hole_width_range=sides, p=0.4),
        ],
    }
    return library.Compose(steps[level])


@pytest.mark.parametrize("level", ["light", "medium", "strong"])
@pytest.mark.parametrize("shape", [(48, 48, 1), (40, 64, 3)])
def test_levels_are_bit_by_bit_as_they_were_tuned(level, shape):
    image = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    pipeline, augment = tuned(level), build_augment(level)
    for key in [(0, 1, index) for index in range(60)]:
        seeds = np.random.SeedSequence(key).generate_state(len(pipeline)).tolist()
        for step, seed in zip(pipeline, seeds, strict=True):
            step.set_random_seed(seed)
        expected = pipeline(image=image)["image"]
        np.testing.assert_array_equal(augment(image, *key), expected)


EVERYTHING = "strong; medical; shear; scale; grid; crop; clahe; GaussNoise p=0.3; MedianBlur"


@pytest.mark.parametrize(
    ("text", "channels", "dtype"),
    [
        ("light", 1, "uint8"),
        (EVERYTHING, 3, "uint8"),
        ("strong; elastic; clahe; Sharpen", 2, "float32"),
        ("hflip; medical; UnsharpMask", 4, "float32"),
    ],
)
def test_streams_are_the_same_for_0_2_and_persistent_workers(text, channels, dtype):
    images = torch.rand((14, 20, 20, channels))
    images = images if dtype == "float32" else (images * 255).to(torch.uint8)
    store = ImageStore(None, Preprocess(20, 20, channels, dtype=dtype), images)
    targets = np.arange(14)

    def build_loader(workers):
        augment = build_augment(parse_augment(text))
        dataset = SplitDataset(store, np.arange(14), targets, augment=augment, seed=5)
        loader = Loader(dataset, 4, shuffle_seed=5, workers=workers, start_method="fork")
        assert loader._loader.persistent_workers == (workers > 0)
        return loader

    def stream(workers, *, persistent=True):
        loader, epochs = build_loader(workers), []
        for epoch in (1, 2, 3):
            loader = loader if persistent else build_loader(workers)
            found = np.zeros_like(images.numpy())
            for pictures, numbers in loader.epoch(epoch):
                found[numbers.numpy()] = pictures.numpy()
            epochs.append(found)
        return np.stack(epochs)

    before = images.clone()
    alone = stream(0)
    assert alone.dtype == dtype
    np.testing.assert_array_equal(stream(2), alone)
    np.testing.assert_array_equal(stream(2, persistent=False), alone)
    assert torch.equal(images, before)
    different = [len({alone[epoch, n].tobytes() for epoch in range(3)}) for n in range(14)]
    assert np.mean(different) > 2  # an epoch may leave an image alone


def test_images_of_one_content_are_drawn_differently():
    augment = build_augment("medium")
    assert len({augment(draw(), 0, 1, index).tobytes() for index in range(30)}) > 20


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
    assert (places["medical"] < 32).all()
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
