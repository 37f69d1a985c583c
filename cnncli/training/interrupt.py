"""SIGINT and SIGTERM in training: the first is heard at the next step, a second ends at once."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
        """Note the first signal."""
        self.number = self.number or signal.Signals(number)

    def watch(self, numbers: socket.socket) -> None:
        """Tell of the first signal; end at once at a second: no handler, no buffer, no clean-up.

        Python's handlers run between two lines of the main thread, which a step may keep from its
        next line for minutes; what comes through the socket is read in a thread.
        """
        heard = 0
        while data := numbers.recv(16):
            for number in filter(_EXIT_CODES.__contains__, data):
                heard += 1
                if heard > 1:
                    os._exit(_EXIT_CODES[signal.Signals(number)])
                name = signal.Signals(number).name
                if not self._quiet:
                    # Where nobody reads any more, a second signal counts all the same.
                    with suppress(OSError):
                        sys.stderr.write(
                            f"{name}: saving after this step; once more ends at once\n"
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
    numbers, written = socket.socketpair()
    written.setblocking(False)
    fd = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=interrupt.watch, args=(numbers,), daemon=True)
    watcher.start()
    try:
        yield interrupt
    finally:
        signal.set_wakeup_fd(fd)
        for number, handler in before.items():
            signal.signal(number, handler)
        written.shutdown(socket.SHUT_WR)  # a close would not do: loader processes hold it too
        watcher.join()
        written.close()
        numbers.close()
