"""What a value of a tensor sees of the image, as whole numbers: no torch.

A `Field` belongs to one tensor. It says what one position sees along the image's rows and along
its columns (a `Span` each), and where in the tensor those positions lie (its layout).

Borders are ignored, as usual: a field may be larger than the image. Only what sees *every* pixel
by construction (global pooling, dense layers on flattened maps, squeeze-and-excitation, statistics
over all positions) is "whole image".

Source: A. Araujo, W. Norris, J. Sim (2019), Computing Receptive Fields of Convolutional Neural
Networks, Distill, doi:10.23915/distill.00021; parallel paths joined as in its section on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import prod
from typing import Literal, NamedTuple

ROWS, COLUMNS = 0, 1
Extent = int | tuple[int, int]
VARIES = "differs from position to position"


@dataclass(frozen=True)
class Span:
    """What the positions along one axis see of the image along the same axis, in pixels.

    Position i sees ``size`` pixels from ``low + i * jump`` on.

    Attributes:
        image: Pixels of the image along this axis.
        size: None where it is not one known number.
        jump: Pixels between neighbouring positions; None where there is but one for all.
        low: First pixel that any position sees, negative in the padding; None if unknown.
        high: Last pixel that any position sees; None if unknown.
        whole: Every position sees every pixel; ``size`` is then ``image``.
        reason: Why ``size`` is None.
    """

    image: int
    size: int | None = 1
    jump: int | None = 1
    low: int | None = 0
    high: int | None = None
    whole: bool = False
    reason: str = ""

    @classmethod
    def of_image(cls, pixels: int) -> Span:
        """Return the span of the image itself."""
        return cls(pixels, high=pixels - 1)

    def slide(self, extent: int, stride: int, before: int, count: int) -> Span:
        """Return the span behind a window: ``size + (extent - 1) * jump``, ``jump * stride``.

        Args:
            extent: From the window's first tap to its last, dilation included.
            stride: Of the window.
            before: Padding before the first position; negative where positions are cut off.
            count: Positions that come out.
        """
        if self.jump is None:
            one = extent == stride == count == 1 and before == 0
            return self if one or self.whole else self.unknown(self.reason or VARIES)
        jump = self.jump * stride
        if self.whole or self.size is None or self.low is None:
            return replace(self, jump=jump)
        low = self.low - before * self.jump
        size = self.size + (extent - 1) * self.jump
        high = low + (count - 1) * jump + size - 1
        return replace(self, size=size, jump=jump, low=low, high=high)

    def gather(self, *, keep: bool = False) -> Span:
        """Return the span of what reads all positions at once.

        Args:
            keep: The positions stay, and each now sees what all of them saw.
        """
        jump = self.jump if keep else None
        if self.low is None or self.high is None:
            return replace(self, jump=jump)
        if self.whole or (self.low <= 0 and self.high >= self.image - 1):
            return replace(self, size=self.image, jump=jump, whole=True, reason="")
        # Rounding down left border pixels out that no position sees.
        if keep:
            return replace(self, size=None, reason=VARIES)
        return replace(self, size=self.high - self.low + 1, jump=None, reason="")

    def join(self, other: Span) -> Span:
        """Return the span of what reads both at each position: the maximum over two paths."""
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
        both = replace(self, low=low, high=high, jump=jump)
        if self.size and other.size and self.jump == other.jump:
            end = max(self.low + self.size, other.low + other.size)
            return replace(both, size=end - low)
        return replace(both, size=None, reason=self.reason or other.reason or VARIES)

    def unknown(self, reason: str) -> Span:
        """Return a span of which nothing is known, unless it is the whole image already.

        What was unknown for another reason before keeps that one.
        """
        if self.whole:
            return replace(self, jump=None)
        first = self.reason if self.low is None else ""
        return Span(self.image, size=None, jump=None, low=None, high=None, reason=first or reason)

    def interval(self, position: int) -> tuple[int, int] | None:
        """Return the first and last pixel that a position sees, or None if unknown."""
        if self.size is None or self.low is None:
            return None
        low = 0 if self.whole else self.low + position * (self.jump or 0)
        return low, low + self.size - 1


class Atom(NamedTuple):
    """A factor of a tensor's dimension.

    Attributes:
        size: Positions along it.
        axes: The image's axes that they run along: (), (ROWS,), (COLUMNS,); both where the
            dimension holds them inseparably.
    """

    size: int
    axes: tuple[int, ...] = ()


# A tensor's dimensions, each with its factors from slow to fast: after a flatten, one dimension
# holds channels, rows and columns. Factors of size 1 off the image's axes are left out.
DimLayout = tuple[tuple[Atom, ...], ...]


@dataclass(frozen=True)
class Field:
    """What the values of one tensor see of the image.

    Attributes:
        spans: Along the image's rows (height) and columns (width).
        layout: None where it is lost which value belongs to which position.
    """

    spans: tuple[Span, Span]
    layout: DimLayout | None

    @classmethod
    def of_image(cls, channels: int, height: int, width: int) -> Field:
        """Return the field of an image batch (1, C, H, W)."""
        layout = ((), _tidy([Atom(channels)]), (Atom(height, (ROWS,)),), (Atom(width, (COLUMNS,)),))
        return cls((Span.of_image(height), Span.of_image(width)), layout)

    @property
    def size(self) -> Extent | Literal["whole image", "unknown"]:
        """Input pixels: one number for a square, else (height, width)."""
        rows, columns = self.spans
        if rows.whole and columns.whole:
            return "whole image"
        if rows.size is None or columns.size is None:
            return "unknown"
        return rows.size if rows.size == columns.size else (rows.size, columns.size)

    @property
    def jump(self) -> Extent | None:
        """Input pixels between neighbouring positions; None where there are no positions."""
        rows, columns = (span.jump for span in self.spans)
        if self.layout is None or rows is None or columns is None:
            return None
        return rows if rows == columns else (rows, columns)

    @property
    def reason(self) -> str:
        """Why the size is unknown; empty if it is not."""
        return self.spans[0].reason or self.spans[1].reason if self.size == "unknown" else ""

    def lose(self, reason: str) -> Field:
        """Return the field after something that cannot be known; what is whole stays whole."""
        rows, columns = self.spans
        return Field((rows.unknown(reason), columns.unknown(reason)), None)

    def with_layout(self, layout: DimLayout | None) -> Field:
        """Return the same spans elsewhere in the tensor."""
        tidy = None if layout is None else tuple(_tidy(atoms) for atoms in layout)
        return replace(self, layout=tidy)

    def change(self, axes: Iterable[int], what: Callable[[Span], Span]) -> Field:
        """Return the field with ``what`` done to the spans of some axes."""
        chosen = set(axes)
        rows, columns = (what(s) if axis in chosen else s for axis, s in enumerate(self.spans))
        return replace(self, spans=(rows, columns))

    def gather(self, dims: Iterable[int], *, keep: bool = False) -> Field:
        """Return the field of what reads all values along some dimensions at once.

        The dimensions stay, with size 1 unless ``keep``; see `Span.gather`.
        """
        if self.layout is None:
            return self
        chosen = {dim % len(self.layout) for dim in dims}
        axes = {axis for dim in chosen for atom in self.layout[dim] for axis in atom.axes}
        field = self.change(axes, lambda span: span.gather(keep=keep))
        if keep:
            return field
        # Rows and columns held inseparably go together: no dimension is left to find them in.
        layout = [() if dim in chosen else atoms for dim, atoms in enumerate(self.layout)]
        return field.with_layout(tuple(layout))


def join_fields(fields: Sequence[Field], shape: Sequence[int]) -> Field:
    """Return the field of an elementwise operation.

    Args:
        fields: Of the operands that see the image, at least one; they broadcast to ``shape``.
        shape: Of the result.
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
        if len(held) > 1 or any(_count(atoms) != shape[place] for atoms in held):
            return joined.lose("positions of different maps meet")
        dims.append(held.pop() if held else (Atom(shape[place]),))
    return joined.with_layout(tuple(dims))


