"""JPEG: its pixels, decoded by libjpeg-turbo through simplejpeg.

OpenCV decodes the same pixels, but takes a file whose data break off before its end marker: what is
missing is grey, or left from another picture, and libjpeg writes a line on stderr that names no
file. simplejpeg hands over what libjpeg found.

Source: https://github.com/opencv/opencv/issues/26488 (the parts of another picture).
"""

from __future__ import annotations

import io
import re
import struct

import numpy as np
import simplejpeg

from cnncli.arrays import Array
from cnncli.images.header import Header, ImageError, damaged

_END = b"\xff\xd9"
_START_OF_SCAN, _FILL = 0xDA, 0xFF
# Segments that are in most JPEGs: the kinds of frames that everybody reads; JFIF, Huffman and
# quantisation tables, the interval of restarts, a comment. And Pillow's modes, by their channels.
_FRAMES, _PLAIN_SEGMENTS = (0xC0, 0xC1, 0xC2), (0xE0, 0xC4, 0xDB, 0xDD, 0xFE)
_MODES = {1: "L", 3: "RGB"}
# What libjpeg says of headers that are unusual, and goes on (the JWRN lines of its jerror.h).
_UNUSUAL = ("Unknown Adobe", "Warning: unknown JFIF", "Invalid SOS", "Inconsistent progression")
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0xd9\Z")
# So many bytes may stand between the picture and the end marker, whatever they are.
_MOST_LEFT_OVER = 4
_JFIF_REVISION = re.compile(rb"(?<=\A\xff\xe0..JFIF\0)..", re.DOTALL)


def read_plain_header(data: bytes) -> Header | None:
    """Return the header of a JPEG that says nothing but its size; None for any other file.

    Nothing of a camera, of a rotation or of several pictures is in it. Pillow takes half as long to
    be loaded as ONNX Runtime does, and as long for one header as for a small picture.
    """
    place, size, end = 2, None, len(data)
    while place + 4 <= end and data[place] == _FILL:
        kind, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if kind == _START_OF_SCAN:
            return size
        if kind in _FRAMES and size is None and place + 10 <= end:
            bits, height, width, count = struct.unpack_from(">BHHB", data, place + 4)
            if bits != 8 or count not in _MODES or not (height and width):
                return None
            if length != 8 + 3 * count:
                return None
            size = Header("JPEG", _MODES[count], width, height, 8, count)
        elif kind not in _PLAIN_SEGMENTS:
            return None
        place += 2 + length
    return None


def check_kind(data: bytes) -> None:
    """Refuse kinds of JPEG that no decoder here reads, which would be called damaged otherwise.

    Source: ITU-T T.81, B.2.2 (start of frame: its kind and precision).

    Raises:
        ImageError: If the file is lossless or hierarchical, or has other than 8 bits.
    """
    place = 2
    while data[place : place + 1] == b"\xff" and place + 4 < len(data):
        kind = data[place + 1]
        if kind == _FILL:
            place += 1
            continue
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            bits = data[place + 4]
            named = {0xC3: "lossless JPEG", 0xCB: "lossless JPEG"}.get(kind)
            if named is None and kind in (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF):
                named = "hierarchical JPEG"
            if named is None and bits != 8:
                named = f"JPEG of {bits} bits"
            if named:
                raise ImageError(f"is {named}, which cannot be read; convert it to PNG or TIFF")
            return
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")


