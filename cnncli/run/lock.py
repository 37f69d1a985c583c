"""The lock of a run folder: one process trains a run, or resumes it, at a time.

The lock is a small file in the folder that names the process. It is removed at the end; one that
was left by a process that is gone is taken over. This module is imported before torch, and must not
import it.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from cnncli.errors import RUNTIME_FAILURE, CnncliError
from cnncli.files import LOCK_FILE, check_regular

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_MOST_OF_LOCK = 2**16  # bytes


@dataclass(frozen=True)
class Process:
    """A process, by what tells it from all others.

    Attributes:
        pid: Its number.
        host: The name of its machine.
        started: When it was started, in clock ticks since the machine started; the number of a
            process that is gone is given to another one. Empty where the system does not say it.
        boot: Identifies the start of the machine; empty where the system does not say it.
        namespace: In which numbering of processes ``pid`` is; every container has its own.
    """

    pid: int
    host: str
    started: str = ""
    boot: str = ""
    namespace: str = ""

    def is_visible(self) -> bool:
        """Return whether it can be seen from here whether the process runs."""
        mine = this_process()
        return self.host == mine.host and self.namespace == mine.namespace and os.name != "nt"

    def is_gone(self) -> bool:
        """Return whether the process has ended, for a process that is visible from here."""
        if self.boot != this_process().boot:
            return True
        if self.started:
            return _start_time(self.pid) != self.started
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # it is another user's
            return False
        return False


def this_process() -> Process:
    """Return what identifies the process that calls."""
    boot, namespace = "", ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    pid = os.getpid()
    return Process(pid, socket.gethostname(), _start_time(pid), boot, namespace)


def _start_time(pid: int) -> str:
    """Return when a process was started; empty if it has ended, or if the system does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return ""
    state, *fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces
    return "" if state in "ZX" else fields[18]


@contextmanager
def lock_run(run_dir: Path, note: Callable[[str], object]) -> Iterator[None]:
    """Let no other process train the run inside this context.

    Args:
        run_dir: The run's folder.
        note: Called with a line of text if a lock is taken over.

    Raises:
        CnncliError: If another process trains the run, or if it cannot be seen whether it does.
    """
    path, mine = run_dir / LOCK_FILE, this_process()
    with _opened(path) as file:
        holder = _read(file)
        if holder is not None:
            _check_gone(holder, run_dir)
            note(f"{path}: left by process {holder.pid}, which has ended; it is taken over")
        file.seek(0)
        file.truncate()
        file.write(json.dumps(asdict(mine)))
    try:
        yield
    finally:
        with suppress(OSError, CnncliError):
            if path.exists():
                with _opened(path) as file:
                    if _read(file) == mine:
                        path.unlink()


def find_holder(run_dir: Path) -> Process | None:
    """Return the process that a run's lock names; None for no lock, or one not written whole.

    Nothing is changed. The process may have ended.
    """
    path = run_dir / LOCK_FILE
    try:
        check_regular(path, most=_MOST_OF_LOCK)
        with path.open(encoding="utf-8") as file:
            return _read(file)
    except OSError:
        return None


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    """Open a lock file, which is made if there is none, while no other process looks into it."""
    try:
        while True:
            with path.open("a+", encoding="utf-8") as file:
                if fcntl is not None:
                    with suppress(OSError):  # some network file systems have no such locks
                        fcntl.flock(file, fcntl.LOCK_EX)
                if not _is_still(file, path):
                    continue
                yield file
                return
    except OSError as error:
        reason = error.strerror or str(error)
        raise CnncliError(
            f"{path}: cannot be written: {reason}", exit_code=RUNTIME_FAILURE
        ) from None


def _is_still(file: IO[str], path: Path) -> bool:
    """Return whether an open file still has its name; its holder may have removed it meanwhile."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _read(file: IO[str]) -> Process | None:
    """Return the process that a lock file names; None for a file that was never written whole."""
    file.seek(0)
    try:
        process = Process(**json.loads(file.read()))
    except (ValueError, TypeError, RecursionError):
        return None
    return process if isinstance(process.pid, int) else None


def _check_gone(holder: Process, run_dir: Path) -> None:
    """Refuse a run that another process trains, or may train."""
    who = f"process {holder.pid} on {holder.host}"
    if not holder.is_visible():
        raise CnncliError(
            f"--resume {run_dir}: {who} has it, and from here nobody can see whether that still "
            f"runs; if it does not, delete {run_dir / LOCK_FILE} and resume again"
        )
    if not holder.is_gone():
        raise CnncliError(
            f"--resume {run_dir}: {who} is training it; wait until it ends, or end it first "
            f"(kill {holder.pid} saves what is trained)"
        )
