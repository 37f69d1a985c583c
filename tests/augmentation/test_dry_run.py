"""The dry run: what would fail, or change an image's form in silence, is refused by name."""

import numpy as np
import pytest

from cnncli.augmentation.build import build_augment
from cnncli.augmentation.classes import complete_steps
from cnncli.augmentation.dry_run import check_pipeline
from cnncli.augmentation.notation import parse_augment
from cnncli.augmentation.words import LEVELS, WORDS
from cnncli.errors import CnncliError


def image(channels, dtype="uint8", side=(24, 32)):
    values = np.random.default_rng(0).random((*side, channels), dtype=np.float32)
    if dtype == "float32":
        return values
    return (values * np.iinfo(dtype).max).astype(dtype)


def refusal(text, picture):
    with pytest.raises(CnncliError) as caught:
        check_pipeline(parse_augment(text), picture)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("--augment: ")
    return str(caught.value)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_our_own_words_pass(channels, dtype):
    for name, word in WORDS.items():
        text = "affine rotate=10" if name == "affine" else name
        side = (24, 24) if name == "rot90" else (24, 32)
        if word.channels in (None, channels):
            check_pipeline(parse_augment(text), image(channels, dtype, side))
        else:
            said = refusal(text, image(channels, dtype))
            assert f"step 1 '{text}" in said
            assert "works on 3 channels" in said
    for level in LEVELS:
        check_pipeline(parse_augment(level), image(channels, dtype))


@pytest.mark.parametrize(
    ("text", "channels", "dtype", "words"),
    [
        ("MedianBlur p=0.01", 2, "uint8", "fails on such images"),
        ("MedianBlur", 3, "float32", "8 bits"),
        ("MedianBlur", 3, "uint16", "gives float32 for uint16"),
        ("ImageCompression", 1, "float32", "8 bits"),
        ("ImageCompression", 4, "uint16", "for uint16"),
        ("RandomGamma", 1, "uint16", "for uint16"),
        ("ToGray", 1, "uint8", "fails"),
        ("ToGray", 2, "float32", "fails"),
        ("ToGray num_output_channels=1", 3, "uint8", "gives 1 channel for 3"),
        ("CLAHE", 2, "uint8", "fails"),
        ("CLAHE", 1, "float32", "8 bits"),
        ("CLAHE", 1, "uint16", "fails"),
        ("Normalize", 3, "uint8", "gives float32 for uint8"),
        ("Normalize", 4, "float32", "gives values from -2.1"),
        ("ToFloat", 2, "uint8", "gives float32 for uint8"),
        ("ToFloat", 2, "uint16", "gives float32 for uint16"),
        ("FromFloat", 2, "float32", "gives uint8 for float32"),
        ("RandomCrop height=16 width=16", 3, "uint8", "gives 16×16 pixels"),
        ("rot90", 3, "uint8", "gives 32×24 pixels"),
        ("Transpose p=0.01", 3, "uint8", "gives 32×24 pixels"),
        ("ToTensorV2", 3, "uint8", "no image but Tensor"),
        ("ChannelDropout", 1, "uint8", "fails"),
        ("OverlayElements", 3, "uint8", "fails"),
    ],
)
def test_what_does_not_keep_the_form_is_refused_by_name(text, channels, dtype, words):
    said = refusal(f"hflip; {text}", image(channels, dtype))
    assert f"step 2 '{text}'" in said
    assert words in said
    assert dtype in said.rsplit("the images are 24×32", 1)[1]


@pytest.mark.parametrize(
    ("text", "channels", "dtype"),
    [
        ("MedianBlur", 1, "uint8"),
        ("MedianBlur", 4, "uint8"),
        ("ImageCompression", 3, "uint8"),
        ("ToGray", 3, "float32"),
        ("CLAHE", 3, "uint8"),
        ("ToFloat", 3, "float32"),  # divides by 1
        ("UnsharpMask", 2, "float32"),
        ("ElasticTransform alpha=20 sigma=4", 4, "float32"),
        ("Solarize", 3, "float32"),
    ],
)
def test_what_keeps_the_form_passes(text, channels, dtype):
    check_pipeline(parse_augment(text), image(channels, dtype))


def test_a_constant_image_hides_nothing():
    grey = np.full((16, 16, 3), 0.45, np.float32)  # Normalize brings it to about 0
    assert "gives values from" in refusal("Normalize", grey)
    assert "8 bits" in refusal("Posterize", np.zeros((16, 16, 1), np.float32))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("GausNoise", "no operation 'GausNoise'; did you mean GaussNoise"),
        ("OneOf", "no operation 'OneOf'"),
        ("Compose", "no operation 'Compose'"),
        ("Lambda", "no operation 'Lambda'"),
        ("BasicTransform", "no operation"),
        ("GaussNoise std_rang=0.1:0.2", "GaussNoise: unknown argument 'std_rang'; did you mean"),
        ("GaussNoise std_range=0.1:7", "GaussNoise: std_range: "),
        ("GaussNoise std_range=much", "GaussNoise: std_range: "),
        ("RandomCrop", "RandomCrop: "),
        ("RandomCrop height=3 width=tall", "RandomCrop: width: "),
    ],
)
def test_classes_and_arguments_that_are_none(text, words):
    assert words in refusal(text, image(3))
    with pytest.raises(CnncliError, match="--augment"):
        complete_steps(parse_augment(text))


def test_completed_steps_draw_the_same_and_complete_to_themselves():
    texts = (
        "GaussNoise std_range=0.02:0.08 p=0.9",
        "Affine rotate=10",
        "RandomBrightnessContrast",
        "CoarseDropout",
        "GridDistortion p=1",
        "ElasticTransform",
        "PlasmaShadow",
        "MedianBlur",
    )
    for text in texts:
        given = parse_augment(text)
        complete = complete_steps(given)
        assert complete_steps(complete) == complete == parse_augment(complete)
        ((_, arguments),) = complete[0].items()
        assert set(arguments) >= {"p"}
        for index in range(8):
            key = (image(3, side=(32, 32)), 0, 1, index)
            np.testing.assert_array_equal(build_augment(given)(*key), build_augment(complete)(*key))
    assert complete_steps(parse_augment("strong")) == parse_augment("strong")


def test_every_class_of_albumentations_passes_or_is_refused_in_one_line():
    from cnncli.augmentation.classes import import_albumentations

    library = import_albumentations()
    names = [
        name
        for name in dir(library)
        if isinstance(getattr(library, name), type)
        and issubclass(getattr(library, name), library.BasicTransform)
    ]
    assert len(names) > 100
    said = [problem(name) for name in names]
    assert not any("\n" in text for text in said)
    assert said.count("") > 60


def problem(name):
    try:
        check_pipeline([{name: {}}], image(3, side=(32, 32)))
    except CnncliError as error:
        return str(error)
    return ""
