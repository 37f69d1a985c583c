"""A zoo of images: each decodes to the values it was made of, or is named in one clear error."""

import io
import struct
import zipfile

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from cnncli.images.channels import to_channels
from cnncli.images.decode import decode
from cnncli.images.formats import HEAD_BYTES, is_image, read_header
from cnncli.images.header import ImageError
from cnncli.images.intensity import IntensityRange
from cnncli.images.orientation import turn_back, turn_upright
from cnncli.images.preprocess import Preprocess

SIZE = (24, 40)
RNG = np.random.default_rng(0)


def values(dtype, channels):
    """Draw (24, 40, C) values over the whole range of a type."""
    shape = (*SIZE, channels)
    if np.dtype(dtype).kind == "f":
        return RNG.random(shape).astype(dtype)
    info = np.iinfo(dtype)
    return RNG.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def by_opencv(ending, array):
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[array.shape[2]]
    done, data = cv2.imencode(ending, array[..., order])
    assert done
    return data.tobytes()


def by_tifffile(array, **options):
    file = io.BytesIO()
    array = array[..., 0] if array.shape[2] == 1 else array
    colour = "rgb" if array.ndim == 3 and array.shape[2] in (3, 4) else "minisblack"
    tifffile.imwrite(file, array, **{"photometric": colour, "metadata": None, **options})
    return file.getvalue()


def by_pillow_tiff(array, compression):
    file = io.BytesIO()
    Image.fromarray(array[..., 0] if array.shape[2] == 1 else array).save(
        file, "TIFF", compression=compression
    )
    return file.getvalue()


def by_numpy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def by_npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def by_pnm(array):
    kind, big = (b"P5", b"P6")[array.shape[2] == 3], array.dtype.newbyteorder(">")
    header = b"%s\n%d %d\n%d\n" % (kind, *array.shape[1::-1], np.iinfo(array.dtype).max)
    return header + array.astype(big).tobytes()


LOSSLESS = [
    *((".png", dtype, channels) for dtype in ("uint8", "uint16") for channels in (1, 3)),
    (".bmp", "uint8", 1),
    (".bmp", "uint8", 3),
]
TIFF = [
    (dtype, channels)
    for dtype in ("uint8", "uint16", "float32", "float16", "float64", "int16", "uint32")
    for channels in (1, 2, 3, 5, 7)
]


@pytest.mark.parametrize(("ending", "dtype", "channels"), LOSSLESS)
def test_everyday_formats_keep_their_values(ending, dtype, channels):
    array = values(dtype, channels)
    got = decode(by_opencv(ending, array))
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pnm_keeps_its_values(dtype, channels):
    array = values(dtype, channels)
    np.testing.assert_array_equal(decode(by_pnm(array)), array)


@pytest.mark.parametrize(("dtype", "channels"), TIFF)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff_keeps_its_values(dtype, channels, compression):
    array = values(dtype, channels)
    colour = "rgb" if channels == 3 else "minisblack"
    data = by_tifffile(array, compression=compression, photometric=colour, planarconfig="contig")
    header, got = read_header(data), decode(data)
    assert (header.format, header.channels, header.alpha) == ("TIFF", channels, False)
    assert (header.height, header.width) == SIZE
    assert got.dtype == (dtype if dtype in ("uint8", "uint16") else np.float32)
    np.testing.assert_array_equal(got, array.astype(got.dtype))


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_tiff_layouts(planar, byteorder, tile):
    array = values("uint16", 3)
    stored = np.moveaxis(array, 2, 0) if planar == "separate" else array
    file = io.BytesIO()
    tifffile.imwrite(
        file, stored, photometric="rgb", planarconfig=planar, byteorder=byteorder, tile=tile
    )
    np.testing.assert_array_equal(decode(file.getvalue()), array)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits"])
@pytest.mark.parametrize("channels", [1, 3])
def test_tiff_compressions_of_8_bits(compression, channels):
    array = values("uint8", channels)
    np.testing.assert_array_equal(decode(by_pillow_tiff(array, compression)), array)


def test_tiff_lzw_of_16_bits():
    grey, colour = values("uint16", 1), values("uint16", 3)
    lzw = [cv2.IMWRITE_TIFF_COMPRESSION, 5]
    for array, stored in ((grey, grey), (colour, colour[..., ::-1])):
        data = cv2.imencode(".tiff", stored, lzw)[1].tobytes()
        np.testing.assert_array_equal(decode(data), array)


def test_a_jpeg_in_a_tiff():
    ramp = np.repeat(np.linspace(0, 255, 40).astype(np.uint8)[None], 24, axis=0)[..., None]
    np.testing.assert_allclose(decode(by_pillow_tiff(ramp, "jpeg")), ramp, atol=12)


