"""``--time-limit``: a run that ends in time, with a schedule that ends with it."""

from __future__ import annotations

import time


class TimeLimit:
    """Tells how far a run is in the time it has.

    Attributes:
        limit: Seconds, None for no limit.
        before: Seconds spent in earlier sittings.
        reserve: Seconds to keep for what comes behind the last step: val, test, pictures.
        agreed: What several processes take the clock to say, so that they do the same; None in one.
    """

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self.before = 0.0
        self.reserve = 0.03 * (limit or 0.0)
        self.agreed: float | None = None
        self._start = time.monotonic()

    def clock(self) -> float:
        """Return the seconds spent, all sittings together."""
        if self.agreed is not None:
            return self.agreed
        return self.read()

    def read(self) -> float:
        """Return what the clock of this process says now."""
        return self.before + time.monotonic() - self._start

    @property
    def progress(self) -> float:
        """The share of the time that is spent, 0–1; 0 without a limit."""
        if self.limit is None:
            return 0.0
        return min(1.0, self.clock() / max(1e-9, self.limit - self.reserve))

    @property
    def is_over(self) -> bool:
        """Whether it is time to end."""
        return self.limit is not None and self.progress >= 1

    def keep_for_the_end(self, validation_seconds: float) -> None:
        """Reserve the time of two more passes over val: its own and test's."""
        if self.limit is not None:
            # The first pass is slow, and half of the time is for training whatever it takes.
            self.reserve = min(0.5 * self.limit, max(self.reserve, 2.5 * validation_seconds))
