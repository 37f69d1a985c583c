"""The one error type for what a user can mend, and the wording of a suggestion."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

RUNTIME_FAILURE = 1
USAGE_ERROR = 2
FINDINGS = 3
INTERRUPTED = 130
TERMINATED = 143


class CnncliError(Exception):
    """A mistake the user can mend: where it is, what is wrong, what would be right.

    Anything else that is raised is a bug and keeps its traceback.

    Attributes:
        exit_code: 2 for usage, config, data and checkpoint errors; 1 for a run-time failure.
    """

    def __init__(self, message: str, *, exit_code: int = USAGE_ERROR) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ReportedElsewhereError(SystemExit):
    """Ends one of several processes quietly: another one tells why."""


def did_you_mean(word: str, known: Iterable[str], *, count: int = 3) -> str:
    """Return ``"; did you mean a, b?"`` for the names nearest to ``word``, or an empty string."""
    lowered = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), lowered, n=count, cutoff=0.5)
    return f"; did you mean {', '.join(lowered[name] for name in near)}?" if near else ""


def shorten(names: Sequence[str], most: int = 5) -> str:
    """Join names with commas, the rest as a count."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
