"""DICOM: what a viewer shows of a file, or its physical units; needs ``cnncli[dicom]``."""

from __future__ import annotations

import io
import warnings
import zlib
from typing import Any

import numpy as np

from cnncli.arrays import Array
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

# Tags that some programs write without a value to say that there is none.
_OFTEN_EMPTY = (
    *("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    "VOILUTSequence",
)

_DIRECTORY = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage, DICOM PS3.4 annex B.5


def read_header(data: bytes) -> Header:
    """Return what a file says about itself; see :class:`cnncli.images.formats.FormatModule`.

    The channels of all frames count.
    """
    dataset = _read(data, pixels=False)
    if dataset.file_meta.get("MediaStorageSOPClassUID") == _DIRECTORY:
        raise ImageError("is a DICOMDIR, the table of contents of a disc, and no picture")
    try:
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
            bits=int(dataset.get("BitsStored", 8)),
            channels=(3 if colour == "PALETTE COLOR" else samples) * frames,
            frames=frames,
            camera=" ".join(filter(None, make)),
        )
    except (AttributeError, ValueError, TypeError) as error:
        raise damaged(error) from None


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
    from pydicom.pixels import apply_color_lut, apply_rescale

    colour = str(dataset.get("PhotometricInterpretation", ""))
    bits = int(dataset.get("BitsStored", 8))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored = _unpack(dataset)
            if colour == "PALETTE COLOR":
                coloured = apply_color_lut(stored[..., 0], dataset)
                return _fraction(coloured, 8 * coloured.dtype.itemsize)
            if stored.shape[2] == 3 and colour.startswith(("RGB", "YBR")):
                return _fraction(stored, bits)
            inverted = colour == "MONOCHROME1"
            values = apply_rescale(stored, dataset)
            shown = None if raw else _window(values, dataset)
            rescaled = "RescaleSlope" in dataset or bool(dataset.get("PixelRepresentation", 0))
            if raw or (shown is None and rescaled):
                low, high = _range(dataset, bits)
                return to_float32(np.asarray(low + high - values if inverted else values))
            if shown is None:
                shown = _fraction(stored, bits)
            return np.asarray(1 - shown if inverted else shown, np.float32)
    except ImageError:
        raise
    except Exception as error:  # pydicom and its plugins raise errors of many types
        raise damaged(error) from None


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
            if pixels and "PixelData" not in dataset:
                raise ImageError("is a DICOM file without a picture")  # noqa: TRY301 - see below
            for name in _OFTEN_EMPTY:
                if dataset.get(name) in (None, "", []) and name in dataset:
                    del dataset[name]
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


def _unpack(dataset: Any) -> Array:
    """Return the stored values, (H, W, C), with the frames side by side as channels."""
    try:
        array = np.asarray(dataset.pixel_array)
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
        if syntax is not None and syntax.is_compressed:
            raise ImageError(
                f"is DICOM compressed as {syntax.name}, which cannot be unpacked here; unpack it "
                "with gdcmconv --raw or dcmdjpeg"
            ) from None
        raise damaged(error) from None
    if int(dataset.get("NumberOfFrames", 1) or 1) > 1:
        array = array if array.ndim == 4 else array[..., None]
        return np.concatenate(list(array), axis=2)
    return array if array.ndim == 3 else array[..., None]


def _fraction(values: Array, bits: int) -> Array:
    """Return values 0–(2^bits - 1) as float32 fractions 0–1."""
    return np.asarray(values / np.float32(2**bits - 1), np.float32)


def _range(dataset: Any, bits: int) -> tuple[float, float]:
    """Return the least and the greatest value, in units, that ``bits`` stored bits can hold."""
    signed = bool(dataset.get("PixelRepresentation", 0))
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    slope = float(dataset.get("RescaleSlope", 1))
    intercept = float(dataset.get("RescaleIntercept", 0))
    return low * slope + intercept, high * slope + intercept


def _window(values: Array, dataset: Any) -> Array | None:
    """Return fractions 0–1 as the file's first window or lookup table shows its values.

    None means that the file has neither.

    Raises:
        ImageError: If the window is less than 1 wide, or if one that is not LINEAR is not wider
            than 0.

    Source: DICOM PS3.3, C.11.2.1.2 (LINEAR, LINEAR_EXACT and SIGMOID).
    """
    if "VOILUTSequence" in dataset:
        return _look_up(values, dataset.VOILUTSequence[0])
    if "WindowCenter" not in dataset or "WindowWidth" not in dataset:
        return None
    centre, width = (
        float(value if not hasattr(value, "__len__") else value[0])
        for value in (dataset.WindowCenter, dataset.WindowWidth)
    )
    function = str(dataset.get("VOILUTFunction", "LINEAR") or "LINEAR").upper()
    if not width > 0 or (function == "LINEAR" and width < 1):
        raise ImageError(
            f"has a display window {width:g} wide, which shows nothing; mend its WindowWidth, or "
            "train on its stored values with --intensity LOW:HIGH"
        )
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(-4 * (values - centre) / width)))
    if function == "LINEAR":
        centre, width = centre - 0.5, max(width - 1, 1e-9)
    return np.asarray(np.clip((values - centre) / width + 0.5, 0, 1))


def _look_up(values: Array, item: Any) -> Array:
    """Return fractions 0–1 by a VOI lookup table (``item`` of the sequence).

    pydicom 3.0 has ``apply_voi`` for it, but there an index overflows in tables of 8 bits with
    more than 256 entries.

    Source: DICOM PS3.3, C.11.2.1.1.
    """
    entries, first, bits = (int(value) for value in item.LUTDescriptor)
    stored = item.LUTData
    table = np.frombuffer(stored, "<u2") if isinstance(stored, bytes) else np.asarray(stored)
    places = np.clip(values.astype(np.int64) - first, 0, (entries or 2**16) - 1)
    return _fraction(table[places], bits)
