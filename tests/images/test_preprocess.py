"""From a decoded picture to the network's input."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from cnncli.images import preprocess as preprocess_module
from cnncli.images.header import ImageError
from cnncli.images.preprocess import Preprocess, read_forms

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (60, 90, 3), dtype=np.uint8)


def box_mean(image, rows, columns):
    """Average blocks of rows × columns pixels."""
    height, width, channels = image.shape
    blocks = image.reshape(height // rows, rows, width // columns, columns, channels)
    return blocks.mean(axis=(1, 3))


def test_squash_averages_what_it_removes():
    got = Preprocess(20, 30, 3).fit(PICTURE)
    np.testing.assert_allclose(got, box_mean(PICTURE, 3, 3), atol=0.51)
    got = Preprocess(10, 45, 3).fit(PICTURE)
    np.testing.assert_allclose(got, box_mean(PICTURE, 6, 2), atol=0.51)


def test_squash_averages_one_side_while_it_stretches_the_other():
    strip = np.zeros((10, 800, 1), np.uint8)
    strip[:, ::8] = 255  # thin lines: a skipping resize would show all of them or none
    got = Preprocess(80, 100, 1).fit(strip)
    np.testing.assert_allclose(got, 255 / 8, atol=1)


def test_squash_keeps_the_border():
    image = np.zeros((60, 90, 1), np.uint8)
    image[:, :3] = 255
    got = Preprocess(20, 30, 1).fit(image)
    assert (got[:, 0] == 255).all()
    assert (got[:, 1:] == 0).all()


def test_pad_keeps_the_ratio_and_fills_with_black_on_both_sides():
    got = Preprocess(30, 30, 3, resize_mode="pad").fit(PICTURE)
    assert (got[:5] == 0).all()
    assert (got[25:] == 0).all()
    np.testing.assert_allclose(got[5:25], box_mean(PICTURE, 3, 3), atol=0.51)


def test_crop_keeps_the_ratio_and_cuts_the_middle():
    got = Preprocess(20, 20, 3, resize_mode="crop").fit(PICTURE)
    np.testing.assert_allclose(got, box_mean(PICTURE[:, 15:75], 3, 3), atol=0.51)
    tall = PICTURE.transpose(1, 0, 2)
    got = Preprocess(20, 20, 3, resize_mode="crop").fit(tall)
    np.testing.assert_allclose(got, box_mean(tall[15:75], 3, 3), atol=0.51)


def test_enlarging_interpolates():
    image = np.array([[[0], [100]]], np.uint8)
    # Pixel centres at 0.25, 0.75 of the way: linear in between, flat beyond them.
    assert Preprocess(1, 4, 1).fit(image).ravel().tolist() == [0, 25, 75, 100]


def test_nothing_is_done_at_the_right_size():
    for mode in ("squash", "pad", "crop"):
        got = Preprocess(60, 90, 3, resize_mode=mode).fit(PICTURE)
        np.testing.assert_array_equal(got, PICTURE)


@pytest.mark.parametrize("mode", ["squash", "pad", "crop"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 10000), (10000, 1), (7, 5), (31, 33), (500, 3)])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_shape_fits(mode, shape, channels):
    for stored in (1, 3):
        image = np.full((*shape, stored), 200, np.uint8)
        got = Preprocess(32, 48, channels, resize_mode=mode).fit(image)
        assert got.shape == (32, 48, channels)
        assert got.dtype == np.uint8
        assert got.flags.c_contiguous
        assert got.max() == 200
        if mode != "pad":
            assert got.min() == 200


def test_float32_is_a_fraction_of_full_scale():
    got = Preprocess(60, 90, 3, dtype="float32").fit(PICTURE)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, PICTURE / 255, atol=1e-6)
    deep = (PICTURE / 255).astype(np.float32)
    np.testing.assert_array_equal(Preprocess(60, 90, 3, dtype="float32").fit(deep), deep)


def test_grey_and_colour_are_converted():
    got = Preprocess(60, 90, 1).fit(PICTURE)
    np.testing.assert_allclose(got[..., 0], PICTURE @ [0.299, 0.587, 0.114], atol=0.6)
    got = Preprocess(60, 90, 3).fit(PICTURE[..., :1])
    np.testing.assert_array_equal(got, np.repeat(PICTURE[..., :1], 3, axis=2))


@pytest.mark.parametrize("mode", ["squash", "pad", "crop"])
def test_it_is_deterministic_and_leaves_its_input_alone(mode):
    before = PICTURE.copy()
    preprocess = Preprocess(40, 40, 3, resize_mode=mode)
    np.testing.assert_array_equal(preprocess.fit(PICTURE), preprocess.fit(PICTURE))
    np.testing.assert_array_equal(before, PICTURE)


def test_from_bytes():
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).save(buffer, "PNG")
    np.testing.assert_array_equal(Preprocess(60, 90, 3)((buffer.getvalue(),)), PICTURE)


@pytest.mark.parametrize(
    "preprocess",
    [
        Preprocess(8, 9, 1),
        Preprocess(
            224, 320, 3, "float32", "crop", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
        ),
    ],
)
def test_round_trip_through_json(preprocess):
    text = json.dumps(preprocess.to_dict())
    again = Preprocess.from_dict(json.loads(text))
    assert again == preprocess
    assert hash(again) == hash(preprocess)


@pytest.mark.parametrize(
    "wrong",
    [
        {"height": 0},
        {"width": -1},
        {"height": "8"},
        {"height": 8.5},
        {"height": True},
        {"channels": 0},
        {"dtype": "int7"},
        {"resize_mode": "stretch"},
        {"mean": [0.1]},
        {"mean": [0.1, 0.2, 0.3], "std": [0.1]},
        {"mean": [0.1] * 3, "std": [0.1, 0.0, 0.1]},
        {"mean": [float("nan")] * 3, "std": [0.1] * 3},
        {"mean": ["a"] * 3, "std": [0.1] * 3},
        {"mean": 3},
        {"colour": "red"},
    ],
)
def test_anything_else_is_refused(wrong):
    values = Preprocess(8, 8, 3).to_dict()
    with pytest.raises((TypeError, ValueError)):
        Preprocess.from_dict({**values, **wrong})


@pytest.mark.parametrize("name", ["height", "channels", "mean", "std"])
def test_what_is_missing_is_refused(name):
    values = Preprocess(8, 8, 3).to_dict()
    del values[name]
    with pytest.raises((TypeError, ValueError)):
        Preprocess.from_dict(values)


def jpeg(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=95)
    return file.getvalue()


@pytest.mark.parametrize(
    ("interpolation", "decodes"),
    [
        pytest.param("bilinear", 1, id="all at the full size"),
        pytest.param("area", 2, id="pad needs fewer pixels"),
    ],
)
def test_several_forms_decode_a_file_once_for_each_size(monkeypatch, interpolation, decodes):
    """The squashed picture is Pillow's own; a wide file is decoded smaller where it is padded."""
    data = jpeg(np.repeat(np.repeat(PICTURE, 4, 0), 12, 1))
    forms = [
        Preprocess(40, 40, 3, resize_mode=mode, interpolation=interpolation)
        for mode in ("squash", "pad", "crop")
    ]
    alone = [form([data]) for form in forms]
    seen = []
    decode = preprocess_module.decode
    monkeypatch.setattr(
        preprocess_module, "decode", lambda *given, **more: seen.append(1) or decode(*given, **more)
    )
    together = read_forms([data], forms)
    assert len(seen) == decodes
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one, other)
    if interpolation == "bilinear":
        whole = Image.open(io.BytesIO(data))
        expected = np.asarray(whole.resize((40, 40), Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(together[0], expected)


def test_several_forms_refuse_a_wrong_number_of_files():
    with pytest.raises(ImageError, match="is 2 files; the network takes 1 file per sample"):
        read_forms([jpeg(PICTURE)] * 2, [Preprocess(20, 30, 3)])
