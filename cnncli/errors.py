"""The error type for mistakes that the user can correct, exit codes, and words of messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

# Exit codes.
RUNTIME_FAILURE = 1
USAGE_ERROR = 2  # a mistake in the arguments, the config, the data or a checkpoint
FINDINGS = 3  # the command ran, and found problems in the data
HUNG_UP = 129  # 128 + SIGHUP
INTERRUPTED = 130  # 128 + SIGINT, as shells count
TERMINATED = 143  # 128 + SIGTERM


class CnncliError(Exception):
    """A mistake that the user can correct.

    The message says where the mistake is, what is wrong and what would be right. Any other
    exception is a bug and keeps its traceback.

    Attributes:
        exit_code: Exit code of the process: 2 for errors of usage, config, data and checkpoints,
            1 for a failure at run time.
    """

    def __init__(self, message: str, *, exit_code: int = USAGE_ERROR) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ReportedElsewhereError(SystemExit):
    """Ends one of several processes without a message, because another one prints the error."""


def did_you_mean(word: str, known: Iterable[str], *, count: int = 3, cutoff: float = 0.5) -> str:
    """Return ``"; did you mean a, b?"`` with the names nearest to a word, or an empty string.

    Args:
        word: What the user wrote.
        known: All names that would be right.
        count: Largest number of names to suggest.
        cutoff: How near a name must be, from 0 (any) to 1 (the same).
    """
    if len(word) > 100:  # the comparison takes the square of it
        return ""
    lowered = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), lowered, n=count, cutoff=cutoff)
    return f"; did you mean {', '.join(lowered[name] for name in near)}?" if near else ""


def shorten(names: Sequence[str], most: int = 5) -> str:
    """Join the first names with commas and add the number of the others.

    Args:
        names: All names.
        most: Largest number of names that are written out.
    """
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


def clip(text: str, most: int = 100) -> str:
    """Return a text on one line, without its end where it has more characters than ``most``."""
    line = " ".join(text[: 4 * most].split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def count_of(number: int, one: str, several: str = "") -> str:
    """Return a number and what it counts: ``"1 image"``, ``"2 images"``, ``"1,000 images"``.

    Args:
        number: How many there are.
        one: The words behind 1, such as ``image`` or ``image is``.
        several: The words behind any other number; by default ``one`` with s or es.
    """
    several = several or f"{one}{'es' if one.endswith('s') else 's'}"
    return f"{number:,} {one if number == 1 else several}"
