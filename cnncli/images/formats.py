"""The table of image formats, and the header of a file of any of them.

A new format is one new module in this folder and one row in ``FORMATS``. The module has the two
functions of :class:`FormatModule`. Which files count as images, how a file is recognised and which
formats an error message names all follow from the table.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol, cast

from cnncli.arrays import Array
from cnncli.images.header import Header, ImageError, check_bytes, check_size, out_of_memory

# Number of bytes at the beginning of a file that recognise its format. DICOM needs the most: its
# mark is four bytes long and follows 128 bytes that may hold anything.
HEAD_BYTES = 132


class FormatModule(Protocol):
    """The functions of a module that reads one or several formats."""

    def read_header(self, data: bytes) -> Header:
        """Return what a file says about itself, without decoding its pixels.

        Args:
            data: The bytes of the whole file.

        Raises:
            ImageError: If the file is damaged, or of a kind that is not supported.
        """

    def decode_pixels(
        self, data: bytes, header: Header, *, raw: bool, reduction: int
    ) -> tuple[Array, bool]:
        """Return the pixels as they are stored, and whether the last channel is alpha.

        Args:
            data: The bytes of the whole file.
            header: What :meth:`read_header` returned for this file.
            raw: Whether physical units are wanted in place of what the file's own display window
                shows. Formats without such a window ignore it.
            reduction: 1, 2, 4 or 8: a decoder that can decode at this fraction of the size may do
                so; all others ignore it.

        Returns:
            Array (H, W, C) of any number type, with channels in the order grey or red, green,
            blue, then alpha. It is not yet turned upright: ``decode`` does that.

        Raises:
            ImageError: If the file is damaged, or of a kind that is not supported.
        """


@dataclass(frozen=True)
class ImageFormat:
    """One row of the table.

    Attributes:
        name: Name of the format as messages write it. Rows may share a name.
        suffixes: Endings of file names, in lower case with the dot.
        magic: Takes the first ``HEAD_BYTES`` bytes of a file, or more, and returns whether the
            file is of this format.
        module: Name of the module in ``cnncli.images`` that reads the format. It is imported when
            the first file of the format is read.
        by_name_only: Whether a file counts as an image only if its name has one of the suffixes,
            because files that are no images begin with the same bytes.
    """

    name: str
    suffixes: tuple[str, ...]
    magic: Callable[[bytes], bool]
    module: str
    by_name_only: bool = False

    def load(self) -> FormatModule:
        """Import the module that reads the format and return it."""
        return _import(self.module)


@cache
def _import(module: str) -> FormatModule:
    return cast(FormatModule, importlib.import_module(f"{__package__}.{module}"))


def _begins(*marks: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(marks)


# The size of a BMP's second header, its low 16 bits. The two letters "BM" alone would take a text
# such as "BMI,age" for a picture.
_BMP_SIZES = {size.to_bytes(2, "little") for size in (12, 16, 40, 52, 56, 64, 108, 124)}
_PNM_START = re.compile(rb"P[1-6]\s+(#|\d)")


def _brands(head: bytes) -> set[bytes]:
    """Return the brands of a file of the ISO base media format (AVIF, HEIC, MP4)."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(len(head), int.from_bytes(head[:4], "big"), HEAD_BYTES)
    return {head[8:12], *(head[place : place + 4] for place in range(16, end, 4))}


# A DICOM file without its preamble begins with an element of group 2 or 8. With a VR (two capital
# letters) that is certain enough; without one, only the usual first elements count.
_DICOM_START = re.compile(
    rb"(\x02\0[\0-\x02]\0(UL|OB)|\x08\0.\0(CS|UI|DA|TM|LO|SH|UL))"
    rb"|\x08\0(\0\0\x04\0\0\0|[\x05\x08\x16\x18]\0.\0\0\0)",
    re.DOTALL,
)


def _is_dicom(head: bytes) -> bool:
    return head[128:132] == b"DICM" or _DICOM_START.match(head) is not None


def _is_avif(head: bytes) -> bool:
    return bool(_brands(head) & {b"avif", b"avis"})


def _is_heic(head: bytes) -> bool:
    brands = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
    return not _is_avif(head) and bool(_brands(head) & brands)


RAW_SUFFIXES = (
    *(".raw", ".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2"),
    *(".orf", ".rw2", ".raf", ".pef", ".srw", ".x3f", ".3fr", ".iiq", ".rwl"),
)


def _is_camera_raw(head: bytes) -> bool:
    marks = (b"IIRO", b"IIRS", b"IIU\0", b"FUJIFILMCCD-RAW", b"FOVb")
    return head.startswith(marks) or head[8:10] == b"CR" or head[4:12] == b"ftypcrx "