def test_a_fax_is_black_on_white():
    file = io.BytesIO()
    picture = Image.fromarray(values("uint8", 1)[..., 0]).convert("1")
    picture.save(file, "TIFF", compression="group4")
    expected = np.asarray(picture).astype(np.uint8)[..., None] * 255
    np.testing.assert_array_equal(decode(file.getvalue()), expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_white_is_zero_in_some_tiffs(dtype):
    array = values(dtype, 1)
    data = by_tifffile(array, photometric="miniswhite")
    np.testing.assert_array_equal(decode(data), np.iinfo(dtype).max - array)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("pages", [2, 3, 6])
def test_pages_are_channels(dtype, pages):
    array = values(dtype, pages)
    data = by_tifffile(np.moveaxis(array, 2, 0)[..., None][..., 0], photometric="minisblack")
    assert read_header(data).frames == pages
    np.testing.assert_array_equal(decode(data), array)


def test_a_thumbnail_page_is_no_channel():
    array, file = values("uint8", 1), io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(array[..., 0], photometric="minisblack", metadata=None)
        writer.write(array[::4, ::4, 0], photometric="minisblack", subfiletype=1, metadata=None)
    np.testing.assert_array_equal(decode(file.getvalue()), array)


def test_pages_of_other_sizes_are_refused():
    array, file = values("uint8", 1), io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(array[..., 0], photometric="minisblack", metadata=None)
        writer.write(array[::4, ::4, 0], photometric="minisblack", metadata=None)
    with pytest.raises(ImageError, match="2 pages of different sizes"):
        decode(file.getvalue())


def test_complex_numbers_are_refused_whole():
    data = by_tifffile(values("float32", 1).astype(np.complex64))
    with pytest.raises(ImageError, match="values of a type that is not supported"):
        decode(data)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("dtype", "channels"), [("uint16", 1), ("uint16", 3), ("float32", 2)])
def test_orientation_in_every_depth(dtype, channels, orientation):
    array = values(dtype, channels)
    data = by_tifffile(
        array,
        photometric="rgb" if channels == 3 else "minisblack",
        planarconfig="contig",
        extratags=[("Orientation", "H", 1, orientation, True)],
    )
    # Independently: what Pillow does to a picture with that tag.
    plane = Image.fromarray(array[..., 0].astype(np.float32))
    method = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(orientation)
    expected = np.asarray(plane if method is None else plane.transpose(method))
    np.testing.assert_array_equal(decode(data)[..., 0].astype(np.float32), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_back_undoes_turning_upright(orientation):
    array = values("uint8", 3)
    np.testing.assert_array_equal(turn_back(turn_upright(array, orientation), orientation), array)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_16_bit_png(orientation):
    array = values("uint16", 1)
    exif = struct.pack(">2sHI H HHIHH I", b"MM", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    plain = by_opencv(".png", array)
    end = plain.index(b"IDAT") - 4
    import zlib

    chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif
    chunk += struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    got = decode(plain[:end] + chunk + plain[end:])
    np.testing.assert_array_equal(got, turn_upright(array, orientation))
    assert read_header(plain[:end] + chunk + plain[end:]).orientation == orientation


ALPHAS = [("png", "uint8"), ("png", "uint16"), ("tiff", "uint8"), ("tiff", "uint16")]


@pytest.mark.parametrize(("kind", "dtype"), ALPHAS)
@pytest.mark.parametrize("channels", [1, 3])
def test_alpha_is_white_or_a_channel(kind, dtype, channels):
    array = values(dtype, channels + 1)
    if kind == "tiff":
        data = by_tifffile(
            array,
            photometric="rgb" if channels == 3 else "minisblack",
            planarconfig="contig",
            extrasamples=["unassalpha"],
        )
    elif channels == 3:
        data = by_opencv(".png", array)
    else:
        data = grey_with_alpha(array)
    full = np.iinfo(dtype).max
    share = array[..., -1:] / full
    expected = np.rint(array[..., :-1] * share + full * (1 - share))
    assert read_header(data).alpha
    assert read_header(data).channels == channels
    np.testing.assert_allclose(decode(data), expected, atol=1)
    np.testing.assert_array_equal(decode(data, keep_alpha=True), array)


def grey_with_alpha(array):
    """Write a PNG of colour type 4."""
    import zlib

    rows = array.astype(array.dtype.newbyteorder(">"))
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    bits = array.dtype.itemsize * 8
    header = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], bits, 4, 0, 0, 0)

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_colours_multiplied_by_their_alpha_are_divided():
    colours = np.array([[[200, 100, 50]]], np.uint8)
    stored = np.array([[[80, 40, 20, 102]]], np.uint8)  # × 0.4
    data = by_tifffile(stored, photometric="rgb", extrasamples=["assocalpha"])
    np.testing.assert_allclose(decode(data, keep_alpha=True)[..., :3], colours, atol=1)
    expected = [[[233, 193, 173]]]  # 0.4 × colour + 0.6 × 255
    np.testing.assert_allclose(decode(data), expected, atol=1)


