"""Which pixels of the image a value of a tensor depends on, in whole numbers; no torch is imported.

A `Field` belongs to one tensor. It says which pixels one position sees along the image's rows and
along its columns (a `Span` each), and in which dimensions of the tensor the positions lie (its
layout).

The image's borders are ignored, as is usual: a field may be larger than the image. Only a value
that sees *every* pixel by construction sees the "whole image": behind global pooling, dense layers
on flattened maps, squeeze-and-excitation, or statistics over all positions.

Source: A. Araujo, W. Norris, J. Sim (2019), Computing Receptive Fields of Convolutional Neural
Networks, Distill, doi:10.23915/distill.00021; parallel paths are joined as described there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Literal

from cnncli.models.tracing.dim_layout import (
    COLUMNS,
    ROWS,
    Atom,
    DimLayout,
    count_positions,
    simplify_dim,
)

Extent = int | tuple[int, int]
VARIES = "differs from position to position"


@dataclass(frozen=True)
class Span:
    """Which pixels the positions of a tensor see along one axis of the image.

    Position i sees ``size`` pixels, the first of which is pixel ``low + i * jump``.

    Attributes:
        image: Number of pixels of the image along this axis.
        size: Number of pixels that one position sees; None if unknown or not the same for all.
        jump: Pixels between neighbouring positions; None if unknown or if there is one position.
        low: First pixel that position 0 sees, negative if it lies in the padding; None if unknown.
        first: First pixel of the image that any position sees.
        high: Last pixel of the image that any position sees; None if unknown.
        whole: Whether every position sees every pixel; ``size`` is then ``image``.
        reason: Why ``size`` is None; empty otherwise.
        centres: The middle of what position 0 sees through windows, in pixels from the edge of the
            image: the least and the greatest of all ways to it. What reads all positions, as a gate
            does, does not count. None if unknown.
    """

    image: int
    size: int | None = 1
    jump: int | None = 1
    low: int | None = 0
    high: int | None = None
    whole: bool = False
    reason: str = ""
    first: int = 0
    centres: tuple[float, float] | None = field(default=(0.5, 0.5), compare=False)

    @classmethod
    def of_image(cls, pixels: int) -> Span:
        """Return the span of the image itself."""
        return cls(pixels, high=pixels - 1)

    def slide(self, extent: int, stride: int, before: int, count: int) -> Span:
        """Return the span of the output of a window that slides over these positions.

        The size becomes ``size + (extent - 1) * jump`` and the jump ``jump * stride``.

        Args:
            extent: Number of positions from the window's first tap to its last, dilation included.
            stride: Stride of the window, in positions.
            before: Number of padded positions before the first one; negative if positions are cut
                off there.
            count: Number of positions of the output.
        """
        if self.jump is None:
            one = extent == stride == count == 1 and before == 0
            return self if one or self.whole else self.unknown(self.reason or VARIES)
        jump, centres = self.jump * stride, self.centres
        if centres is not None:
            moved = ((extent - 1) / 2 - before) * self.jump
            centres = centres[0] + moved, centres[1] + moved
        if self.whole or self.size is None or self.low is None:
            return replace(self, jump=jump, centres=centres)
        low = self.low - before * self.jump
        size = self.size + (extent - 1) * self.jump
        # Positions of padding see nothing: what no position saw before, none sees now.
        end = low + (count - 1) * jump + size - 1
        high = end if self.high is None else min(end, self.high)
        first = max(low, self.first)
        return replace(self, size=size, jump=jump, low=low, high=high, first=first, centres=centres)

    def gather(self, *, keep: bool = False) -> Span:
        """Return the span of an operation that reads all positions at once, such as a mean.

        Args:
            keep: Whether the positions stay, as in a softmax: each then sees what all saw before.
        """
        jump = self.jump if keep else None
        if self.low is None or self.high is None:
            return replace(self, jump=jump)
        if self.whole or (self.first <= 0 and self.high >= self.image - 1):
            return replace(self, size=self.image, jump=jump, whole=True, reason="")
        # A layer before rounded its output size down, so that no position sees the last pixels.
        if keep:
            return replace(self, size=None, reason=VARIES)
        size = self.high - self.first + 1
        return replace(self, size=size, jump=None, low=self.first, reason="")

    def join(self, other: Span) -> Span:
        """Return the span of an operation that reads two tensors position by position."""
        found = [span.centres for span in (self, other) if span.jump is not None]
        known = [pair for pair in found if pair is not None]
        ends = [end for pair in known for end in pair] if len(known) == len(found) else []
        centres = (min(ends), max(ends)) if ends else None
        return replace(self._join_pixels(other), centres=centres)

    def _join_pixels(self, other: Span) -> Span:
        jumps = {span.jump for span in (self, other)} - {None}
        jump = jumps.pop() if len(jumps) == 1 else None
        for span in (self, other):
            if span.whole:
                return replace(span, jump=jump)
        if self.low is None or self.high is None:
            return replace(self, jump=jump)
        if other.low is None or other.high is None:
            return replace(other, jump=jump)
        low, high = min(self.low, other.low), max(self.high, other.high)
        both = replace(self, low=low, high=high, jump=jump, first=min(self.first, other.first))
        if self.size and other.size and self.jump == other.jump:
            end = max(self.low + self.size, other.low + other.size)
            return replace(both, size=end - low)
        return replace(both, size=None, reason=self.reason or other.reason or VARIES)

    def unknown(self, reason: str) -> Span:
        """Return the span after an operation whose effect is unknown.

        A span that is the whole image stays so. A span that was unknown before keeps its reason.

        Args:
            reason: Why it is unknown, as the user reads it.
        """
        if self.whole:
            return replace(self, jump=None)
        first = self.reason if self.low is None else ""
        lost = replace(self, size=None, jump=None, low=None, high=None, first=0, centres=None)
        return replace(lost, reason=first or reason)

    @property
    def cut(self) -> bool:
        """Whether it sees all positions of the maps before, and these do not see every pixel."""
        gathered = self.jump is None and self.size is not None and not self.whole
        return gathered and self.high is not None and self.size < self.image  # type: ignore[operator]

    def interval(self, position: int) -> tuple[int, int] | None:
        """Return the first and the last pixel that a position sees, or None if unknown."""
        if self.size is None or self.low is None:
            return None
        low = 0 if self.whole else self.low + position * (self.jump or 0)
        return low, low + self.size - 1


@dataclass(frozen=True)
class Field:
    """Which pixels of the image the values of one tensor see.

    Attributes:
        spans: The span along the image's rows (height) and the span along its columns (width).
        layout: In which dimensions of the tensor the positions lie; None if that is not known
            any more.
    """

    spans: tuple[Span, Span]
    layout: DimLayout | None

    @classmethod
    def of_image(cls, channels: int, height: int, width: int) -> Field:
        """Return the field of a batch of one image, (1, C, H, W)."""
        layout = (
            (),
            simplify_dim([Atom(channels)]),
            (Atom(height, (ROWS,)),),
            (Atom(width, (COLUMNS,)),),
        )
        return cls((Span.of_image(height), Span.of_image(width)), layout)

    @property
    def size(self) -> Extent | Literal["whole image", "unknown"]:
        """Input pixels that one value sees: a number for a square, otherwise (height, width)."""
        rows, columns = self.spans
        if rows.whole and columns.whole:
            return "whole image"
        if rows.size is None or columns.size is None:
            return "unknown"
        return rows.size if rows.size == columns.size else (rows.size, columns.size)

    @property
    def jump(self) -> Extent | None:
        """Input pixels between neighbouring positions, a number or (height, width).

        None if there are no positions or if they are not known.
        """
        rows, columns = (span.jump for span in self.spans)
        if self.layout is None or rows is None or columns is None:
            return None
        return rows if rows == columns else (rows, columns)

    @property
    def reason(self) -> str:
        """Why the size is unknown; empty if it is known."""
        return self.spans[0].reason or self.spans[1].reason if self.size == "unknown" else ""

    @property
    def part(self) -> str:
        """Which part of the image is seen, where that is all positions but not every pixel."""
        if not any(span.cut for span in self.spans):
            return ""
        told = [
            f"{word} {span.first + 1}-{span.first + (span.size or 0)} of {span.image}"
            for span, word in zip(self.spans, ("rows", "columns"), strict=True)
        ]
        return f"sees {' and '.join(told)}"

    def lose(self, reason: str) -> Field:
        """Return the field after an operation whose effect is unknown; see `Span.unknown`."""
        rows, columns = self.spans
        return Field((rows.unknown(reason), columns.unknown(reason)), None)

    def with_layout(self, layout: DimLayout | None) -> Field:
        """Return a field with the same spans and another layout."""
        tidy = None if layout is None else tuple(simplify_dim(atoms) for atoms in layout)
        return replace(self, layout=tidy)

    def change(self, axes: Iterable[int], what: Callable[[Span], Span]) -> Field:
        """Return the field after ``what`` has changed the spans of the given axes."""
        chosen = set(axes)
        rows, columns = (what(s) if axis in chosen else s for axis, s in enumerate(self.spans))
        return replace(self, spans=(rows, columns))

    def gather(self, dims: Iterable[int], *, keep: bool = False) -> Field:
        """Return the field of an operation that reads all values along some dimensions at once.

        Args:
            dims: Numbers of the dimensions, negative ones from the end.
            keep: Whether the dimensions keep their size, as in a softmax; otherwise they stay with
                size 1.
        """
        if self.layout is None:
            return self
        chosen = {dim % len(self.layout) for dim in dims}
        axes = {axis for dim in chosen for atom in self.layout[dim] for axis in atom.axes}
        field = self.change(axes, lambda span: span.gather(keep=keep))
        if keep:
            return field
        # Where rows and columns cannot be separated, both go: no dimension is left that holds them.
        layout = [() if dim in chosen else atoms for dim, atoms in enumerate(self.layout)]
        return field.with_layout(tuple(layout))


def join_fields(fields: Sequence[Field], shape: Sequence[int]) -> Field:
    """Return the field of the result of an elementwise operation.

    Args:
        fields: Fields of the operands that depend on the image, at least one. The operands
            broadcast to ``shape``.
        shape: Shape of the result.
    """
    spans = [field.spans for field in fields]
    rows = reduce(Span.join, (rows for rows, _ in spans))
    columns = reduce(Span.join, (columns for _, columns in spans))
    joined = Field((rows, columns), None)
    layouts = [field.layout for field in fields if field.layout is not None]
    if not layouts:
        return joined
    dims: list[tuple[Atom, ...]] = []
    for place in range(-len(shape), 0):
        candidates = [layout[place] for layout in layouts if len(layout) >= -place]
        held = {atoms for atoms in candidates if any(atom.axes for atom in atoms)}
        if len(held) > 1 or any(count_positions(atoms) != shape[place] for atoms in held):
            return joined.lose("positions of different maps meet")
        dims.append(held.pop() if held else (Atom(shape[place]),))
    return joined.with_layout(tuple(dims))
