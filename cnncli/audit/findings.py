"""What a check finds: one sentence, how bad it is, and the images it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["spoils", "note"]


@dataclass(frozen=True)
class Finding:
    """One kind of fault, or thing worth knowing.

    Attributes:
        kind: A word for it; ``docs/check-data.md`` explains each.
        severity: ``spoils`` makes a result wrong or too good; ``note`` is worth knowing.
        text: A sentence.
        groups: Indices of the images, those that belong together in one tuple.
        drop: Indices of those to leave out to be rid of it.
    """

    kind: str
    severity: Severity
    text: str
    groups: tuple[tuple[int, ...], ...] = ()
    drop: tuple[int, ...] = ()

    @property
    def images(self) -> tuple[int, ...]:
        """All images it is about, ascending."""
        return tuple(sorted({index for group in self.groups for index in group}))


def one_by_one(indices: list[int]) -> tuple[tuple[int, ...], ...]:
    """Return each index as a group by itself."""
    return tuple((index,) for index in indices)


def count_of(number: int, singular: str, plural: str | None = None) -> str:
    """Return ``"1 image"`` or ``"2 images"``, thousands apart."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