def test_an_unnamed_fourth_sample_counts_as_a_channel():
    array = values("uint16", 4)  # red, green, blue, near infrared
    data = by_tifffile(array, photometric="rgb", extrasamples=["unspecified"])
    assert (read_header(data).channels, read_header(data).alpha) == (4, False)
    np.testing.assert_array_equal(decode(data), array)


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "int16", "int32", "float32", "float64", ">u2", ">f4", "bool"]
)
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_arrays_keep_their_values(dtype, channels):
    array = RNG.random((*SIZE, channels)) * (1 if dtype == "bool" else 250)
    array = (array > 0.5) if dtype == "bool" else array.astype(dtype)
    expected = array * 255.0 if dtype == "bool" else array
    last, first = by_numpy(array), by_numpy(np.moveaxis(array, 2, 0))
    for data in (last, first, by_npz(image=array)):
        got = decode(data)
        assert got.dtype in (np.uint8, np.uint16, np.float32)
        assert got.dtype.isnative
        np.testing.assert_array_equal(got, expected.astype(np.float32))
        assert read_header(data).channels == channels
    if channels == 1:
        np.testing.assert_array_equal(decode(by_numpy(array[..., 0])), expected.astype(np.float32))


def test_an_npz_is_its_arrays_side_by_side():
    pet, ct = values("float32", 1), values("float32", 1)
    got = decode(by_npz(pet=pet[..., 0], ct=ct[..., 0]))
    np.testing.assert_array_equal(got, np.concatenate([pet, ct], axis=2))


class Code:
    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (by_numpy(np.zeros(7)), "shape 7;"),
        (by_numpy(np.zeros((2, 3, 4, 5))), "shape 2×3×4×5"),
        (by_numpy(np.zeros((0, 4))), "shape 0×4"),
        (by_numpy(np.zeros((300, 400, 300), np.uint8)), "shape 300×400×300"),
        (by_numpy(np.array([["a", "b"]])), "numbers are needed"),
        (by_numpy(np.full((4, 4), np.nan)), "not finite"),
        (by_numpy(np.full((4, 4), np.inf, np.float32)), "not finite"),
        (by_npz(a=np.zeros((4, 4)), b=np.zeros((4, 5))), "different sizes"),
        (by_numpy(np.zeros((40, 40)))[:500], "damaged or cut short"),
        (by_npz(a=values("uint8", 1))[:200], "damaged or cut short"),
        (b"\x93NUMPY\x01\x00garbage", "damaged or cut short"),
    ],
    ids=lambda value: value if isinstance(value, str) else "data",  # not 36 MB of text
)
def test_arrays_that_are_no_images(data, why):
    with pytest.raises(ImageError, match=why):
        decode(data)


def test_pickled_arrays_run_no_code(capsys):
    file = io.BytesIO()
    np.save(file, np.array([[Code()]], dtype=object), allow_pickle=True)
    with pytest.raises(ImageError, match="numbers are needed"):
        decode(file.getvalue())
    assert capsys.readouterr().out == ""


def test_a_zip_of_other_things_is_no_image():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("text.txt", "hello")
    assert not is_image(file.getvalue()[:HEAD_BYTES])
    with pytest.raises(ImageError, match="without NumPy arrays"):
        decode(file.getvalue())


