"""What ends a run before its last epoch: SIGINT, SIGTERM, SIGHUP or ``--time-limit``.

The first signal is obeyed after the step in progress, and everything is saved; the second one ends
the process at once. Of several processes all must stop at the same step, or those that go on would
wait for the others: :func:`sync_stop_request` makes them agree.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from cnncli.errors import HUNG_UP, INTERRUPTED, TERMINATED, CnncliError

if TYPE_CHECKING:
    from cnncli.training.distributed import World

_EXIT_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}
if hasattr(signal, "SIGHUP"):  # its terminal was closed; Windows has no such signal
    _EXIT_CODES[signal.SIGHUP] = HUNG_UP


class Stopped(CnncliError):  # noqa: N818 - nothing is wrong
    """Training was stopped by a signal; everything that was trained is saved."""


# Seconds for what takes the same time for every network: the curves, the report, a page without
# heat maps, leaving.
_SECONDS_TO_END = 3.0

# Beside more other processes than that nothing can be promised.
_MOST_SLOWNESS = 6.0

# No disk takes longer than that to bring a process to the import of this module.
_SECONDS_TO_IMPORT = 120.0


def process_start() -> float:
    """Return when this process was started, by ``time.monotonic``.

    Where the system does not say it, or says what cannot be, this is when the module was imported.
    """
    now = time.monotonic()
    try:
        stat = Path("/proc/self/stat").read_text(errors="replace")
        ticks = int(stat.rpartition(")")[2].split()[19])  # since the machine started
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return _IMPORTED
    # A sandbox may count a process from the start of the machine.
    return now - age if 0 <= _IMPORTED - (now - age) <= _SECONDS_TO_IMPORT else _IMPORTED


_IMPORTED = time.monotonic()


class TimeLimit:
    """Measures how much of the time that a run may take is spent.

    Attributes:
        limit: Seconds the run may take; None for no limit.
        before: Seconds the run took before it was resumed, 0 for a new run.
        lead: Seconds of these and of this sitting before training began: imports, reading images.
        reserve: Seconds kept for the work after the last step: validation, test and pictures.
        agreed: Seconds spent, as rank 0 read its clock after the last step; every process goes by
            it. None where a process trains alone and reads its own clock.
    """

    def __init__(self, limit: float | None, started: float | None = None) -> None:
        """Start the clock, or go by one that was started before.

        Args:
            limit: Seconds the run may take; None for no limit.
            started: When the clock was started, by ``time.monotonic``; None for now.
        """
        now = time.monotonic()
        self.limit = limit
        self.before = 0.0
        self._start = now if started is None else started
        self.lead = now - self._start
        self.reserve = self._reserve_fixed(1.0)
        self.agreed: float | None = None

    def clock(self) -> float:
        """Return the seconds that the run has taken so far, the same in all processes."""
        if self.agreed is not None:
            return self.agreed
        return self.read()

    def read(self) -> float:
        """Return the seconds that the run has taken so far, by this process's clock."""
        return self.before + time.monotonic() - self._start

    @property
    def progress(self) -> float:
        """The fraction of the training time that is spent, 0-1; 0 without a limit."""
        if self.limit is None:
            return 0.0
        room = self.limit - self.reserve - self.lead
        return min(1.0, max(0.0, self.clock() - self.lead) / room) if room > 0 else 1.0

    @property
    def is_over(self) -> bool:
        """Whether training has to end now; the reserve is what is left of the limit."""
        return self.limit is not None and self.progress >= 1

    def keep_for_the_end(self, validation_seconds: float, slowness: float = 1.0) -> None:
        """Reserve the time for two more passes over val, one over test, and the files of the end.

        Args:
            validation_seconds: How long the last pass over val took.
            slowness: How many times as long the run takes as it would take alone on the machine.
        """
        if self.limit is not None:
            fixed = self._reserve_fixed(min(max(1.0, slowness), _MOST_SLOWNESS))
            # The first pass is slow, and half of the time is for training whatever it takes.
            needed = max(self.reserve, fixed, 3.5 * validation_seconds)
            self.reserve = min(0.5 * self.limit, needed)

    def _reserve_fixed(self, slowness: float) -> float:
        """Return the seconds for what takes the same time for every network."""
        limit = self.limit or 0.0
        return min(0.03 * limit + _SECONDS_TO_END * slowness, 0.25 * limit * min(slowness, 1.6))


