"""RandAugment and TrivialAugment: each operation against torchvision's, and what is drawn."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from cnncli.augmentation.automatic import OPERATIONS, randaugment, trivialaugment

# Of an operation: the amount, and torchvision's function with its own argument.
SAME = {
    "brightness": (-0.4, lambda image: functional.adjust_brightness(image, 0.6)),
    "color": (0.5, lambda image: functional.adjust_saturation(image, 1.5)),
    "contrast": (0.3, lambda image: functional.adjust_contrast(image, 1.3)),
    "sharpness": (0.9, lambda image: functional.adjust_sharpness(image, 1.9)),
    "posterize": (5.2, lambda image: functional.posterize(image, 3)),
    "solarize": (0.4, lambda image: functional.solarize(image, 0.6 * white(image))),
    "autocontrast": (0, functional.autocontrast),
    "equalize": (0, functional.equalize),
}


def white(image):
    return 255 if image.dtype == torch.uint8 else 1


def picture(channels=3, dtype="uint8", seed=0):
    """Return waves with noise in part of the range, so that stretching it changes something."""
    rows, columns = np.mgrid[0:20, 0:24] / 20
    waves = [0.5 + 0.3 * np.sin(6 * rows + k) * np.cos(5 * columns) for k in range(channels)]
    noise = np.random.default_rng(seed).uniform(-0.05, 0.05, (20, 24, channels))
    image = (np.stack(waves, axis=2) + noise).astype(np.float32)
    return np.rint(image * 255).astype(np.uint8) if dtype == "uint8" else image


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", SAME)
def test_levels_change_as_in_torchvision(name, channels, dtype):
    if name == "color" and channels == 1:
        pytest.skip("grey images have no colour")
    image = picture(channels, dtype)
    if name == "equalize" and dtype == "float32":  # torchvision makes 8 bits of fractions
        image = (picture(channels) / np.float32(255)).astype(np.float32)
    amount, theirs = SAME[name]
    want = theirs(torch.from_numpy(image).permute(2, 0, 1)).permute(1, 2, 0).numpy()
    got = OPERATIONS[name](image, amount, "black").reshape(image.shape)
    # torchvision cuts fractions of levels off, where they are rounded here.
    limit = 1 if dtype == "uint8" else 1e-5
    assert got.dtype == image.dtype
    assert np.abs(got.astype(float) - want).max() <= limit
    assert not np.array_equal(got, image)


@pytest.mark.parametrize(
    ("name", "amount", "affine"),
    [
        ("rotate", 25.0, {"angle": 25.0}),
        ("shear_x", 0.3, {"shear": [-np.degrees(np.arctan(0.3)), 0.0]}),
        ("shear_y", 0.3, {"shear": [0.0, -np.degrees(np.arctan(0.3))]}),
        ("translate_x", 0.25, {"translate": [6, 0]}),
        ("translate_y", -0.25, {"translate": [0, -5]}),
    ],
)
def test_pixels_move_as_in_torchvision(name, amount, affine):
    image = picture(1, "float32")
    arguments = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]} | affine
    want = functional.affine(
        torch.from_numpy(image).permute(2, 0, 1),
        **arguments,
        interpolation=functional.InterpolationMode.BILINEAR,
    )[0].numpy()
    got = OPERATIONS[name](image, amount, "black").reshape(image.shape)[..., 0]
    # OpenCV interpolates between 32 places in a pixel. At the border one of the two blends with
    # black where the other has black already.
    inside = (want > 0.15) & (got > 0.15)
    assert inside.mean() > 0.6
    assert np.abs(got - want)[inside].mean() < 0.004


def test_fractions_between_two_levels_are_equalised_between_them():
    image = np.tile(picture(1, "float32"), (4, 4, 1))
    image += np.random.default_rng(1).uniform(0, 0.01, image.shape).astype(np.float32)
    ranks = image.ravel().argsort()
    equalised = OPERATIONS["equalize"](image, 0, "black").ravel()[ranks]
    assert (np.diff(equalised) >= 0).all()
    assert np.unique(equalised).size > np.unique(np.rint(image * 255)).size
    # As flat as it can be: its values are near the uniform quantiles.
    assert np.abs(equalised - np.linspace(0, 1, image.size)).max() < 0.03


def test_more_channels_give_each_channel_the_same():
    image = picture(5)
    for name in set(OPERATIONS) - {"contrast", "color"}:
        amount = 3 if name == "posterize" else 0.4
        whole = OPERATIONS[name](image, amount, "reflect")
        for channel in range(5):
            alone = OPERATIONS[name](image[..., channel : channel + 1], amount, "reflect")
            np.testing.assert_array_equal(whole[..., channel], alone.reshape(20, 24))


def test_trivialaugment_draws_every_operation_and_strength():
    image = picture(3, "float32")
    pictures = {
        trivialaugment(image, {"border": "reflect"}, np.random.default_rng(k)).tobytes()
        for k in range(600)
    }
    assert len(pictures) > 150  # 8 operations of 31 strengths and two signs, and 6 others


def test_randaugment_of_no_strength_keeps_what_has_a_strength():
    """At magnitude 0 only autocontrast and equalize change a picture."""
    image = picture()
    seen = set()
    for k in range(60):
        got = randaugment(
            image, {"operations": 1, "magnitude": 0, "border": "edge"}, np.random.default_rng(k)
        )
        seen.add(got.tobytes())
    stretched = {OPERATIONS[n](image, 0, "edge").tobytes() for n in ("autocontrast", "equalize")}
    assert seen == {image.tobytes(), *stretched}