# The first row whose magic fits decides.
FORMATS: tuple[ImageFormat, ...] = (
    ImageFormat("PNG", (".png",), _begins(b"\x89PNG\r\n\x1a\n"), "raster"),
    ImageFormat("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), _begins(b"\xff\xd8\xff"), "raster"),
    ImageFormat("TIFF", (".tif", ".tiff"), _begins(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "tiff"),
    ImageFormat(
        "WebP",
        (".webp",),
        lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP",
        "raster",
    ),
    ImageFormat(
        "BMP",
        (".bmp", ".dib"),
        lambda head: head[:2] == b"BM" and head[14:16] in _BMP_SIZES,
        "raster",
    ),
    ImageFormat("GIF", (".gif",), _begins(b"GIF87a", b"GIF89a"), "raster"),
    ImageFormat(
        "PNM",
        (".pbm", ".pgm", ".ppm", ".pnm"),
        lambda head: _PNM_START.match(head) is not None,
        "raster",
    ),
    ImageFormat("AVIF", (".avif", ".avifs"), _is_avif, "modern"),
    ImageFormat(
        "JPEG 2000",
        (".jp2", ".j2k", ".jpx", ".j2c", ".jpf", ".jpc"),
        _begins(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
        "modern",
    ),
    ImageFormat("NumPy", (".npy",), _begins(b"\x93NUMPY"), "npy"),
    # A .npz file is a zip archive like many files that hold no images.
    ImageFormat("NumPy", (".npz",), _begins(b"PK\x03\x04"), "npy", by_name_only=True),
    ImageFormat("DICOM", (".dcm", ".dicom"), _is_dicom, "dicom"),
)


@dataclass(frozen=True)
class UnreadFormat:
    """A format of pictures that is recognised, so that its files are named and not passed over.

    Attributes:
        name: Name of the format as messages write it.
        suffixes: Endings of file names, in lower case with the dot.
        magic: Takes the first ``HEAD_BYTES`` bytes of a file and returns whether it is of this
            format; None if only the name tells.
        instead: What to convert its files to.
    """

    name: str
    suffixes: tuple[str, ...]
    magic: Callable[[bytes], bool] | None
    instead: str = "PNG or TIFF"


UNREAD_FORMATS: tuple[UnreadFormat, ...] = (
    UnreadFormat("HEIC", (".heic", ".heif", ".hif"), _is_heic, "JPEG or PNG"),
    UnreadFormat("JPEG XL", (".jxl",), _begins(b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")),
    UnreadFormat("JPEG XR", (".jxr", ".wdp", ".hdp"), _begins(b"II\xbc\x01")),
    UnreadFormat("Photoshop", (".psd", ".psb"), _begins(b"8BPS")),
    UnreadFormat("OpenEXR", (".exr",), _begins(b"\x76\x2f\x31\x01"), "a TIFF of floats"),
    UnreadFormat("Radiance HDR", (".hdr",), _begins(b"#?RADIANCE", b"#?RGBE"), "a TIFF of floats"),
    UnreadFormat("GIMP", (".xcf",), _begins(b"gimp xcf")),
    UnreadFormat("an icon", (".ico",), None),
    UnreadFormat("Targa", (".tga",), None),
    UnreadFormat("SVG", (".svg",), None),
    UnreadFormat("a camera's raw file", RAW_SUFFIXES, _is_camera_raw),
)

IMAGE_SUFFIXES = frozenset(
    [suffix for row in FORMATS for suffix in row.suffixes]
    + [suffix for unread in UNREAD_FORMATS for suffix in unread.suffixes]
)

_NAMES = list(dict.fromkeys(row.name for row in FORMATS))
FORMAT_NAMES = f"{', '.join(_NAMES[:-1])} or {_NAMES[-1]}"


def is_image(head: bytes) -> bool:
    """Return whether a file is an image, by its first ``HEAD_BYTES`` bytes, readable or not.

    The answer is False for a ``.npz`` file, which only its name distinguishes from other archives.
    """
    readable = any(row.magic(head) for row in FORMATS if not row.by_name_only)
    return readable or any(row.magic(head) for row in UNREAD_FORMATS if row.magic is not None)


def find_format(data: bytes) -> ImageFormat:
    """Return the format of a file by its content.

    Args:
        data: The whole file, or at least its first ``HEAD_BYTES`` bytes.

    Raises:
        ImageError: If the file is empty or of no format in the table.
    """
    if not data:
        raise ImageError("is empty (0 bytes)")
    for row in FORMATS[:2]:  # PNG and JPEG: nearly every file, and no other format begins so
        if row.magic(data):
            return row
    for unread in UNREAD_FORMATS:  # first: a Canon raw file begins like a TIFF
        if unread.magic is not None and unread.magic(data):
            raise ImageError(_unread(unread))
    for row in FORMATS:
        if row.magic(data):
            return row
    if b"<svg" in data[:1024]:
        raise ImageError("is SVG, a drawing and no pixels; convert it to PNG")
    raise ImageError(f"is not an image of a known format ({FORMAT_NAMES})")


def _unread(row: UnreadFormat) -> str:
    return f"is {row.name}, which cannot be read; convert it to {row.instead}"


def read_header(data: bytes, channels: int | None = None) -> Header:
    """Return what an image file says about itself, after a check of its size.

    Args:
        data: The whole file: TIFF and EXIF data may lie far behind its beginning.
        channels: The number of channels that is wanted, which decides whether the first or the
            last axis of a NumPy array is the channels. 0 takes the likelier axis.

    Raises:
        ImageError: If the file is no image, is damaged before the pixels, is too large, or is an
            array that could be read in two ways.
    """
    try:
        header = find_format(data).load().read_header(data)
    except MemoryError:
        raise out_of_memory() from None
    if header.other_axes is not None and channels != header.channels:
        height, width, count = header.other_axes
        if channels == count:
            header = replace(header, height=height, width=width, channels=count)
        elif header.ambiguous and channels != 0:
            raise ImageError(
                f"is an array of {header.channels} or {count} channels, by its first or last axis; "
                "--in-channels decides which, when a network is trained"
            )
    check_size(header.width, header.height)
    check_bytes(header)
    return header
