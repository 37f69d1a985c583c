"""How recipes speak while they work: an interface that the terminal implements.

Everything said here goes to stderr; a command's answer is what its recipe returns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Advance(Protocol):
    """Moves a progress bar on by ``count`` of its unit; ``text`` stands behind the bar."""

    def __call__(self, count: int = 1, text: str = "") -> None: ...


class Reporter(Protocol):
    """What a recipe may say to the person waiting for it."""

    def note(self, text: str) -> None:
        """One line of information."""

    def warn(self, text: str) -> None:
        """One line about something that may spoil the result."""

    def table(self, title: str, rows: Sequence[Mapping[str, object]]) -> None:
        """A small table; the keys of the first row are its columns."""

    def progress(self, label: str, total: int) -> AbstractContextManager[Advance]:
        """A live bar of ``total`` steps; it draws nothing where stderr is not a terminal."""


class SilentReporter:
    """Says nothing; for tests and for use as a library."""

    def note(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...

    def table(self, title: str, rows: Sequence[Mapping[str, object]]) -> None: ...

    def progress(self, label: str, total: int) -> AbstractContextManager[Advance]:
        return nullcontext(_ignore)


def _ignore(count: int = 1, text: str = "") -> None: ...
