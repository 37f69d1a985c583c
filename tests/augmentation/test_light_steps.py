"""The words that are computed without Albumentations, against Albumentations, bit by bit."""

import cv2
import fresh_process
import numpy as np
import pytest

from cnncli.augmentation.build import build_operations
from cnncli.augmentation.classes import import_albumentations
from cnncli.augmentation.light_steps import build_light_step
from cnncli.augmentation.notation import parse_augment
from cnncli.augmentation.operations import Form
from cnncli.augmentation.words import LEVELS

BORDERS = {
    "reflect": cv2.BORDER_REFLECT_101,
    "edge": cv2.BORDER_REPLICATE,
    "black": cv2.BORDER_CONSTANT,
}


def affine(found, **more):
    """Build Albumentations' transform of the arguments of the word ``affine``."""
    library = import_albumentations()
    move = tuple(found.get("translate", (0, 0)))
    return library.Affine(
        translate_percent={"x": move, "y": move},
        scale=tuple(found.get("scale", (1, 1))),
        rotate=tuple(found.get("rotate", (0, 0))),
        shear=tuple(found.get("shear", (0, 0))),
        keep_ratio=found.get("aspect", "keep") == "keep",
        border_mode=BORDERS[found["border"]],
        p=found["p"],
        **more,
    )


def tone(found, contrast, **more):
    library = import_albumentations()
    amount = tuple(found["amount"])
    return library.RandomBrightnessContrast(amount, contrast or amount, p=found["p"], **more)


REFERENCES = {
    "hflip": lambda found: import_albumentations().HorizontalFlip(p=found["p"]),
    "vflip": lambda found: import_albumentations().VerticalFlip(p=found["p"]),
    "translate": lambda found: affine(
        {**found, "translate": found["amount"]}, interpolation=cv2.INTER_NEAREST
    ),
    "rotate": lambda found: affine({**found, "rotate": found["angle"]}),
    "scale": lambda found: affine({**found, "scale": found["factor"]}),
    "shear": lambda found: affine({**found, "shear": found["angle"]}),
    "affine": affine,
    "brightness": lambda found: tone(found, (0, 0)),
    "brightness_contrast": lambda found: tone(found, None, ensure_safe_range=True),
}
TEXTS = (
    "hflip",
    "vflip p=1",
    "translate 0.08",
    "translate 0:0.3 border=black p=0.7",
    "rotate 15",
    "rotate 0:0",
    "scale 0.5:1.8 border=edge",
    "scale 0.2 aspect=free",
    "shear 20",
    "affine translate=0.08 scale=0.1 aspect=free rotate=10 p=0.3",
    "affine translate=0.1 scale=0.2 rotate=170 shear=10 border=black p=1",
    "affine translate=0.00001 scale=0.000001 rotate=0.0001",
    "brightness 0.3",
    "brightness_contrast 0.1",
    "brightness_contrast 0.9:1 p=1",
    "hflip p=0",
)


@pytest.mark.parametrize("shape", [(28, 28, 1), (20, 31, 3)])
@pytest.mark.parametrize("text", TEXTS)
def test_each_word_is_albumentations_bit_by_bit(text, shape):
    ((name, arguments),) = parse_augment(text)[0].items()
    reference = REFERENCES[name](arguments)
    levels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for image in (levels, levels.astype(np.float32) / np.float32(255)):
        (operation,) = build_operations([{name: arguments}], Form.of(image))
        for state in range(8):
            for force in (False, True):
                reference.set_random_seed(state * 7_919)
                expected = reference(image=image.copy(), force_apply=force)["image"]
                got = operation(image.copy(), state * 7_919, force=force)
                np.testing.assert_array_equal(got, expected.reshape(shape))
                assert got.dtype == image.dtype
                assert got.flags.c_contiguous


@pytest.mark.parametrize("channels", [2, 4, 5, 6, 7, 9])
def test_any_number_of_channels_is_warped_in_the_same_groups(channels):
    """OpenCV rounds differently for each number of channels that it gets at once."""
    image = np.random.default_rng(0).integers(0, 256, (24, 24, channels), dtype=np.uint8)
    for text in ("affine rotate=30 scale=0.3 p=1", "brightness_contrast 0.4 p=1", "hflip p=1"):
        ((name, arguments),) = parse_augment(text)[0].items()
        reference = REFERENCES[name](arguments)
        for state in range(5):
            reference.set_random_seed(state)
            expected = reference(image=image.copy())["image"]
            got = build_light_step(name, arguments)(image.copy(), state)
            np.testing.assert_array_equal(got, expected)


def test_light_and_medium_do_not_import_albumentations():
    for level in ("light", "medium"):
        names = [next(iter(step)) for step in parse_augment(LEVELS[level])]
        assert all(name in REFERENCES for name in names)
    code = """
import numpy as np
from cnncli.augmentation.build import build_augment
image = np.zeros((28, 28, 1), np.uint8)
for level in ("light", "medium"):
    for index in range(20):
        build_augment(level)(image, 0, 1, index)
"""
    modules, _ = fresh_process.run(code=code)
    assert "cv2" in modules
    assert "albumentations" not in modules