def reshape_layout(layout: DimLayout, old: Sequence[int], new: Sequence[int]) -> DimLayout | None:
    """Return the layout after ``view``, or None if it cuts rows or columns into pieces."""
    if tuple(old) == tuple(new):
        return layout
    dims: list[list[Atom]] = []
    i = j = 0
    while j < len(new):
        # The shortest runs of old and of new dimensions that hold equally many values.
        start_i, start_j, i, j = i, j, min(i + 1, len(old)), j + 1
        while prod(old[start_i:i]) != prod(new[start_j:j]):
            if prod(old[start_i:i]) < prod(new[start_j:j]):
                i += 1
            else:
                j += 1
        atoms = [atom for dim in layout[start_i:i] for atom in dim]
        part = _distribute(atoms, new[start_j:j])
        if part is None:
            return None
        dims += part
    rest = [atom for dim in layout[i:] for atom in dim]  # of size 1
    if not dims:
        return None if any(atom.axes for atom in rest) else ()
    dims[-1] += rest
    return tuple(_tidy(atoms) for atoms in dims)


def _distribute(atoms: list[Atom], sizes: Sequence[int]) -> list[list[Atom]] | None:
    """Fill dimensions of these sizes with the factors in order; None if one must be cut."""
    waiting = list(reversed(atoms))
    dims: list[list[Atom]] = []
    for size in sizes:
        taken: list[Atom] = []
        while waiting and (_count(taken) < size):
            atom = waiting.pop()
            need = size // _count(taken)
            if need % atom.size == 0:
                taken.append(atom)
            elif atom.size % need == 0 and not atom.axes:
                taken.append(Atom(need))
                waiting.append(Atom(atom.size // need))
            else:
                return None
        dims.append(taken)
    dims[-1] += reversed(waiting)  # of size 1
    return dims


def _count(atoms: Iterable[Atom]) -> int:
    return prod(atom.size for atom in atoms)


def _tidy(atoms: Iterable[Atom]) -> tuple[Atom, ...]:
    """Drop factors of size 1 off the image's axes and multiply neighbours off them."""
    tidy: list[Atom] = []
    for atom in atoms:
        if tidy and not atom.axes and not tidy[-1].axes:
            tidy[-1] = Atom(tidy[-1].size * atom.size)
        elif atom.axes or atom.size > 1:
            tidy.append(atom)
    return tuple(tidy)
