"""TIFFs of rarer kinds: read as they are meant, or refused by name."""

import io
import struct

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from cnncli.images.decode import decode
from cnncli.images.formats import read_header
from cnncli.images.header import ImageError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 65536, (8, 12)).astype(np.uint16)
LZW, DEFLATE = 5, 8
# Numbers of tags. Source: TIFF 6.0.
BITS, COMPRESSION, COLOURS, OFFSETS, SAMPLES, COUNTS, PLANES, EXTRA = (
    *(258, 259, 262, 273, 277, 279, 284, 338),
)


def written(strips, **tags):
    """Return a TIFF of 12×8 pixels with these strips; tags of more than one value share a place."""
    values = {256: [12], 257: [8], 278: [8], OFFSETS: [0] * len(strips), **tags["more"]}
    values[COUNTS] = [len(strip) for strip in strips]
    ends = 8 + 2 + 12 * len(values) + 4
    place = ends + sum(4 * len(row) for row in values.values() if len(row) > 1)
    values[OFFSETS] = [place + sum(values[COUNTS][:number]) for number in range(len(strips))]
    entries, outside = b"", b""
    for tag in sorted(values):
        row = values[tag]
        body = struct.pack(f"<{len(row)}I", *row)
        if len(row) > 1:
            body, outside = struct.pack("<I", ends + len(outside)), outside + body
        entries += struct.pack("<HHI", tag, 4, len(row)) + body
    table = struct.pack("<2sHIH", b"II", 42, 8, len(values)) + entries + struct.pack("<I", 0)
    return table + outside + b"".join(strips)


def lzw(array):
    """Return the one strip of an array (H, W) or (H, W, 4) of uint16, packed by OpenCV as LZW."""
    done, data = cv2.imencode(".tif", array, [cv2.IMWRITE_TIFF_COMPRESSION, LZW])
    assert done
    data = data.tobytes()
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        predictor, (start,), (size,) = int(page.predictor), page.dataoffsets, page.databytecounts
    return data[start : start + size], {317: [predictor]}


