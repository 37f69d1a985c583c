"""What a check found: its kind, a sentence about it, and the images that it concerns.

A new kind of finding is one word in one of the two lists below, a row in the tables of
``docs/check-data.md``, and the ``check_…`` function that yields it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

# Findings that make a result wrong, or better than it will be on new images.
SpoilingKind = Literal[
    "unreadable",
    "contradiction",
    "leak",
    "group-leak",
    "missing-class",
    "single-images",
    "mixed-scale",
    "shortcut",
]
# Findings that are worth knowing.
NoteKind = Literal[
    "duplicates",
    "shared-ids",
    "placeholder",
    "constant",
    "blank-on-white",
    "partial-shortcut",
    "imbalance",
    "few-images",
    "stored-in-colour",
    "odd-format",
    "odd-size",
    "outliers",
    "no-data",
    "mixed-depth",
    "small-range",
    "rotated",
    "layout",
    "label-spelling",
]
FindingKind = SpoilingKind | NoteKind
# Those whose groups are copies of one picture each.
COPY_KINDS: frozenset[FindingKind] = frozenset(
    {"contradiction", "leak", "placeholder", "duplicates"}
)
Severity = Literal["spoils", "note"]


@dataclass(frozen=True)
class Finding:
    """One fault of a data set, or one thing about it that is worth knowing.

    Attributes:
        kind: Name of this kind of finding; ``docs/check-data.md`` explains each.
        text: One sentence for the user: how many images, and what is the matter with them.
        groups: Indices of the images that the finding is about. Images that belong together, such
            as copies of one picture, are in one tuple.
        drop: Indices of the images to leave out of the data set; without them the finding is gone.
    """

    kind: FindingKind
    text: str
    groups: tuple[tuple[int, ...], ...] = ()
    drop: tuple[int, ...] = ()

    @property
    def severity(self) -> Severity:
        """``spoils`` if it makes a result wrong or too good, ``note`` if it is worth knowing."""
        return "spoils" if self.kind in get_args(SpoilingKind) else "note"

    @property
    def images(self) -> tuple[int, ...]:
        """Indices of all images that the finding is about, each once, ascending."""
        return tuple(sorted({index for group in self.groups for index in group}))


def one_by_one(indices: list[int]) -> tuple[tuple[int, ...], ...]:
    """Return each index as a group by itself."""
    return tuple((index,) for index in indices)
