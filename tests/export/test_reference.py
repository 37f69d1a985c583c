"""The script of the preprocessing gives what cnncli gives, bit by bit, for every kind of file."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from cnncli.errors import CnncliError
from cnncli.export.reference import (
    build_reference,
    can_reproduce,
    check_replaced,
    name_reference,
    write_reference,
)
from cnncli.images.intensity import IntensityRange
from cnncli.images.preprocess import Preprocess

RANDOM = np.random.default_rng(5)


def made(height, width, channels, kind=np.uint8):
    """Return a picture with slopes and noise."""
    rows = np.linspace(0, 1, height)[:, None, None]
    columns = np.linspace(0, 0.6, width)[None, :, None]
    values = (rows + columns) / 2 + 0.2 * RANDOM.random((height, width, channels))
    return np.rint(np.clip(values, 0, 1) * np.iinfo(kind).max).astype(kind)


def encode(array, suffix=".png"):
    ok, data = cv2.imencode(suffix, array)
    assert ok
    return data.tobytes()


def by_pillow(array, kind, orientation=None, **options):
    image, file = Image.fromarray(array), io.BytesIO()
    if orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    image.save(file, kind, **options)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


COLOUR, GREY = made(57, 91, 3), made(40, 33, 1)
FILES = {
    "grey.png": encode(GREY),
    "colour.png": encode(COLOUR),
    "deep.png": encode(made(45, 38, 1, np.uint16)),
    "deep_colour.png": encode(made(45, 38, 3, np.uint16)),
    "clear.png": encode(made(30, 50, 4)),
    "grey_clear.png": by_pillow(made(30, 50, 2), "PNG"),
    "palette.png": by_pillow(COLOUR, "PNG"),
    "small.jpg": encode(COLOUR, ".jpg"),
    "grey.jpg": encode(GREY, ".jpg"),
    "large.jpg": by_pillow(made(240, 320, 3), "JPEG", quality=90),
    "large_grey.jpg": by_pillow(made(240, 320, 1)[..., 0], "JPEG", quality=90),
    "colour.webp": encode(COLOUR, ".webp"),
    "colour.bmp": encode(COLOUR, ".bmp"),
    "array.npy": npy(COLOUR),
    **{
        f"turned_{number}.jpg": by_pillow(made(240, 110, 3), "JPEG", orientation=number)
        for number in (2, 3, 4, 5, 6, 7, 8)
    },
}
SIZE = {"height": 16, "width": 24}
FORMS = {
    "squash": {},
    "pad": {"resize_mode": "pad"},
    "crop": {"resize_mode": "crop"},
    "exact": {"exact_decode": True},
    "weights": {"resize_mode": "crop", "resize_size": 28, "interpolation": "bilinear"},
    "bicubic": {"resize_mode": "squash", "interpolation": "bicubic"},
    "floats": {"dtype": "float32"},
    "floats_bicubic": {"dtype": "float32", "interpolation": "bicubic", "resize_mode": "pad"},
    "range": {"dtype": "float32", "windows": (IntensityRange(0.1, 0.6),)},
    "twelve_bits": {"dtype": "float32", "windows": (IntensityRange(0, 4095 / 65535),)},
}


def load(preprocess):
    """Run the script's text as a module would be."""
    space = {"__name__": "reference_preprocess"}
    exec(
        compile(build_reference(preprocess, "best.onnx"), "reference_preprocess.py", "exec"), space
    )
    return space["preprocess"]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("form", FORMS)
def test_the_same_array(form, channels, tmp_path):
    preprocess = Preprocess(**SIZE, channels=channels, **FORMS[form])
    reference = load(preprocess)
    for name, data in FILES.items():
        path = tmp_path / name
        path.write_bytes(data)
        expected = preprocess([data])
        found = reference([str(path)])
        assert found.dtype == expected.dtype, name
        np.testing.assert_array_equal(found, expected, err_msg=name)


def test_files_that_are_channels(tmp_path):
    value = IntensityRange(-100, 300, "value")
    preprocess = Preprocess(
        16, 12, 6, dtype="float32", files=(1, 5), windows=(IntensityRange(0, 1), value)
    )
    first = encode(made(33, 44, 1, np.uint16))
    second = npy((RANDOM.random((33, 44, 5)) * 600 - 200).astype(np.float32))
    for name, data in (("a.png", first), ("b.npy", second)):
        (tmp_path / name).write_bytes(data)
    found = load(preprocess)([str(tmp_path / "a.png"), str(tmp_path / "b.npy")])
    np.testing.assert_array_equal(found, preprocess([first, second]))


def test_what_the_script_does_not_know_is_said(tmp_path):
    file = io.BytesIO()
    Image.new("CMYK", (20, 20)).save(file, "JPEG")
    (tmp_path / "ink.jpg").write_bytes(file.getvalue())
    with pytest.raises(ValueError, match="JPEG, CMYK: this script reads JPEG, PNG"):
        load(Preprocess(8, 8, 3))([str(tmp_path / "ink.jpg")])
    for data, kind in ((bytes(128) + b"DICM", "DICOM"), (b"hello", "no image that Pillow knows")):
        (tmp_path / "other").write_bytes(data)
        with pytest.raises(ValueError, match=f"{kind}: this script reads JPEG, PNG"):
            load(Preprocess(8, 8, 3))([str(tmp_path / "other")])
    assert not can_reproduce(Preprocess(8, 8, 4, keep_alpha=True))


def test_each_network_has_a_script_of_its_own_name():
    for name in ("best.onnx", "best.int8.onnx", "best.xml"):
        assert name_reference(name) == "reference_preprocess.py"
    assert name_reference("ants.onnx") == "preprocess_ants.py"
    assert name_reference("3 ants-é.int8.onnx") == "preprocess_3_ants___int8.py"


def test_no_other_script_is_replaced(tmp_path):
    path, small, large = tmp_path / "preprocess_a.py", Preprocess(8, 8, 3), Preprocess(9, 9, 3)
    output = tmp_path / "a.onnx"
    check_replaced(output, small)
    write_reference(path, small, "a.onnx")
    check_replaced(output, large)  # a.onnx itself is replaced with it
    check_replaced(output.with_suffix(".xml"), small)  # does the same
    with pytest.raises(CnncliError, match=r"preprocess_a\.py: is there already"):
        check_replaced(output.with_suffix(".xml"), large)
    with pytest.raises(CnncliError, match="is there already"):
        check_replaced(output, Preprocess(8, 8, 4, keep_alpha=True))  # would stand beside it
    path.write_text("print('mine')\n")
    with pytest.raises(CnncliError, match="is there already"):
        check_replaced(output, small)
    assert path.read_text() == "print('mine')\n"


def test_a_run_replaces_its_own_script(tmp_path):
    (tmp_path / "best.safetensors").touch()
    write_reference(tmp_path / "reference_preprocess.py", Preprocess(9, 9, 3), "best.onnx")
    check_replaced(tmp_path / "best.int8.onnx", Preprocess(8, 8, 3))  # of another version, perhaps
