"""What a shift of the image does to maps and probabilities.

A layer is equivariant to a shift if shifting the image shifts its output. Convolutions are; stride
and pooling are only for shifts by a multiple of their jump.

Source: R. Zhang (2019), Making Convolutional Networks Shift-Invariant Again, ICML; A. Azulay, Y.
Weiss (2019), Why do deep convolutional networks generalize so poorly to small image
transformations?, JMLR 20.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cnncli.models.tracing.receptive_field import Span


@dataclass(frozen=True)
class Difference:
    """How far the map of a shifted image is from the shifted map of the image.

    Attributes:
        value: ‖f(shift(x)) - shift(f(x))‖ / ‖shift(f(x))‖, 0 for equal; None if f(x) is 0.
        interior: Whether only positions were compared that see neither the border nor what came in
            there; otherwise all positions.
    """

    value: float | None
    interior: bool


def shift_right(values: torch.Tensor, distance: float, dim: int) -> torch.Tensor:
    """Shift along a dimension; what leaves at the end comes in at the beginning.

    Args:
        values: Any tensor.
        distance: In positions. Between two positions values are interpolated linearly.
        dim: The dimension.
    """
    whole = int(distance // 1)
    part = distance - whole
    near = torch.roll(values, whole, dim)
    return near if part == 0 else (1 - part) * near + part * torch.roll(values, whole + 1, dim)


def compare_maps(
    moved: torch.Tensor, still: torch.Tensor, shift: int, span: Span, jump: int, dim: int
) -> Difference:
    """Compare a layer's output for an image that was shifted to the right with its shifted output.

    Args:
        moved: Output for the shifted image.
        still: Output for the image.
        shift: Shift of the image in pixels.
        span: What the positions of the output see along the columns.
        jump: Pixels between neighbouring positions.
        dim: Dimension of the outputs along the columns.
    """
    expected = shift_right(still, shift / jump, dim)
    kept = find_interior(span, moved.shape[dim], shift, jump)
    if kept is not None:
        moved, expected = (part[(slice(None),) * dim + (kept,)] for part in (moved, expected))
    length = float(expected.double().norm())
    distance = float((moved.double() - expected.double()).norm())
    return Difference(distance / length if length > 0 else None, kept is not None)


def find_interior(span: Span, count: int, shift: int, jump: int) -> slice | None:
    """Return the positions that see only what was in the image before and after the shift.

    Args:
        span: What the positions see.
        count: Number of positions.
        shift: Shift of the image to the right in pixels.
        jump: Pixels between neighbouring positions.

    Returns:
        Their range; None if there is none, or if what they see is not known.
    """
    if span.size is None or span.low is None or span.whole:
        return None
    # The expected value is interpolated from position p - ceil(shift / jump) on, which must see no
    # padding on the left. Position p must not see what came in, the first `shift` pixels.
    back = -(-shift // jump)
    first = max(-(span.low // jump) + back, -((span.low - shift) // jump), back)
    last = min((span.image - span.size - span.low) // jump, count - 1)
    return slice(first, last + 1) if first <= last else None
