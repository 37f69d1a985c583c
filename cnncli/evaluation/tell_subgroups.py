"""What is to be said below the figures of subgroups, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cnncli.errors import count_of, shorten
from cnncli.evaluation.intervals import FEW


def tell_parts(
    by: str, parts: Sequence[Mapping[str, Any]], gap: Mapping[str, Any] | None
) -> list[str]:
    """Return where the figures of parts differ most, and what these parts are too small for.

    Args:
        by: What the images were divided by.
        parts: The figures of each part, as ``report.json`` has them.
        gap: The largest difference, as ``report.json`` has it; None if there is none.
    """
    told = []
    if len(parts) == 1:
        told.append(f"All images are the same in {by}: there is nothing to compare.")
    elif gap is None:
        told.append(f"No gap by {by}: fewer than two of its parts have the figure.")
    else:
        told.append(_tell_gap(by, parts, gap))
    small = [part["value"] for part in parts if part["small"]]
    if small:
        what = "images" if parts[0]["groups"] is None else "groups"
        told.append(f"Fewer than {FEW} {what}, too few to say much: {shorten(small, 8)}.")
    most = max(part["classes"] for part in parts)
    fewer = [part["value"] for part in parts if part["classes"] < most]
    if fewer:
        told.append(
            f"Averages are over fewer classes, as others have no image: {shorten(fewer, 8)}."
        )
    return told


def _tell_gap(by: str, parts: Sequence[Mapping[str, Any]], gap: Mapping[str, Any]) -> str:
    name = gap["figure"].replace("_", " ")
    low, high = (next(p for p in parts if p["value"] == gap[end]) for end in ("lowest", "highest"))
    one, other = (
        f"{part[gap['figure']]['value']:.2f} for {part['value']} "
        f"({count_of(part['images'], 'image')})"
        for part in (low, high)
    )
    told = f"Largest gap by {by}: {name} {one} and {other}, a difference of {gap['value']:.3f}"
    if gap["low"] is None:
        return f"{told}. It has no interval, and may be chance."
    several = f", widened for the largest of {gap['pairs']}" if gap["pairs"] > 1 else ""
    verdict = "it may be chance" if gap["may_be_chance"] else "more than chance"
    return f"{told} (95 % interval {gap['low']:.3f} to {gap['high']:.3f}{several}): {verdict}."