class StopRequest:
    """Whether training is to stop before its last epoch, and why.

    Attributes:
        time_limit: The time that the run may take.
        received: The first signal that this process has received; None before one came.
        signal: The signal that all processes know of, set by :func:`sync_stop_request`; None
            before one came.
    """

    def __init__(
        self, time_limit: TimeLimit, *, quiet: bool = False, lock: Path | None = None
    ) -> None:
        """Begin with no request.

        Args:
            time_limit: The time that the run may take.
            quiet: Whether to print nothing when a signal comes, because another process does.
            lock: A file to delete when a second signal ends the process; None for no file.
        """
        self.time_limit = time_limit
        self.received: signal.Signals | None = None
        self.signal: signal.Signals | None = None
        self._quiet = quiet
        self._lock = lock

    @property
    def is_set(self) -> bool:
        """Whether to stop after this step: a signal has come or the time is over."""
        return self.signal is not None or self.time_limit.is_over

    def raise_if_signalled(self, place: str, resume: str) -> None:
        """End the run with the signal's exit code, if a signal has come.

        Args:
            place: How far the run is, for the message.
            resume: The command that resumes the run, for the message.

        Raises:
            Stopped: If a signal has come.
        """
        if self.signal is not None:
            raise Stopped(
                f"stopped by {self.signal.name} in {place}; go on with: {resume}",
                exit_code=_EXIT_CODES[self.signal],
            )

    @contextmanager
    def catch_signals(self) -> Iterator[None]:
        """Receive SIGINT, SIGTERM and SIGHUP inside this context.

        A signal that is ignored stays ignored: ``nohup`` does so with SIGHUP.

        Outside a process's main thread Python allows no signal handlers; nothing is caught there.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers_caught = [n for n in _EXIT_CODES if signal.getsignal(n) != signal.SIG_IGN]
        before = {number: signal.signal(number, self._receive) for number in numbers_caught}
        numbers, written = socket.socketpair()
        written.setblocking(False)
        fd = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
        watcher = threading.Thread(target=self._watch, args=(numbers,), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(fd)
            for number, handler in before.items():
                signal.signal(number, handler)
            # Closing would not end the thread: loader processes hold the socket open too.
            written.shutdown(socket.SHUT_WR)
            watcher.join()
            written.close()
            numbers.close()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        """Keep the first signal; Python calls this between two lines of the main thread."""
        self.received = self.received or signal.Signals(number)

    def _watch(self, numbers: socket.socket) -> None:
        """Print a line at the first signal, and end the process at once at the second.

        This runs in a thread of its own and reads signals from a socket: a training step may keep
        the main thread inside one call for minutes, and no handler of Python runs meanwhile.
        """
        count = 0
        while data := numbers.recv(16):
            for number in filter(_EXIT_CODES.__contains__, data):
                count += 1
                if count > 1:
                    if self._lock is not None:
                        self._lock.unlink(missing_ok=True)
                    os._exit(_EXIT_CODES[signal.Signals(number)])
                name = signal.Signals(number).name
                if not self._quiet:
                    with suppress(OSError):  # stderr is closed; a second signal still counts
                        sys.stderr.write(
                            f"{name}: saving after this step; once more ends at once\n"
                        )


def sync_stop_request(request: StopRequest, world: World) -> None:
    """Make all processes know of a signal that one received, and take over rank 0's clock.

    All processes call it after the same step.

    Args:
        request: This process's request; its ``signal`` and its time limit's clock are set.
        world: The processes that train together.
    """
    if not world.joined:
        request.signal = request.received
        return
    import torch  # here, so that commands can check run folders without waiting for torch

    numbers = tuple(_EXIT_CODES)
    received = [request.received == number for number in numbers]
    seconds = request.time_limit.read() if world.is_first else 0.0
    *counts, agreed = world.sum_(torch.tensor([*received, seconds]).double()).tolist()
    request.signal = next((n for n, count in zip(numbers, counts, strict=True) if count), None)
    request.time_limit.agreed = agreed
