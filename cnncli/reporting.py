"""How recipes report while they work: an interface that the terminal implements.

All reports go to stderr. The result of a command is what its recipe returns, and goes to stdout.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

# Characters that make a terminal do something, or show a text in another order than it has: C0 but
# for tab and line break, C1, marks of direction, separators of lines, and the byte order mark.
UNSEEN_CHARACTERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)


def show_controls(text: str) -> str:
    r"""Return a text for a person to read, with control characters as ``\x1b`` or ``\u202e``."""
    return UNSEEN_CHARACTERS.sub(lambda found: _escape(found[0]), text)


def _escape(letter: str) -> str:
    return f"\\x{ord(letter):02x}" if letter < "\u0100" else f"\\u{ord(letter):04x}"


@dataclass(frozen=True)
class TableLayout:
    """What may become of a table's columns where a terminal has no room for all of them.

    Attributes:
        drop: Columns in the order in which they go, the least valuable first; then those that are
            not named here, from the right to the left. The first column of a table always stays.
        keep: Columns that go last of all, in the order of ``drop``. Empty columns are not kept.
        together: Groups of columns that go together, such as a class and its probability.
        paths: Columns of paths, which lose folders from their middle.
        words: Columns of sentences or lists, which wrap at spaces.
        headers: What stands above a column in place of its name.
        short: Columns whose numbers are shown as 11.69 M or 4.09 G from a million on.
        drop_equal: Whether columns that are the same in all rows go before all others.
        rounded: Whether figures below 0.001 have no more decimals than the others of their column.
        whole: What shows every column and figure, such as ``--format csv``; empty if nothing does.
    """

    drop: Sequence[str] = ()
    keep: Sequence[str] = ()
    together: Sequence[Sequence[str]] = ()
    paths: Sequence[str] = ()
    words: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    short: Sequence[str] = ()
    drop_equal: bool = True
    rounded: bool = False
    whole: str = ""


class Advance(Protocol):
    """A function that moves a progress bar on by ``count`` units and shows ``text`` behind it."""

    def __call__(self, count: int = 1, text: str = "") -> None: ...


class Reporter(Protocol):
    """What a recipe can report to the person who waits for it."""

    def note(self, text: str) -> None:
        """Show a line of information."""

    def warn(self, text: str) -> None:
        """Show a warning of one line: something may spoil the result."""

    def table(
        self,
        title: str,
        rows: Sequence[Mapping[str, object]],
        layout: TableLayout | None = None,
    ) -> None:
        """Show a small table; the keys of the first row are its columns."""

    def row(self, cells: Mapping[str, str], text: str, *, drop: Sequence[str] = ()) -> None:
        """Show a row of a table that grows, on a terminal; elsewhere a line that needs no header.

        Args:
            cells: Texts by the names of their columns, which stand above the first row, and once
                more above the first row that has a new one.
            text: The line in the place of the cells.
            drop: Columns that go where the terminal is too narrow, the least valuable first.
        """

    def progress(self, label: str, total: int) -> AbstractContextManager[Advance]:
        """Show a progress bar of ``total`` units inside the returned context.

        Nothing is drawn if stderr is not a terminal.
        """


class ListeningReporter:
    """A reporter that hands everything on to another one, and keeps the warnings."""

    def __init__(self, reporter: Reporter, heard: list[str]) -> None:
        """Listen.

        Args:
            reporter: Shows what is reported.
            heard: Gets the warnings.
        """
        self._reporter = reporter
        self._heard = heard
        self.note, self.table, self.row = reporter.note, reporter.table, reporter.row
        self.progress = reporter.progress

    def warn(self, text: str) -> None:
        self._heard.append(text)
        self._reporter.warn(text)


class SilentReporter:
    """A reporter that shows nothing, for tests and for use as a library."""

    def note(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...

    def table(
        self,
        title: str,
        rows: Sequence[Mapping[str, object]],
        layout: TableLayout | None = None,
    ) -> None: ...

    def row(self, cells: Mapping[str, str], text: str, *, drop: Sequence[str] = ()) -> None:
        self.note(text)

    def progress(self, label: str, total: int) -> AbstractContextManager[Advance]:
        return nullcontext(_ignore)


def _ignore(count: int = 1, text: str = "") -> None: ...