def decode_jpeg(data: bytes, header: Header, reduction: int) -> Array:
    """Return the pixels (H, W, C) of uint8, grey or red, green, blue.

    Args:
        data: The bytes of the whole file.
        header: Its header.
        reduction: 1, 2, 4 or 8: the fraction of its size at which it is decoded.

    Raises:
        ImageError: If a part of the picture is missing or broken.
    """
    try:
        return _decode(data, header, reduction, strict=True)
    except ValueError as error:
        first = str(error)
    data = _tidy_header(data)
    if "premature end of data segment" in first and data.endswith(_END):
        # Some scanners leave out the last bits, which mean nothing. A picture that ends early lacks
        # more than these eight.
        data = data[:-2] + b"\0" + _END
    try:
        return _decode(data, header, reduction, strict=True)
    except ValueError as error:
        said = str(error)
        if _is_harmless(said, data):
            return _decode(data, header, reduction, strict=False)
        if not any(word in said for word in ("subsampling", "color")):
            raise damaged(error) from None
    return _decode_with_pillow(data, reduction)


def _decode(data: bytes, header: Header, reduction: int, *, strict: bool) -> Array:
    """Decode with the accurate DCT and smooth colours, as all other decoders do.

    Raises:
        ValueError: What libjpeg said; if ``strict``, also where it went on and made the best of it.
    """
    ink = header.mode == "CMYK"
    pixels: Array = simplejpeg.decode_jpeg(
        data,
        "CMYK" if ink else "GRAY" if header.channels == 1 else "RGB",
        fastdct=False,
        fastupsample=False,
        min_height=-(-header.height // reduction),
        min_width=-(-header.width // reduction),
        strict=strict,
    )
    return _mix(pixels) if ink else pixels


def _decode_with_pillow(data: bytes, reduction: int) -> Array:
    """Decode the rare kinds that simplejpeg does not know, such as three blocks for one of colour.

    Raises:
        ImageError: If the file is damaged; Pillow notices less.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            image.draft(image.mode, (image.width // reduction, image.height // reduction))
            image.load()
            if image.mode == "CMYK":
                return _mix(255 - np.asarray(image))
            return np.atleast_3d(np.asarray(image if image.mode == "L" else image.convert("RGB")))
    except UnidentifiedImageError:  # its words are the address of the bytes in memory
        raise ImageError("is damaged or cut short") from None
    except Exception as error:  # Pillow's parsers raise errors of many types
        raise damaged(error) from None


def _mix(inks: Array) -> Array:
    """Return the colours (H, W, 3) of four inks (H, W, 4), stored inverted as Adobe does.

    Source: OpenCV's icvCvt_CMYK2BGR.
    """
    colours, black = inks[..., :3].astype(np.int32), inks[..., 3:].astype(np.int32)
    return (black - ((255 - colours) * black >> 8)).astype(np.uint8)


def _is_harmless(text: str, data: bytes) -> bool:
    """Return whether libjpeg's words mean that the picture itself is what it was.

    All else is damage: also where it gives up in the middle of the picture, whose rest is missing
    then.

    A decoder that wrong bytes brought out of step finds its last block too early: what is left of
    the picture then stands before the end marker. A few bytes there, or many of one value, are what
    cameras fill a file up with, and as harmless as an unusual header.

    Args:
        text: What libjpeg said last.
        data: The bytes of the file.
    """
    found = _LEFT_OVER.search(text)
    if found is None:
        return text.startswith(_UNUSUAL)
    count = int(found[1])
    end = data.find(_END, data.find(bytes((_FILL, _START_OF_SCAN))))
    return count <= _MOST_LEFT_OVER or len(set(data[max(0, end - count) : end])) <= 1


def _tidy_header(data: bytes) -> bytes:
    """Return a JPEG without what libjpeg remarks in a header, which ends simplejpeg's reading.

    That are bytes between the segments, as some webcams write them, and unknown revisions of JFIF.
    """
    kept, place = [data[:2]], data.find(b"\xff", 2)
    while 0 <= place < len(data) - 4:
        kind = data[place + 1]
        if kind == _START_OF_SCAN:
            return b"".join([*kept, data[place:]])
        if kind != _FILL:
            end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
            kept.append(_JFIF_REVISION.sub(b"\1\1", data[place:end]))
            place = end - 1
        place = data.find(b"\xff", place + 1)
    return data
