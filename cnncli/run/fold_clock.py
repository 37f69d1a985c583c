"""The time that each fold of a cross-validation may take of ``--time-limit``."""

from __future__ import annotations

import time

from cnncli.choices import parse_duration


class FoldClock:
    """Gives each fold an equal share of the time that is left of ``--time-limit``."""

    def __init__(self, limit: str | None, started: float) -> None:
        """Begin.

        Args:
            limit: The time that all folds may take together; None for no limit.
            started: When the clock was started, by ``time.monotonic``; so much earlier as epochs
                have taken before it was resumed.
        """
        self._limit = None if limit is None else parse_duration(limit)
        self._started = started

    def share(self, left: int) -> float | None:
        """Return the seconds that a fold may train, which is the first of ``left`` ones."""
        if self._limit is None:
            return None
        return (self._limit - (time.monotonic() - self._started)) / left
