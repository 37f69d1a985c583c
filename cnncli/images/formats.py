"""What formats there are, and the header of a file of any of them."""

from __future__ import annotations

import re

from cnncli.images.header import Header, ImageError, check_size
from cnncli.images.raster import read_raster_header

# So many first bytes of a file tell whether it is an image: DICOM's mark stands behind 128.
HEAD_BYTES = 132


# Sizes of a BMP's second header, low 16 bits.
_BMP_HEADERS = {size.to_bytes(2, "little") for size in (12, 16, 40, 52, 56, 64, 108, 124)}


_PNM_START = re.compile(rb"P[1-6]\s+(#|\d)")


def is_image(head: bytes) -> bool:
    """Tell from a file's first ``HEAD_BYTES`` whether it is of a format we read.

    A ``.npz`` is a zip like many others: only its name tells.
    """
    return (
        head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a"))
        or is_tiff(head)
        or head.startswith(b"\x93NUMPY")
        or is_dicom(head)
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        # Two letters alone would take a text such as "BMI,age" for a picture.
        or (head[:2] == b"BM" and head[14:16] in _BMP_HEADERS)
        or _PNM_START.match(head) is not None
    )


def is_tiff(head: bytes) -> bool:
    return head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"))


def is_dicom(head: bytes) -> bool:
    return head[128:132] == b"DICM"


def read_header(data: bytes) -> Header:
    """Read what an image file says of itself, and check its size before a pixel is decoded.

    Args:
        data: The whole file: TIFF and EXIF may name places far behind its beginning.

    Raises:
        ImageError: If the data are no image, damaged before the pixels, or too large.
    """
    if not data:
        raise ImageError("is empty (0 bytes)")
    if data.startswith((b"\x93NUMPY", b"PK\x03\x04")):
        from cnncli.images.npy import read_array_header

        header = read_array_header(data)
    elif is_tiff(data):
        from cnncli.images.tiff import read_tiff_header

        header = read_tiff_header(data)
    elif is_dicom(data):
        from cnncli.images.dicom import read_dicom_header

        header = read_dicom_header(data)
    else:
        header = read_raster_header(data)
    check_size(header.width, header.height)
    return header