@pytest.mark.parametrize("percent", [5, 50, 90, 99])
@pytest.mark.parametrize(
    "data",
    [
        by_tifffile(values("uint16", 3)),
        by_tifffile(values("float32", 1), compression="zlib"),
        by_tifffile(np.moveaxis(values("uint8", 4), 2, 0), photometric="minisblack"),
        by_tifffile(values("uint16", 1), tile=(16, 16)),
        by_pillow_tiff(values("uint8", 3), "tiff_lzw"),
        by_opencv(".png", values("uint16", 3)),
        by_numpy(values("float32", 2)),
    ],
    ids=["tiff", "deflate", "pages", "tiles", "lzw", "png", "npy"],
)
def test_half_a_file_is_refused_in_silence(data, percent, capfd):
    decode(data)
    with pytest.raises(ImageError) as caught:
        decode(data[: len(data) * percent // 100])
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("seed", range(30))
def test_wrong_bytes_in_a_tiff_give_a_picture_or_an_image_error(seed):
    rng = np.random.default_rng(seed)
    for whole in (
        by_tifffile(values("uint16", 2), photometric="minisblack", planarconfig="contig"),
        by_tifffile(values("uint8", 3), compression="zlib"),
    ):
        data = bytearray(whole)
        for place in [*rng.integers(0, 300, 5), *rng.integers(0, len(data), 5)]:
            data[place] = rng.integers(256)
        try:
            decode(bytes(data))
        except ImageError as error:
            assert "\n" not in str(error)  # noqa: PT017 - either way is right


# Train and predict use one object, so that the tensors are the same; this is how depth fares.


def test_8_and_16_bits_of_one_picture_are_the_same_input():
    eight = values("uint8", 3)
    sixteen = eight.astype(np.uint16) * 257
    files = [by_opencv(".png", eight), by_opencv(".png", sixteen), by_numpy(sixteen)]
    for preprocess in (
        Preprocess(10, 12, 3),
        Preprocess(10, 12, 3, dtype="float32"),
        Preprocess(10, 12, 3, dtype="float32", windows=(IntensityRange(0.1, 0.7),)),
        Preprocess(10, 12, 1, dtype="float32", interpolation="bicubic"),
    ):
        first, *others = [preprocess((data,)) for data in files]
        assert first.dtype == preprocess.dtype
        for other in others:
            np.testing.assert_array_equal(first, other)


def test_16_bits_are_not_clipped():
    ramp = np.linspace(0, 65535, 65536).astype(np.uint16).reshape(256, 256, 1)
    got = Preprocess(256, 256, 1, dtype="float32")((by_opencv(".png", ramp),))
    np.testing.assert_allclose(got, ramp / 65535, atol=1e-7)


def test_a_window_of_values_is_the_formula():
    units = np.linspace(-2000, 2000, 400).astype(np.float32).reshape(20, 20, 1)
    preprocess = Preprocess(
        20, 20, 1, dtype="float32", windows=(IntensityRange(-1000, 400, "value"),)
    )
    expected = np.clip((units + 1000) / 1400, 0, 1)
    np.testing.assert_allclose(preprocess((by_numpy(units),)), expected, atol=1e-6)
    with pytest.raises(ImageError, match="uint8 levels, the network takes values from -1000"):
        preprocess((by_opencv(".png", values("uint8", 1)),))


def test_floats_beyond_fractions_are_refused_and_named():
    for dtype in ("uint8", "float32"):
        with pytest.raises(
            ImageError, match=r"values from -5 to 300, where fractions.*--intensity"
        ):
            Preprocess(4, 4, 1, dtype=dtype)((by_numpy(np.array([[-5.0, 300.0]])),))


def test_several_files_are_channels_in_their_order():
    pet, ct = values("uint16", 1), values("uint16", 3)
    preprocess = Preprocess(*SIZE, 4, dtype="float32", files=(1, 3))
    got = preprocess((by_opencv(".png", pet), by_opencv(".png", ct)))
    np.testing.assert_allclose(got, np.concatenate([pet, ct], axis=2) / 65535, atol=1e-7)
    with pytest.raises(ImageError, match="is 1 file; the network takes 2 files"):
        preprocess((by_opencv(".png", pet),))
    with pytest.raises(ImageError, match="different sizes"):
        preprocess((by_opencv(".png", pet[:-1]), by_opencv(".png", ct)))


@pytest.mark.parametrize(("given", "wanted"), [(2, 1), (2, 3), (3, 2), (1, 4), (5, 3)])
def test_channels_that_are_not_to_be_had_are_named(given, wanted):
    data = by_numpy(values("uint8", given))
    with pytest.raises(ImageError, match=f"has {given} channels?, the network takes {wanted}"):
        Preprocess(8, 8, wanted)((data,))


def test_alpha_as_a_channel():
    array = values("uint8", 4)
    keep = Preprocess(*SIZE, 4, keep_alpha=True)
    np.testing.assert_array_equal(keep((by_opencv(".png", array),)), array)
    opaque = keep((by_opencv(".png", array[..., :3]),))
    np.testing.assert_array_equal(opaque[..., :3], array[..., :3])
    assert (opaque[..., 3] == 255).all()
    grey = keep((by_opencv(".png", array[..., :1]),))
    np.testing.assert_array_equal(grey[..., :3], to_channels(array[..., :1], 3))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 12])
@pytest.mark.parametrize("interpolation", ["area", "bilinear", "bicubic"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_every_channel_is_resized_by_itself(channels, interpolation, dtype):
    array = values("uint8", channels)
    resize = Preprocess(9, 50, channels, dtype=dtype, interpolation=interpolation)
    alone = Preprocess(9, 50, 1, dtype=dtype, interpolation=interpolation)
    got = resize((by_numpy(array),))
    for channel in range(channels):
        np.testing.assert_allclose(
            got[..., channel], alone((by_numpy(array[..., channel]),))[..., 0], atol=1e-6
        )
