"""DICOM, behind the extra ``cnncli[dicom]``: stored values to what a viewer shows, or to units."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.images.header import Header, ImageError, damaged

# Some writers leave them empty where they mean none.
_OFTEN_EMPTY = (
    *("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    "VOILUTSequence",
)


def read_dicom_header(data: bytes) -> Header:
    """Describe a DICOM file; its frames count as channels. Raises ImageError."""
    dataset = _read(data, pixels=False)
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


def decode_dicom(data: bytes, *, raw: bool) -> Array:
    """Return a picture (H, W, C).

    Args:
        data: The whole file.
        raw: Return the modality's values (Hounsfield units in CT) in place of the picture.

    Returns:
        float32: with ``raw`` the stored values times slope plus intercept; else fractions 0–1 of
        what the file's own window (or lookup table) shows, or of the bits it stores where it has
        neither window nor rescaling. MONOCHROME1 is inverted, so that 1 is white. A file that is
        rescaled to units and has no window gives its units.

    Raises:
        ImageError: If it is damaged, or compressed in a way that nothing here unpacks.
    """
    dataset = _read(data, pixels=True)  # tells first where pydicom is missing
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
                return np.asarray(low + high - values if inverted else values, np.float32)
            if shown is None:
                shown = _fraction(stored, bits)
            return np.asarray(1 - shown if inverted else shown, np.float32)
    except ImageError:
        raise
    except Exception as error:  # pydicom raises what its parsers and plugins stumble on
        raise damaged(error) from None


def _read(data: bytes, *, pixels: bool) -> Any:
    try:
        import pydicom
    except ImportError:
        raise ImageError("is DICOM: install it with pip install 'cnncli[dicom]'") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=not pixels)
            if pixels and "PixelData" not in dataset:
                raise ImageError("is a DICOM file without a picture")  # noqa: TRY301 - told as it is
            for name in _OFTEN_EMPTY:
                if dataset.get(name) in (None, "", []) and name in dataset:
                    del dataset[name]
            return dataset
    except ImageError:
        raise
    except Exception as error:
        raise damaged(error) from None


def _unpack(dataset: Any) -> Array:
    """Return stored values (H, W, C), frames side by side as channels."""
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
    return np.asarray(values / np.float32(2**bits - 1), np.float32)


def _range(dataset: Any, bits: int) -> tuple[float, float]:
    """Return the least and the greatest value that the stored bits can mean."""
    signed = bool(dataset.get("PixelRepresentation", 0))
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    slope = float(dataset.get("RescaleSlope", 1))
    intercept = float(dataset.get("RescaleIntercept", 0))
    return low * slope + intercept, high * slope + intercept


def _window(values: Array, dataset: Any) -> Array | None:
    """Return 0–1 as the file's first window or lookup table shows it; None where it has none.

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
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(-4 * (values - centre) / width)))
    if function == "LINEAR":
        centre, width = centre - 0.5, max(width - 1, 1e-9)
    return np.asarray(np.clip((values - centre) / width + 0.5, 0, 1))


def _look_up(values: Array, item: Any) -> Array:
    """Return 0–1 by a VOI lookup table.

    Not by pydicom 3.0's ``apply_voi``, whose indices overflow in tables of 8 bits and more than
    256 entries. Source: DICOM PS3.3, C.11.2.1.1.
    """
    entries, first, bits = (int(value) for value in item.LUTDescriptor)
    stored = item.LUTData
    table = np.frombuffer(stored, "<u2") if isinstance(stored, bytes) else np.asarray(stored)
    places = np.clip(values.astype(np.int64) - first, 0, (entries or 2**16) - 1)
    return _fraction(table[places], bits)
