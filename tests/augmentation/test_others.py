"""Steps in the spelling of imgaug, torchvision and Keras get ours in the error."""

import pytest

from cnncli.augmentation.notation import parse_augment
from cnncli.errors import CnncliError


@pytest.mark.parametrize(
    ("written", "ours"),
    [
        ("Fliplr(0.5)", "hflip p=0.5"),
        ("iaa.Flipud(0.2)", "vflip p=0.2"),
        ("Flipud", "vflip"),
        ("Affine(rotate=(-10, 10))", "affine rotate=-10:10 p=1"),
        ("Affine(scale=(0.8,1.2), shear=8)", "affine scale=0.8:1.2 shear=8 p=1"),
        ("RandomHorizontalFlip()", "hflip"),
        ("RandomHorizontalFlip(p=0.3)", "hflip p=0.3"),
        ("transforms.RandomRotation(10)", "rotate 10 p=1"),
        ("rotation_range=15", "rotate 15 p=1"),
        ("horizontal_flip=True", "hflip"),
        ("zoom_range=0.2", "scale 0.2 p=1"),
        ("transforms.RandAugment(2, 9)", "randaugment"),
        ("TrivialAugmentWide()", "trivialaugment"),
    ],
)
def test_the_error_has_a_step_that_is_taken(written, ours):
    with pytest.raises(CnncliError) as error:
        parse_augment(written)
    assert str(error.value).endswith(f"; write {ours!r}")
    assert parse_augment(ours) != "none"


def test_levels_and_words_without_a_class_in_any_case():
    assert parse_augment("Light") == parse_augment("light")
    assert parse_augment("HFlip; ROT90") == parse_augment("hflip; rot90")
    assert parse_augment("None") == "none"


def test_classes_of_albumentations_stay():
    assert parse_augment("Affine rotate=10; RandomRotate90 p=1; HorizontalFlip p=0.3") == [
        {"Affine": {"rotate": 10}}, {"RandomRotate90": {"p": 1}}, {"HorizontalFlip": {"p": 0.3}},
    ]  # fmt: skip
