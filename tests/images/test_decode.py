"""Pixels from bytes, held against Pillow and against formulas written out."""

import io
import struct
import time
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import SHARED_DATA
from PIL import Image, ImageCms, ImageOps

from cnncli.images.channels import is_grey, to_channels
from cnncli.images.decode import decode
from cnncli.images.formats import HEAD_BYTES, is_image
from cnncli.images.header import MAX_PIXELS, ImageError
from cnncli.images.intensity import to_uint8

ROWS, COLUMNS = np.mgrid[0:24, 0:40]
COLOURS = np.stack([COLUMNS * 6, ROWS * 10, (COLUMNS + ROWS) * 3], -1).astype(np.uint8)
MODES = {
    "PNG": ("1", "L", "LA", "P", "P+clear", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB"),
    "WEBP": ("L", "RGB", "RGBA", "P"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "GIF": ("1", "L", "P", "P+clear", "RGB"),
    "PPM": ("1", "L", "RGB", "I;16"),
}


def draw(mode):
    """Draw a picture without any symmetry."""
    image = Image.fromarray(COLOURS)
    if mode == "RGBA":
        image.putalpha(Image.fromarray((COLUMNS * 6).astype(np.uint8)))
    elif mode == "LA":
        image = image.convert("L")
        image.putalpha(Image.fromarray((ROWS * 10).astype(np.uint8)))
    elif mode == "I;16":
        image = Image.fromarray((COLUMNS * 1600 + ROWS).astype(np.uint16))
    elif mode.startswith("P"):
        image = image.quantize(16)
        if mode == "P+clear":
            image.info["transparency"] = 3
    else:
        image = image.convert(mode)
    return image


def write(image, kind, **options):
    buffer = io.BytesIO()
    if kind == "WEBP":
        options.setdefault("lossless", True)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def read_with_pillow(data):
    """Decode as (H, W, 3) by other means: upright, on white, 16 bits scaled."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if image.mode.startswith("I"):
        values = np.rint(np.asarray(image).astype(float) / 257).astype(np.uint8)
        return np.repeat(values[..., None], 3, axis=2)
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image).convert("RGB"))


def assert_same(data):
    pixels, expected = to_uint8(decode(data)), read_with_pillow(data)
    assert pixels.flags.c_contiguous
    assert pixels.shape[:2] == expected.shape[:2]
    np.testing.assert_allclose(to_channels(pixels, 3), expected.astype(int), atol=1)


@pytest.mark.parametrize(("kind", "mode"), [(k, mode) for k in MODES for mode in MODES[k]])
def test_every_format_and_mode_is_read_as_pillow_reads_it(kind, mode):
    assert_same(write(draw(mode), kind))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        (kind, mode)
        for kind in ("JPEG", "PNG", "WEBP", "TIFF")
        for mode in ("L", "RGB", "LA", "RGBA", "I;16")
        if mode in MODES[kind]
    ],
)
def test_exif_orientation_is_applied(kind, mode, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = write(draw(mode), kind, exif=exif)
    assert decode(data).shape[:2] == ((40, 24) if orientation >= 5 else (24, 40))
    assert_same(data)


@pytest.mark.parametrize("mode", ["1", "L", "I;16"])
def test_grey_stays_one_channel(mode):
    assert decode(write(draw(mode), "PNG")).shape == (24, 40, 1)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_several_pictures_the_first_is_taken(kind):
    first = draw("P") if kind == "GIF" else draw("RGB")
    second = first.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    data = write(first, kind, save_all=True, append_images=[second])
    assert Image.open(io.BytesIO(data)).n_frames == 2
    np.testing.assert_array_equal(decode(data), np.asarray(first.convert("RGB")))


def test_alpha_is_laid_on_white_by_the_formula():
    pixels = np.array([[[0, 100, 200, 0], [0, 100, 200, 51], [0, 100, 200, 255]]], np.uint8)
    # 255 × (1 - a) + colour × a with a = 0, 1/5, 1
    expected = [[[255, 255, 255], [204, 224, 244], [0, 100, 200]]]
    for kind in ("PNG", "TIFF", "WEBP"):
        data = write(Image.fromarray(pixels), kind, **({"exact": True} if kind == "WEBP" else {}))
        np.testing.assert_array_equal(decode(data), expected, err_msg=kind)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, raw, *before):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            *before,
            chunk(b"IDAT", zlib.compress(raw)),
            chunk(b"IEND", b""),
        )
    )


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_grey_level_declared_clear_is_white(bits):
    stored = np.arange(16) % 2**bits
    packed = (stored[:, None] >> np.arange(bits)[::-1] & 1).astype(np.uint8)
    clear = chunk(b"tRNS", struct.pack(">H", 1))
    data = png(16, 1, bits, 0, b"\0" + np.packbits(packed).tobytes(), clear)
    full = 65535 if bits == 16 else 255
    levels = stored if bits == 16 else stored * 255 // (2**bits - 1)
    assert decode(data).ravel().tolist() == np.where(stored == 1, full, levels).tolist()
    kept = decode(data, keep_alpha=True)[0]
    assert kept[:, 0].tolist() == levels.tolist()
    assert kept[:, 1].tolist() == np.where(stored == 1, 0, full).tolist()


def test_sixteen_bit_colours_and_alpha():
    raw = b"\0" + struct.pack(">4H", 0, 32768, 65535, 32768)
    # On white with alpha a = 32768/65535: 65535 × (1 - a) + v × a.
    expected = [32767, 32767 + 16384, 65535]
    np.testing.assert_allclose(decode(png(1, 1, 16, 6, raw)).ravel(), expected, atol=1)
    kept = decode(png(1, 1, 16, 6, raw), keep_alpha=True)
    assert kept.ravel().tolist() == [0, 32768, 65535, 32768]


@pytest.mark.parametrize(
    ("data", "levels"),
    [
        (b"P5 4 1 15\n" + bytes([0, 5, 10, 15]), [0, 85, 170, 255]),
        (b"P2 4 1 15\n0 5 10 15\n", [0, 85, 170, 255]),
        (b"P2\n# by hand\n4 1\n255\n0 5 10 15\n", [0, 5, 10, 15]),
        (b"P5\n# by hand\n3 1\n4095\n" + struct.pack(">3H", 0, 819, 4095), [0, 51, 255]),
        (b"P2 3 1 4095\n0 819 4095\n", [0, 51, 255]),
        (b"P5 3 1 65535\n" + struct.pack(">3H", 0, 257, 65535), [0, 1, 255]),
        (b"P6 1 1 15\n" + bytes([5, 10, 15]), [85, 170, 255]),
        (b"P3 1 1 1023\n0 1023 0\n", [0, 255, 0]),
        (b"P1 4 1\n0 1 0 1\n", [255, 0, 255, 0]),
        (b"P4 4 1\n\x50", [255, 0, 255, 0]),
    ],
)
def test_pnm_is_stretched_by_its_own_maximum(data, levels):
    assert to_uint8(decode(data)).ravel().tolist() == levels


def test_cmyk_jpeg_is_read_in_its_colours():
    for colour in ((250, 20, 20), (20, 20, 20), (245, 245, 245)):
        data = write(Image.new("RGB", (32, 32), colour).convert("CMYK"), "JPEG", quality=95)
        np.testing.assert_allclose(decode(data)[16, 16], np.array(colour), atol=12)


@pytest.mark.parametrize(
    ("masks", "white", "red"),
    [(b"", 0x7FFF, 0x7C00), (struct.pack("<III", 0xF800, 0x7E0, 0x1F), 0xFFFF, 0xF800)],
)
def test_a_bmp_of_16_bits_has_the_full_scale(masks, white, red):
    rows = struct.pack("<4H", white, red, 0, white)  # two pixels a row, the last row first
    head = struct.pack("<IiiHHIIiiII", 40, 2, 2, 1, 16, 3 if masks else 0, 8, 0, 0, 0, 0) + masks
    data = struct.pack("<2sIHHI", b"BM", 14 + len(head) + 8, 0, 0, 14 + len(head)) + head + rows
    expected = [[[0, 0, 0], [255] * 3], [[255] * 3, [255, 0, 0]]]
    assert decode(data).tolist() == expected
    with pytest.raises(ImageError, match="damaged or cut short"):
        decode(data[:-4])


def test_32_bit_bmp_without_alpha_is_not_taken_for_clear():
    pixels = np.zeros((4, 5, 4), np.uint8)
    pixels[..., :3] = np.arange(60).reshape(4, 5, 3)
    info = struct.pack("<IiiHHIIiiII", 40, 5, 4, 1, 32, 0, 80, 0, 0, 0, 0)
    data = b"BM" + struct.pack("<IHHI", 134, 0, 0, 54) + info + pixels[::-1].tobytes()
    np.testing.assert_array_equal(decode(data), pixels[..., 2::-1])


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0garbage!!",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        # One tag: the orientation, but as the text "AB".
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x02AB\0\0\0\0\0\0",
    ],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # Pillow's, where it is the one compared with
def test_garbage_in_exif_spoils_no_picture(exif):
    data = write(draw("RGB"), "JPEG", exif=exif)
    np.testing.assert_allclose(decode(data), np.asarray(Image.open(io.BytesIO(data))), atol=1)


def test_trailing_junk_is_fine():
    for kind in ("JPEG", "PNG"):
        data = write(draw("RGB"), kind)
        np.testing.assert_array_equal(decode(data + b"\0junk" * 100), decode(data))


@pytest.mark.parametrize("kind", MODES)
def test_formats_are_known_by_content(kind):
    assert is_image(write(draw(MODES[kind][0]), kind)[:HEAD_BYTES])


@pytest.mark.parametrize(
    "text",
    [b"", b"B", b"BMI,age,label\n1,2,x", b"P1 patients were seen", b"RIFF\0\0\0\0WAVE", b"%PDF"],
)
def test_text_is_no_image(text):
    assert not is_image(text)


def noise(mode, kind, **options):
    """Return a file that does not compress well, so that any share of it holds pixels."""
    rng = np.random.default_rng(1)
    values = (np.kron(COLOURS, np.ones((5, 5, 1))) + rng.integers(0, 40, (120, 200, 3))) % 256
    image = Image.fromarray(values.astype(np.uint8))
    return write(image.quantize(64) if mode == "P" else image.convert(mode), kind, **options)


DAMAGED = [
    ("PNG", "RGB", {}),
    ("PNG", "P", {}),
    ("JPEG", "RGB", {}),
    ("JPEG", "L", {"progressive": True}),
    ("WEBP", "RGB", {}),
    ("WEBP", "RGB", {"lossless": False}),
    ("BMP", "RGB", {}),
    ("BMP", "P", {}),
    ("TIFF", "RGB", {}),
    ("TIFF", "L", {"compression": "tiff_lzw"}),
    ("TIFF", "RGBA", {}),
    ("GIF", "P", {}),
    ("PPM", "RGB", {}),
    ("PPM", "L", {}),
]


@pytest.mark.parametrize("percent", [10, 50, 90, 99])
@pytest.mark.parametrize(("kind", "mode", "options"), DAMAGED)
def test_a_cut_file_is_refused_in_silence(kind, mode, options, percent, capfd):
    data = noise(mode, kind, **options)
    decode(data)
    with pytest.raises(ImageError, match=r"damaged|not an image"):
        decode(data[: len(data) * percent // 100])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("missing", [1, 4, 8, 12])
def test_a_png_without_its_end_is_refused_in_silence(missing, capfd):
    with pytest.raises(ImageError, match="cut short"):
        decode(noise("RGB", "PNG")[:-missing])
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("seed", range(20))
def test_a_png_with_wrong_bytes_is_refused_in_silence(seed, capfd):
    data = bytearray(noise("RGB", "PNG"))
    for place in np.random.default_rng(seed).integers(100, len(data) - 30, 5):
        data[place] ^= 0x55
    with pytest.raises(ImageError, match="damaged"):
        decode(bytes(data))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_an_odd_colour_profile_is_nothing_to_speak_of(mode, capfd):
    """libpng says on stderr that the profile of colours does not belong to a grey picture."""
    colours = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).convert(mode)
    plain, odd = io.BytesIO(), io.BytesIO()
    extra = {"transparency": 5} if mode == "L" else {}
    image.save(plain, "PNG", **extra)
    image.save(odd, "PNG", icc_profile=colours, **extra)
    np.testing.assert_array_equal(
        decode(odd.getvalue(), keep_alpha=True), decode(plain.getvalue(), keep_alpha=True)
    )
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("kind", "mode", "options"), DAMAGED)
def test_wrong_bytes_give_a_picture_or_an_image_error(kind, mode, options):
    whole = noise(mode, kind, **options)
    for seed in range(10):
        data, rng = bytearray(whole), np.random.default_rng(seed)
        for place in rng.integers(0, len(data), 20):
            data[place] = rng.integers(256)
        try:
            assert decode(bytes(data)).dtype == np.uint8
        except ImageError as error:
            assert "\n" not in str(error)  # noqa: PT017 - either way is right


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"hello, this is text\n" * 50, "not an image"),
        (b"\x89PNG\r\n\x1a\n", "damaged|not an image"),
        (b"%PDF-1.7 ...", "not an image"),
    ],
)
def test_what_is_no_image_is_refused(data, why):
    with pytest.raises(ImageError, match=why):
        decode(data)


def real_jpeg():
    files = sorted((SHARED_DATA / "defects" / "crazing").glob("*.jpg"))
    if not files:
        pytest.skip(f"no real images in {SHARED_DATA}")
    return files[0]


def test_half_a_real_jpeg_is_refused(tmp_path, capfd):
    import cv2

    data = real_jpeg().read_bytes()
    half = tmp_path / "half.jpg"
    half.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match="cut short"):
        decode(half.read_bytes())
    assert capfd.readouterr().err == ""
    # Why it is decoded from bytes: this is a picture to imread. (If that ends, only we gain.)
    careless = cv2.imread(str(half))
    assert careless is None or careless.shape == (*decode(data).shape[:2], 3)


@pytest.mark.parametrize("before", [[], [chunk(b"eXIf", b"II*\0\x08\0\0\0\0\0\0\0\0\0")]])
def test_a_bomb_is_refused_from_its_header(before, capfd):
    row_bytes = 30000 * 3 + 1
    squeeze = zlib.compressobj(9)
    zeros = bytes(row_bytes * 100)
    body = b"".join(squeeze.compress(zeros) for _ in range(3)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", body), *before, chunk(b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(parts)
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(ImageError, match="too large"):
        decode(data)
    seconds, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 1
    assert peak < 10e6
    assert capfd.readouterr().err == ""


def test_the_bound_is_ours_where_pillow_only_warns():
    side = int(MAX_PIXELS**0.5) + 1
    for size, why in (((side, side), "too large"), ((side - 200, side - 200), "damaged")):
        data = b"P5 %d %d 255\n" % size
        with pytest.raises(ImageError, match=why):
            decode(data)


def test_threads_leave_the_warning_filters_as_they_were():
    import warnings

    data = write(draw("RGBA"), "TIFF")
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decode, [data] * 400))
    assert warnings.filters == before


def test_to_channels_follows_itu_r_601():
    expected = COLOURS.astype(float) @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(to_channels(COLOURS, 1)[..., 0], expected, atol=0.6)
    grey = COLOURS[..., :1]
    np.testing.assert_array_equal(to_channels(grey, 3), np.concatenate([grey] * 3, axis=2))


def test_is_grey_allows_what_jpeg_blurs():
    grey = np.repeat(COLOURS[..., :1], 3, axis=2)
    assert is_grey(grey[..., :1])
    assert is_grey(decode(write(Image.fromarray(grey), "JPEG")))
    assert not is_grey(COLOURS)
