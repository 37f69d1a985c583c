"""Findings on the stored values of images: outliers, fill values, depths, small ranges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from cnncli.arrays import Array
from cnncli.audit.file_facts import FileFacts
from cnncli.audit.findings import Finding, one_by_one
from cnncli.errors import count_of
from cnncli.images.intensity import DARK_BYTE
from cnncli.images.levels import Extent, Levels, find_extent
from cnncli.images.scales import (
    find_depths,
    find_scales,
    tell_dark_bytes,
    tell_depths,
    tell_scales,
)

_FULL = {"uint16": 65535.0, "float32": 1.0}
# A range is small if it is less than this fraction of the scale of its number type.
_SMALL = 0.125
# 16-bit files that stay below this value are nearly black beside files that use the whole scale.
_DARK, _USED = 65535 / 16, 65535 / 4
# How the number types of pixels are called.
_DEPTHS = {"uint8": "8 bits", "uint16": "16 bits", "float32": "floating point"}


def check_levels(paths: Array, files: Sequence[FileFacts]) -> Iterator[Finding]:
    """Yield findings on the stored values of files, most of them on those of more than 8 bits.

    Args:
        paths: (N,) paths of the images.
        files: Facts on the files of each of the N images.
    """
    good = [index for index, file in enumerate(files) if not file.problem]
    yield from _check_dark_bytes(paths, files, good)
    deep = [index for index in good if files[index].depth != "uint8"]
    if not deep:
        return
    depth = "float32" if any(files[i].depth == "float32" for i in deep) else "uint16"
    chosen = [index for index in deep if files[index].depth == depth]
    extent = find_extent([_levels(files[index]) for index in chosen])
    yield from _check_fills(files, chosen)
    scales = find_scales([_levels(files[index]) for index in chosen])
    if scales is None:
        yield from _check_outliers(files, chosen, extent)
    else:
        parts = [[chosen[position] for position in part] for part in scales]
        tops = [max(files[index].high for index in part) for part in parts]
        named = [str(paths[part[0]]) for part in parts]
        text = tell_scales([len(part) for part in parts], tops, named)
        yield Finding("mixed-scale", text, one_by_one(min(parts, key=len)))
    yield from _check_depths(files, good, chosen, extent)
    depths = find_depths([_levels(files[index]) for index in chosen])
    if depths is not None:
        parts = [[chosen[position] for position in part] for part in depths]
        firsts = [_levels(files[part[0]]) for part in parts]
        named = [str(paths[part[0]]) for part in parts]
        text = tell_depths([len(part) for part in parts], firsts, named)
        yield Finding("mixed-depth", text, one_by_one(min(parts, key=len)))
    width, full = extent.high - extent.low, _FULL[depth]
    fractions = depth == "uint16" or (extent.low >= 0 and extent.high <= 1)
    if fractions and 0 < width < _SMALL * full:
        text = (
            f"the values of {count_of(len(chosen), 'image')} go from {_number(extent.low)} to "
            f"{_number(extent.high)}, a small part of 0 to {full:.0f}; train stretches them to "
            "their own range"
        )
        yield Finding("small-range", text)


def _check_dark_bytes(
    paths: Array, files: Sequence[FileFacts], good: Sequence[int]
) -> Iterator[Finding]:
    """Yield a finding on files of 8 bits that are nearly black, such as masks of 0 and 1."""
    dark = [
        index
        for index in good
        if files[index].depth == "uint8" and files[index].lowest < files[index].highest <= DARK_BYTE
    ]
    if dark:
        text = tell_dark_bytes(
            len(dark),
            len(files),
            max(int(files[index].highest) for index in dark),
            str(paths[dark[0]]),
        )
        yield Finding("small-range", text, one_by_one(dark))


def _levels(file: FileFacts) -> Levels:
    bits = file.bits if file.format == "DICOM" else 0
    return Levels(file.depth, file.lowest, file.highest, file.low, file.high, bits=bits)


def _check_fills(files: Sequence[FileFacts], chosen: Sequence[int]) -> Iterator[Finding]:
    filled = [index for index in chosen if files[index].fills]
    if filled:
        values = Counter(value for index in filled for value in files[index].fills.split(" "))
        listed = ", ".join(value for value, _ in values.most_common(3))
        text = (
            f"{count_of(len(filled), 'image')} with a part of one value far from all others "
            f"({listed}): probably no data, which train cuts to black or white"
        )
        yield Finding("no-data", text, one_by_one(filled))


def _check_outliers(
    files: Sequence[FileFacts], chosen: Sequence[int], extent: Extent
) -> Iterator[Finding]:
    """Yield a finding on images with a few values far beyond those of the set."""
    beyond = [
        index
        for index in chosen
        if not files[index].fills
        and (files[index].lowest < extent.low or files[index].highest > extent.high)
    ]
    if beyond and extent.trimmed:
        text = (
            f"{count_of(len(beyond), 'image')} with values far beyond those of the others, "
            f"{_number(extent.low)} to {_number(extent.high)}, such as hot pixels (from "
            f"{_number(extent.lowest)} to {_number(extent.highest)}): train cuts them"
        )
        yield Finding("outliers", text, one_by_one(beyond))


def _check_depths(
    files: Sequence[FileFacts], good: Sequence[int], chosen: Sequence[int], extent: Extent
) -> Iterator[Finding]:
    """Yield findings on images of another depth, by their number type or by the bits they use."""
    counts = Counter(files[index].depth for index in good)
    if len(counts) > 1:
        usual = counts.most_common(1)[0][0]
        others = [index for index in good if files[index].depth != usual]
        text = f"{_tell_depths(counts)}: one picture may differ in them by its values"
        yield Finding("mixed-depth", text, one_by_one(others))
    dark = [index for index in chosen if _is_dark(files[index])]
    fractions = extent.low >= 0 and extent.high <= 1
    if files[chosen[0]].depth == "float32" and fractions and extent.high >= 0.25 and dark:
        text = (
            f"{count_of(len(dark), 'image')} of {len(chosen):,} use a sixteenth of their scale or "
            f"less, the others up to {_number(extent.high)}: beside them they are nearly black, or "
            "white if inverted"
        )
        yield Finding("mixed-depth", text, one_by_one(dark))
    if files[chosen[0]].depth == "uint16" and extent.high >= _USED and dark:
        text = (
            f"{count_of(len(dark), 'image')} of {len(chosen):,} use 12 bits or fewer of their 16, "
            f"the others up to {_number(extent.high)}: beside them they are nearly black"
        )
        yield Finding("mixed-depth", text, one_by_one(dark))


def _tell_depths(counts: Counter[str]) -> str:
    """Return how many images are of which depth: ``1 image of 16 bits among 1,123 of 8``."""
    (usual, most), *others = counts.most_common()
    rare = [f"{n:,} of {_DEPTHS[name]}" for name, n in others]
    rare[0] = f"{count_of(others[0][1], 'image')} of {_DEPTHS[others[0][0]]}"
    among = _DEPTHS[usual].removesuffix(" bits") if rare[-1].endswith("bits") else _DEPTHS[usual]
    return f"{' and '.join(rare)} among {most:,} of {among}"


def _is_dark(file: FileFacts) -> bool:
    """Return whether the values of a deep file need 12 of 16 bits, or a sixteenth of 0 to 1."""
    if file.depth == "uint16":
        return 0 < file.high < _DARK and file.high > file.low
    return 0 <= file.low < file.high <= 1 and _levels(file).reach < _DARK / 65535


def show_depths(files: Sequence[FileFacts]) -> bool:
    """Return whether 16-bit files are of two depths beyond doubt, by the bits that they use.

    Files of 12 bits use more than half of these, and all others at least twice as much. Without
    such a gap, dark pictures may be what the classes differ in.
    """
    highs = [f.high for f in files if not f.problem and f.depth == "uint16" and f.high > f.low]
    dark = [high for high in highs if high < _DARK]
    others = [high for high in highs if high >= _DARK]
    return bool(dark and others) and max(dark) >= _DARK / 2 and 2 * max(dark) <= min(others)


def _number(value: float) -> str:
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e9 else f"{value:.6g}"
