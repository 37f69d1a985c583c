"""What an image file says of itself before a pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass

# Pillow's own bound for a decompression bomb: 2 × 89.5 million pixels, about 13,377 × 13,377.
MAX_PIXELS = 178_956_970


class ImageError(Exception):
    """A file that cannot be read as an image; the message says why, without the path."""


@dataclass(frozen=True)
class Header:
    """What a file says of itself.

    Attributes:
        format: ``PNG``, ``JPEG``, ``TIFF``, ``WEBP``, ``BMP``, ``GIF``, ``PPM`` (any PNM), ``NPY``,
            ``NPZ`` or ``DICOM``.
        mode: As Pillow names it (``L``, ``RGBA``, ``P``, ``I;16``), or the type of an array.
        width: As stored, in pixels.
        height: As stored, in pixels.
        bits: Per channel.
        channels: Without alpha; all pages, frames and planes of a picture count.
        alpha: Whether it is transparent somewhere, or may be.
        frames: Pages or pictures in the file.
        orientation: EXIF's, 1–8; 1 where the file has none or its format is turned upright.
        camera: EXIF's make and model, or an empty text.
        maximum: The value of full scale where the file names another than its type's (PNM).
        clear_level: The grey that a picture declares transparent, of its type's full scale.
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


def check_size(width: int, height: int) -> None:
    """Refuse what would fill the memory, whatever the file says else."""
    if width * height > MAX_PIXELS:
        raise ImageError(too_large(f"{width}×{height}"))


def damaged(error: Exception) -> ImageError:
    """Return the error of a file whose structure does not hold together."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return ImageError(f"is damaged or cut short ({reason})")


FORMAT_NAMES = "PNG, JPEG, TIFF, WebP, BMP, GIF, PNM, NumPy or DICOM"


def too_large(what: str) -> str:
    return f"is too large: {what} has more than {MAX_PIXELS:,} pixels; make it smaller first"
