"""The facts that an image file gives in its header, before any pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnncli.arrays import Array

# Pillow's own bound for a decompression bomb: 2 × 89.5 million pixels, about 13,377 × 13,377.
MAX_PIXELS = 178_956_970

# A picture of so many pixels with four channels of 8 bits. What a file would unpack to counts, in
# bytes, with all its channels and frames.
MAX_BYTES = 4 * MAX_PIXELS


class ImageError(Exception):
    """A file cannot be read as an image; the message says why and does not name the file."""


class TooLargeError(ImageError):
    """A file has more pixels or bytes than are taken."""


@dataclass(frozen=True)
class Header:
    """What an image file says about itself.

    Attributes:
        format: Name of the format in capitals, such as ``PNG``, ``PPM`` (for every PNM file) or
            ``DICOM``.
        mode: Pillow's name of the pixel layout (``L``, ``RGBA``, ``P``, ``I;16``), DICOM's
            photometric interpretation, or the number type of a NumPy array.
        width: Width in pixels as stored, before the image is turned upright.
        height: Height in pixels as stored, before the image is turned upright.
        bits: Bits per channel.
        channels: Number of channels without alpha. All pages and frames that are read count.
        alpha: Whether the file has transparency. It may still be opaque everywhere.
        frames: Number of pages or pictures in the file.
        orientation: EXIF orientation, 1–8; 1 means upright, also where the format has none.
        camera: Maker and model of the camera or scanner, or an empty text.
        maximum: The stored value of white if the file names one (PNM); None means the greatest
            value of the number type.
        clear_level: The stored grey level that counts as transparent (PNG), or None.
        other_axes: (height, width, channels) if the axes of an array are read in the other way,
            channels first instead of last or the other way round; None if there is no other way.
        ambiguous: Whether both ways are as likely.
    """

    format: str
    mode: str
    width: int
    height: int
    bits: int
    channels: int
    alpha: bool = False
    frames: int = 1
    orientation: int = 1
    camera: str = ""
    maximum: int | None = None
    clear_level: int | None = None
    other_axes: tuple[int, int, int] | None = None
    ambiguous: bool = False


def to_float32(array: Array) -> Array:
    """Return numbers of any type as float32.

    Raises:
        ImageError: If a value is NaN or infinite, or greater than float32 can hold.
    """
    with np.errstate(over="ignore"):
        values = array.astype(np.float32)
    broken = ~np.isfinite(values)
    if broken.any():
        finite = array[broken & np.isfinite(array)]
        if len(finite):
            raise ImageError(
                f"holds the value {finite[0]:g}, which is beyond float32 (±3.4e38), in which "
                "images are computed"
            )
        raise ImageError("holds values that are not finite (NaN or infinity)")
    return values


def check_size(width: int, height: int) -> None:
    """Refuse an image that has so many pixels that it could fill the memory.

    Args:
        width: Width in pixels.
        height: Height in pixels.

    Raises:
        TooLargeError: If the image has more than ``MAX_PIXELS`` pixels.
    """
    if width * height > MAX_PIXELS:
        raise too_large(f"{width}×{height}")


def check_bytes(header: Header) -> None:
    """Refuse an image whose channels and frames together could fill the memory.

    Raises:
        TooLargeError: If it would unpack to more than ``MAX_BYTES`` bytes.
    """
    channels = header.channels + header.alpha
    size = header.width * header.height * channels * max(1, (header.bits + 7) // 8)
    if size > MAX_BYTES:
        raise TooLargeError(
            f"is too large: {header.width}×{header.height} with {channels} channels of "
            f"{header.bits} bits is {size:,} bytes, more than {MAX_BYTES:,}; make it smaller first"
        )


def declared_bits(header: Header) -> int:
    """Return the bits of which the values of a DICOM file are fractions; 0 for other formats."""
    return header.bits if header.format == "DICOM" else 0


def out_of_memory() -> TooLargeError:
    """Return the error for a file that does not fit into the memory that is free."""
    return TooLargeError("is too large for the memory that is free; make it smaller first")


def damaged(error: Exception) -> ImageError:
    """Return the ImageError for a file in which a decoder failed with ``error``."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return ImageError(f"is damaged or cut short ({reason})")


def too_large(what: str) -> TooLargeError:
    """Return the error for an image of more than ``MAX_PIXELS`` pixels; ``what`` is its size."""
    return TooLargeError(
        f"is too large: {what} has more than {MAX_PIXELS:,} pixels; make it smaller first"
    )
