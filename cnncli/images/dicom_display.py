"""How a DICOM file's stored values are shown: rescaling, lookup tables and windows, of each frame.

An enhanced file of several frames keeps these in its functional groups, for all frames or for each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.errors import count_of
from cnncli.images.header import ImageError

# What says how the values of a picture are shown, by the standard's keywords.
_KEYWORDS = (
    *("BitsStored", "PixelRepresentation", "RescaleSlope", "RescaleIntercept"),
    *("ModalityLUTSequence", "VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
)
# The functional groups that hold some of them. Source: DICOM PS3.3, C.7.6.16.2.9 and .10.
_GROUPS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")
# Angiography: its modality table leads back to what the detector saw, and is not for display.
# Source: DICOM PS3.3, C.8.7.1.1.2, and DCMTK's dcmimgle, which leaves it out in these classes.
_ANGIOGRAPHY = tuple(f"1.2.840.10008.5.1.4.1.1.12.{number}" for number in (1, 2, 3))

Display = dict[str, Any]  # of the keywords above, those that a file gives


def read_displays(dataset: Any) -> list[Display]:
    """Return how each frame is shown, or a single item where all are shown alike.

    Tags without a value, which some programs write to say that there is none, are left out.

    Raises:
        ImageError: If there are functional groups for another number of frames.
    """
    common = _read_keywords(dataset)
    if str(dataset.get("SOPClassUID", "")) in _ANGIOGRAPHY:
        common.pop("ModalityLUTSequence", None)
    if "PixelData" not in dataset:  # but floats, which are units and no fractions of a scale
        common.setdefault("RescaleSlope", 1)
    for item in dataset.get("SharedFunctionalGroupsSequence") or []:
        common |= _read_groups(item)
    each = [_read_groups(item) for item in dataset.get("PerFrameFunctionalGroupsSequence") or []]
    if not any(each):
        return [common]
    frames = int(dataset.get("NumberOfFrames", 1) or 1)
    if len(each) != frames:
        raise ImageError(
            f"is damaged: it has {count_of(frames, 'frame')}, and its functional groups describe "
            f"{len(each)}"
        )
    return [common | own for own in each]


def _read_groups(item: Any) -> Display:
    found: Display = {}
    for name in _GROUPS:
        for group in item.get(name) or []:
            found |= _read_keywords(group)
    return found


def _read_keywords(dataset: Any) -> Display:
    values = {name: dataset.get(name) for name in _KEYWORDS}
    return {name: value for name, value in values.items() if value not in (None, "", [])}


def is_in_units(display: Display) -> bool:
    """Return whether stored values mean units, such as Hounsfield's, or have a sign."""
    rescaled = "RescaleSlope" in display or "RescaleIntercept" in display
    signed = bool(display.get("PixelRepresentation", 0))
    return (rescaled or signed) and "ModalityLUTSequence" not in display


def to_units(stored: Array, display: Display) -> Array:
    """Return stored values in the file's units: looked up in its modality table, or rescaled.

    Source: DICOM PS3.3, C.11.1.
    """
    if "ModalityLUTSequence" in display:
        return _look_up(stored, display["ModalityLUTSequence"][0])
    if "RescaleSlope" in display or "RescaleIntercept" in display:
        return stored * _slope(display) + _intercept(display)
    return stored


def full_bits(display: Display) -> int:
    """Return the bits of the greatest value: those stored, or those of a modality table."""
    if "ModalityLUTSequence" in display:
        return _bits(display["ModalityLUTSequence"][0])
    return int(display.get("BitsStored", 8))


def unit_range(display: Display) -> tuple[float, float]:
    """Return the least and the greatest value, in units, that the bits can hold."""
    ends = (0, 2 ** full_bits(display) - 1)
    if "ModalityLUTSequence" in display:
        return ends
    if display.get("PixelRepresentation", 0):
        ends = (-(ends[1] + 1) // 2, ends[1] // 2)
    low, high = (end * _slope(display) + _intercept(display) for end in ends)
    return low, high


def show(values: Array, display: Display) -> Array | None:
    """Return fractions 0–1 as the file's first window or lookup table shows its values.

    None means that the file has neither.

    Args:
        values: Values in the file's units, of any shape.
        display: How they are shown.

    Raises:
        ImageError: If the window is less than 1 wide, or if one that is not LINEAR is not wider
            than 0.

    Source: DICOM PS3.3, C.11.2.1.2 (LINEAR, LINEAR_EXACT and SIGMOID).
    """
    if "VOILUTSequence" in display:
        item = display["VOILUTSequence"][0]
        return to_fractions(_look_up(values, item), _bits(item))
    if "WindowCenter" not in display or "WindowWidth" not in display:
        return None
    centre, width = (
        float(value if not hasattr(value, "__len__") else value[0])
        for value in (display["WindowCenter"], display["WindowWidth"])
    )
    function = str(display.get("VOILUTFunction", "LINEAR")).upper()
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


def to_fractions(values: Array, bits: int) -> Array:
    """Return values 0–(2^bits - 1) as float32 fractions 0–1."""
    return np.asarray(values / np.float32(2**bits - 1), np.float32)


def _slope(display: Display) -> float:
    return float(display.get("RescaleSlope", 1))


def _intercept(display: Display) -> float:
    return float(display.get("RescaleIntercept", 0))


def _bits(item: Any) -> int:
    return int(item.LUTDescriptor[2])


def _look_up(values: Array, item: Any) -> Array:
    """Return the entries of a lookup table (``item`` of its sequence) for values.

    pydicom 3.0 has functions for it, but there an index overflows in tables of 8 bits with more
    than 256 entries. Entries have no sign, whatever the type in which they are stored; the first
    value may have one.

    Source: DICOM PS3.3, C.11.1.1 and C.11.2.1.1.
    """
    entries, first = (int(value) for value in item.LUTDescriptor[:2])
    entries = entries or 2**16
    if first >= 2**15 and values.min() < 0:
        first -= 2**16
    stored = item.LUTData
    if isinstance(stored, bytes):
        table = np.frombuffer(stored, "u1" if len(stored) < 2 * entries else "<u2")
    else:
        table = np.asarray(stored, np.int64) & 0xFFFF
    return np.asarray(table[np.clip(values.astype(np.int64) - first, 0, entries - 1)])