def packed_bits(values, bits):
    """Return rows of values of fewer than 16 bits, each row filled up to whole bytes."""
    rows = []
    for row in values:
        text = "".join(f"{value:0{bits}b}" for value in row)
        text += "0" * (-len(text) % 8)
        rows.append(int(text, 2).to_bytes(len(text) // 8, "big"))
    return b"".join(rows)


@pytest.mark.parametrize("bits", [2, 4, 10, 12, 14])
@pytest.mark.parametrize("white", [0, 1])
def test_values_of_other_numbers_of_bits_have_their_full_scale(bits, white):
    values = GREY >> (16 - bits)
    more = {BITS: [bits], COMPRESSION: [1], COLOURS: [1 - white], SAMPLES: [1]}
    found = decode(written([packed_bits(values, bits)], more=more))[..., 0]
    fractions = values / (2**bits - 1)
    expected = 1 - fractions if white else fractions
    assert np.abs(found / np.iinfo(found.dtype).max - expected).max() < 1e-4 + 0.5 / 255 * (
        bits < 8
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pages_with_lzw_are_channels(dtype):
    pages = [(GREY >> 8 * (dtype == np.uint8)).astype(dtype), GREY.astype(dtype)[::-1].copy()]
    first, second = (Image.fromarray(page) for page in pages)
    file = io.BytesIO()
    first.save(file, "TIFF", save_all=True, append_images=[second], compression="tiff_lzw")
    assert np.array_equal(decode(file.getvalue()), np.stack(pages, axis=2))


def test_16_bit_planes_with_lzw_are_refused_and_not_mixed():
    strips, (more, *_) = zip(
        *(lzw(plane) for plane in (GREY, GREY[::-1].copy(), GREY.T.reshape(8, 12))), strict=True
    )
    more |= {BITS: [16] * 3, COMPRESSION: [LZW], COLOURS: [2], SAMPLES: [3], PLANES: [2]}
    with pytest.raises(ImageError, match="3 samples of 16 bits in separate planes with LZW"):
        decode(written(list(strips), more=more))


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("compression", [1, LZW])
def test_colours_multiplied_by_alpha_of_more_than_8_bits(dtype, compression):
    alpha, colours = RNG.random((8, 12, 1)), RNG.random((8, 12, 3))
    full = 65535 if dtype == np.uint16 else 1
    stored = (np.concatenate([colours * alpha, alpha], axis=2) * full).astype(dtype)
    if compression == 1:
        file = io.BytesIO()
        tifffile.imwrite(file, stored, photometric="rgb", extrasamples=["assocalpha"])
        data = file.getvalue()
    else:
        strip, more = lzw(stored[..., [2, 1, 0, 3]].copy())
        more |= {BITS: [16] * 4, COMPRESSION: [LZW], COLOURS: [2], SAMPLES: [4], EXTRA: [1]}
        if dtype == np.float32:
            more |= {BITS: [32] * 4, 339: [3] * 4}
        data = written([strip], more=more)
    on_white = colours * alpha + 1 - alpha
    assert np.abs(decode(data) / full - on_white).max() < 2e-3


def test_floats_with_a_predictor_are_read():
    values = GREY.astype(np.float32) / 65535
    options = [cv2.IMWRITE_TIFF_COMPRESSION, DEFLATE, cv2.IMWRITE_TIFF_PREDICTOR, 3]
    data = cv2.imencode(".tif", values, options)[1].tobytes()
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        assert (file.pages[0].compression, file.pages[0].predictor) == (DEFLATE, 3)
    assert np.array_equal(decode(data)[..., 0], values)


def test_a_palette_of_8_bit_values_is_not_black():
    picture = Image.fromarray(RNG.integers(0, 256, (8, 12, 3), np.uint8)).quantize(16)
    palette = np.zeros((3, 256), np.uint16)
    palette[:, :16] = np.reshape(picture.getpalette()[:48], (16, 3)).T
    file = io.BytesIO()
    tifffile.imwrite(file, np.asarray(picture), photometric="palette", colormap=palette)
    assert np.array_equal(decode(file.getvalue()), np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate"])
def test_a_packed_palette_of_8_bit_values_is_not_black(compression):
    picture = Image.fromarray(RNG.integers(0, 256, (8, 12, 3), np.uint8)).quantize(16)
    file = io.BytesIO()
    picture.save(file, "TIFF", compression=compression)
    data = file.getvalue()
    with tifffile.TiffFile(io.BytesIO(data)) as opened:
        order, tag = opened.byteorder, opened.pages[0].tags["ColorMap"]
    end = tag.valueoffset + 2 * tag.count
    values = np.frombuffer(data[tag.valueoffset : end], f"{order}u2") // 256
    eight = data[: tag.valueoffset] + values.astype(f"{order}u2").tobytes() + data[end:]
    assert np.array_equal(decode(data), np.asarray(picture.convert("RGB")))
    assert np.array_equal(decode(eight), np.asarray(picture.convert("RGB")))


def test_lab_colours_are_refused_and_not_taken_for_rgb():
    lab = ImageCms.buildTransform(
        *(ImageCms.createProfile(name) for name in ("sRGB", "LAB")), "RGB", "LAB"
    )
    picture = Image.fromarray(RNG.integers(0, 256, (8, 12, 3), np.uint8))
    file = io.BytesIO()
    ImageCms.applyTransform(picture, lab).save(file, "TIFF")
    with pytest.raises(ImageError, match=r"CIELAB.*convert it to RGB"):
        read_header(file.getvalue())


@pytest.mark.parametrize("options", [{"imagej": True}, {"photometric": "minisblack"}])
def test_a_stack_with_an_entry_for_its_first_picture_alone_is_refused(options):
    stack = RNG.integers(0, 256, (5, 8, 12), np.uint8)
    file = io.BytesIO()
    tifffile.imwrite(file, stack, truncate=True, **options)
    with pytest.raises(ImageError, match="5 pictures with entries for only 1"):
        read_header(file.getvalue())
    whole = io.BytesIO()
    tifffile.imwrite(whole, stack, **options)
    assert np.array_equal(decode(whole.getvalue()), np.moveaxis(stack, 0, 2))


def test_a_stack_that_was_cut_in_two_files_has_the_pages_that_it_has():
    stack = RNG.integers(0, 256, (4, 8, 12), np.uint8)
    told = "ImageJ=1.53t\nimages=10\nslices=10\n"  # of both files together
    file = io.BytesIO()
    tifffile.imwrite(file, stack, photometric="minisblack", metadata=None, description=told)
    assert np.array_equal(decode(file.getvalue()), np.moveaxis(stack, 0, 2))


def test_a_mask_of_valid_pixels_is_no_channel():
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(GREY)
        writer.write(GREY > 9, photometric="mask", subfiletype=4)
    assert np.array_equal(decode(file.getvalue()), GREY[..., None])


def test_pages_of_different_number_types_are_refused():
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(GREY)
        writer.write((GREY >> 8).astype(np.uint8))
    with pytest.raises(ImageError, match="pages of different kinds"):
        read_header(file.getvalue())


def test_a_compression_that_nothing_here_unpacks_is_named():
    more = {BITS: [16], COMPRESSION: [34887], COLOURS: [1], SAMPLES: [1]}  # LERC
    with pytest.raises(ImageError, match=r"1 sample of 16 bits with LERC .*uncompressed or with"):
        decode(written([bytes(100)], more=more))


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("options", [{"imagej": True}, {"photometric": "minisblack"}])
def test_the_first_picture_of_a_stack_saved_alone_keeps_its_description(options, compression):
    stack = RNG.integers(0, 256, (5, 40, 60), np.uint8)
    whole, file = io.BytesIO(), io.BytesIO()
    tifffile.imwrite(whole, stack, **options)
    picture = Image.open(whole)
    picture.save(file, "TIFF", compression=compression, tiffinfo=picture.tag_v2)
    with tifffile.TiffFile(io.BytesIO(file.getvalue())) as opened:
        assert opened.pages[0].description
    assert np.array_equal(decode(file.getvalue()), stack[0][..., None])


def test_a_page_marked_as_a_mask_that_is_alone_is_the_picture():
    data = written([GREY.tobytes()], more={254: [4], BITS: [16], COLOURS: [1], SAMPLES: [1]})
    assert np.array_equal(decode(data), GREY[..., None])


def test_a_volume_in_one_page_is_refused_and_not_mixed():
    file = io.BytesIO()
    volume = RNG.integers(0, 256, (16, 16, 16), np.uint8)
    tifffile.imwrite(file, volume, volumetric=True, photometric="minisblack", tile=(16, 16, 16))
    with pytest.raises(ImageError, match="volumes as pages; save it so that each slice is a page"):
        read_header(file.getvalue())


def test_bytes_with_a_sign_do_not_lose_it():
    strip, more = lzw(GREY.astype(np.uint8))
    more |= {BITS: [8], COMPRESSION: [LZW], COLOURS: [1], SAMPLES: [1], 339: [2]}
    with pytest.raises(ImageError, match="1 sample of 8 bits with LZW compression"):
        decode(written([strip], more=more))


def test_uncompressed_values_that_nothing_here_unpacks_need_other_bits():
    more = {BITS: [24], COMPRESSION: [1], COLOURS: [1], SAMPLES: [1]}
    with pytest.raises(ImageError, match=r"1 sample of 24 bits, which .*; save it with 8, 16 or"):
        decode(written([bytes(8 * 12 * 3)], more=more))


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_alpha_before_another_sample_is_put_last(kind):
    stored = RNG.integers(0, 100, (8, 12, 5), np.uint8)
    stored[..., 3] = 255
    stored[0, 0, :4] = 0
    file = io.BytesIO()
    tifffile.imwrite(file, stored, photometric="rgb", extrasamples=[kind, "unspecified"])
    found = decode(file.getvalue(), keep_alpha=True)
    assert np.array_equal(found[..., 4], stored[..., 3])
    assert np.array_equal(found[1:, :, :4], stored[1:][..., [0, 1, 2, 4]])


def test_a_height_of_more_strips_than_there_are_is_damage():
    more = {BITS: [16], COMPRESSION: [1], COLOURS: [1], SAMPLES: [1], 257: [9_000_000], 278: [8]}
    with pytest.raises(ImageError, match="damaged or cut short"):
        decode(written([GREY.tobytes()], more=more))


def test_a_size_that_is_no_number_is_damage():
    data = written([GREY.tobytes()], more={BITS: [16], SAMPLES: [1], 257: [8, 8]})
    with pytest.raises(ImageError, match="damaged or cut short"):
        read_header(data)
