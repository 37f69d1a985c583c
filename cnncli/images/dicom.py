"""DICOM: what a viewer shows of a file, or its physical units; needs ``cnncli[dicom]``."""

from __future__ import annotations

import io
import warnings
import zlib
from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.images.dicom_display import (
    Display,
    full_bits,
    is_in_units,
    read_displays,
    show,
    to_fractions,
    to_units,
    unit_range,
)
from cnncli.images.header import (
    MAX_BYTES,
    Header,
    ImageError,
    TooLargeError,
    damaged,
    to_float32,
)

# The transfer syntax of deflated files, where to look for it, and how much is unpacked at a time.
_DEFLATED, _META_BYTES, _PIECE = b"1.2.840.10008.1.2.1.99", 4096, 1 << 24

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

_DIRECTORY = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage, DICOM PS3.4 annex B.5


def read_header(data: bytes) -> Header:
    """Return what a file says about itself; see :class:`cnncli.images.formats.FormatModule`.

    The channels of all frames count.
    """
    dataset = _read(data, pixels=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _describe(dataset)
    except ImageError:
        raise
    except Exception as error:  # pydicom reads each value when it is asked for
        raise damaged(error) from None


def _describe(dataset: Any) -> Header:
    if dataset.file_meta.get("MediaStorageSOPClassUID") == _DIRECTORY:
        raise ImageError("is a DICOMDIR, the table of contents of a disc, and no picture")
    samples = int(dataset.get("SamplesPerPixel", 1))
    frames = int(dataset.get("NumberOfFrames", 1) or 1)
    colour = str(dataset.get("PhotometricInterpretation", ""))
    tags = ("Manufacturer", "ManufacturerModelName")
    make = [str(dataset.get(tag, "") or "") for tag in tags]
    return Header(
        format="DICOM",
        mode=colour,
        width=int(dataset.Columns),
        height=int(dataset.Rows),
        bits=int(dataset.get("BitsStored", dataset.get("BitsAllocated", 8))),
        channels=(3 if colour == "PALETTE COLOR" else samples) * frames,
        frames=frames,
        camera=" ".join(filter(None, make)),
    )


def decode_pixels(data: bytes, header: Header, *, raw: bool, reduction: int) -> tuple[Array, bool]:
    """Return a picture (H, W, C), and False: there is no alpha.

    Args:
        data: The bytes of the whole file.
        header: Not used.
        raw: Whether to return physical units (Hounsfield units in CT) in place of the picture.
        reduction: Not used; the picture always has its full size.

    Returns:
        float32. With ``raw``: the stored values times the file's slope plus its intercept.
        Otherwise fractions 0–1: what the file's own display window or lookup table shows, or, if
        it has neither and no rescaling, the stored values divided by the greatest that their bits
        can hold. A file with rescaling or signed values but without a window gives its units in
        both cases. MONOCHROME1 is inverted, so that high values are white.

    Raises:
        ImageError: If the file is damaged or has no picture, if its compression cannot be
            unpacked, or if pydicom is not installed.
    """
    return _decode(_read(data, pixels=True), raw=raw), False


def _decode(dataset: Any, *, raw: bool) -> Array:
    from pydicom.pixels import apply_color_lut

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            colour = str(dataset.get("PhotometricInterpretation", ""))
            bits = int(dataset.get("BitsStored", 8))
            displays = read_displays(dataset)
            frames = _unpack(dataset)
            if colour == "PALETTE COLOR":
                frames = [apply_color_lut(frame[..., 0], dataset) for frame in frames]
                bits = 8 * frames[0].dtype.itemsize
                return np.concatenate([to_fractions(frame, bits) for frame in frames], axis=2)
            stored = np.concatenate(frames, axis=2)
            if frames[0].shape[2] == 3 and colour.startswith(("RGB", "YBR")):
                return to_fractions(stored, bits)
            parts = [stored] if len(displays) == 1 else frames
            return _show_grey(parts, displays, raw=raw, inverted=colour == "MONOCHROME1")
    except ImageError:
        raise
    except Exception as error:  # pydicom and its plugins raise errors of many types
        raise damaged(error) from None


def _show_grey(parts: list[Array], displays: list[Display], *, raw: bool, inverted: bool) -> Array:
    """Return frames that are shown in these ways, side by side as channels.

    Either all are fractions or all are units: some may have a window and others none.
    """
    units = [to_units(*pair) for pair in zip(parts, displays, strict=True)]
    shown = [None if raw else show(*pair) for pair in zip(units, displays, strict=True)]
    windowed = all(part is not None for part in shown)
    if not windowed and (raw or any(is_in_units(display) for display in displays)):
        ranges = [unit_range(display) for display in displays]
        turned = [sum(ends) - part for ends, part in zip(ranges, units, strict=True)]
        return to_float32(np.concatenate(turned if inverted else units, axis=2))
    if not windowed:
        shown = [
            to_fractions(part, full_bits(row)) for part, row in zip(units, displays, strict=True)
        ]
    whole = np.concatenate([part for part in shown if part is not None], axis=2)
    return np.asarray(1 - whole if inverted else whole, np.float32)


def _read(data: bytes, *, pixels: bool) -> Any:
    """Return the file's pydicom dataset; without ``pixels`` it has the header alone."""
    try:
        import pydicom
    except ImportError:
        raise ImageError("is DICOM, which needs pydicom: pip install 'cnncli[dicom]'") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            refuse_bomb(data)
            dataset = pydicom.dcmread(
                io.BytesIO(data), stop_before_pixels=not pixels, force=data[128:132] != b"DICM"
            )
            _complete_syntax(dataset)
            if pixels and not any(name in dataset for name in _PIXELS):
                raise ImageError("is a DICOM file without a picture")  # noqa: TRY301 - see below
            return dataset
    except ImageError:
        raise
    except Exception as error:
        raise damaged(error) from None


def _complete_syntax(dataset: Any) -> None:
    """Give a dataset without a preamble the transfer syntax that its elements were read in."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if "TransferSyntaxUID" in dataset.file_meta:
        return
    implicit, little = dataset.original_encoding
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def is_deflated(head: bytes) -> bool:
    """Return whether a file's data set is deflated, by its first 4096 bytes or more."""
    return _DEFLATED in head[:_META_BYTES] and head[128:132] == b"DICM"


def refuse_bomb(data: bytes) -> None:
    """Refuse a deflated file that would fill the memory; pydicom unpacks it before anything else.

    Source: DICOM PS3.10, 7.1 (the length of the file meta information), and PS3.5, A.5 (deflate).

    Raises:
        TooLargeError: If it unpacks to more than ``MAX_BYTES`` bytes.
    """
    if not is_deflated(data):
        return
    place = 144 + int.from_bytes(data[140:144], "little")
    unpack, rest, size = zlib.decompressobj(-zlib.MAX_WBITS), data[place:], 0
    while rest and not unpack.eof:
        size += len(unpack.decompress(rest, _PIECE))
        rest = unpack.unconsumed_tail
        if size > MAX_BYTES:
            raise TooLargeError(
                f"is too large: it unpacks to more than {MAX_BYTES:,} bytes; make it smaller first"
            )


def _unpack(dataset: Any) -> list[Array]:
    """Return the stored values of each frame, (H, W, C)."""
    shift = _shift(dataset)
    try:
        array = np.asarray(dataset.pixel_array)
        array = array >> shift if shift else array
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
        if syntax is not None and syntax.is_compressed:
            raise ImageError(
                f"is DICOM compressed as {syntax.name}, which cannot be unpacked here; unpack it "
                "with gdcmconv --raw or dcmdjpeg"
            ) from None
        raise damaged(error) from None
    if int(dataset.get("NumberOfFrames", 1) or 1) > 1:
        return list(array if array.ndim == 4 else array[..., None])
    return [array if array.ndim == 3 else array[..., None]]


def _shift(dataset: Any) -> int:
    """Return by how many bits the values lie too high, and let pydicom keep these bits.

    Source: DICOM PS3.5, 8.1.1; before 2014 the highest bit of a value could lie above the others.
    """
    bits, high = dataset.get("BitsStored"), dataset.get("HighBit")
    if bits is None or high is None or dataset.file_meta.TransferSyntaxUID.is_compressed:
        return 0
    shift = int(high) + 1 - int(bits)
    if shift > 0:
        dataset.BitsStored = int(high) + 1
    return max(shift, 0)
