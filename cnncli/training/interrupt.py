"""SIGINT and SIGTERM in training: the first is heard at the next step, a second ends at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from cnncli.errors import INTERRUPTED, TERMINATED, CnncliError

_EXIT_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}
STOPPING = tuple(_EXIT_CODES)


class Stopped(CnncliError):  # noqa: N818 - nothing is wrong
    """Training was asked to stop; all that was trained is saved."""


class Interrupt:
    """Whether a signal has come.

    Attributes:
        number: The signal's, None before one came.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.number: signal.Signals | None = None
        self._quiet = quiet

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Note the first signal; end at once at a second: no handler, no buffer, no clean-up."""
        if self.number is not None:
            os._exit(_EXIT_CODES[signal.Signals(number)])
        self.number = signal.Signals(number)
        if not self._quiet:
            sys.stderr.write(
                f"{self.number.name}: saving after this step; once more ends at once\n"
            )


def stop(number: signal.Signals, where: str, resume: str) -> NoReturn:
    """Raise what ends the run with the signal's exit code."""
    raise Stopped(
        f"stopped by {number.name} in {where}; go on with: {resume}", exit_code=_EXIT_CODES[number]
    )


@contextmanager
def catch_signals(*, quiet: bool = False) -> Iterator[Interrupt]:
    """Hear SIGINT and SIGTERM inside; only the main thread of a process can.

    Args:
        quiet: Whether another process tells that a signal has come.
    """
    interrupt = Interrupt(quiet=quiet)
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = {number: signal.signal(number, interrupt.hear) for number in _EXIT_CODES}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
