"""Finds the images of a folder that have arrived whole, by looking again and again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cnncli.data.walk import read_whether_image, walk_files
from cnncli.reporting import Reporter

# Size in bytes and time of the last change of a file.
State = tuple[int, str]

STILL = 2.0  # seconds that a file has to stay as it is before it is read
# Ends of names that programs give to files which they have not finished.
_UNFINISHED = (".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", ".download", "~")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def read_state(path: str) -> State | None:
    """Return the size of a file and when it was changed; None if it is not there.

    A symbolic link to nothing has a state too: it is reported as an image that cannot be read.
    """
    try:
        facts = os.stat(path)
    except OSError:
        try:
            facts = os.lstat(path)
        except OSError:
            return None
    seconds, rest = divmod(facts.st_mtime_ns, 10**9)
    try:
        changed = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    except OverflowError:  # no such year
        changed = str(seconds)
    return facts.st_size, f"{changed}.{rest:09d}Z"


class Arrivals:
    """The images of a folder, at any depth, that have no answer yet.

    Files are found as ``predict FOLDER`` finds them, and no system call tells of them: that works
    on network drives too.
    """

    def __init__(
        self,
        folder: Path,
        done: dict[str, State],
        reporter: Reporter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look at nothing yet.

        Args:
            folder: The folder, as an absolute path.
            done: The state in which each file was answered last; whoever answers keeps it.
            reporter: Is told which folders cannot be read, and which files that may be images.
            clock: Returns the time in seconds.
        """
        self.folder = folder
        self._done = done
        self._reporter = reporter
        self._clock = clock
        # Of each file without an answer: its state, and since when it has been in it.
        self._waiting: dict[str, tuple[State, float]] = {}
        self._no_images: dict[str, State] = {}
        self._unreadable: set[str] = set()
        self._unopened: set[str] = set()

    @property
    def waiting(self) -> int:
        """The number of files that were seen last and have no answer yet."""
        return len(self._waiting)

    def look(self) -> list[tuple[str, State]]:
        """Look into the folder once, and return the images that have been still long enough.

        Returns:
            Their paths in the order of the walk, each with its state.
        """
        seen: dict[str, tuple[State, float]] = {}
        now = self._clock()
        for path in self._walk():
            state = read_state(path)
            if state is None or state in (self._done.get(path), self._no_images.get(path)):
                continue
            before, since = self._waiting.get(path, (state, now))
            seen[path] = (state, since if before == state else now)
        self._waiting = seen
        self._unopened.intersection_update(seen)
        still = [(path, state) for path, (state, since) in seen.items() if now - since >= STILL]
        return [(path, state) for path, state in still if self._is_image(path, state)]

    def settle(self, path: str) -> None:
        """Note that a file has its answer."""
        self._waiting.pop(path, None)

    def wait_again(self, path: str) -> None:
        """Let a file be still once more before it is tried again."""
        if path in self._waiting:
            self._waiting[path] = (self._waiting[path][0], self._clock())

    def _is_image(self, path: str, state: State) -> bool:
        """Return whether a file is an image; one of which it cannot be known yet waits again."""
        try:
            is_image = read_whether_image(path)
        except FileNotFoundError:  # gone since it was seen
            is_image = False
        except OSError as error:  # a drive that is away, a program that holds the file
            if path not in self._unopened:
                self._unopened.add(path)
                self._reporter.warn(
                    f"{path}: cannot be read ({error.strerror}), and its name does not say whether "
                    "it is an image; it is tried again"
                )
            self.wait_again(path)
            return False
        if is_image:
            return True
        self._no_images[path] = state
        self.settle(path)
        return False

    def _walk(self) -> Iterator[str]:
        """Yield the absolute paths of all files, and tell of folders that cannot be read."""
        failed: set[str] = set()

        def tell(folder: str, error: OSError) -> None:
            failed.add(folder)
            if folder not in self._unreadable:
                self._reporter.warn(
                    f"{folder}: the folder cannot be read ({error.strerror}); it is tried again"
                )

        for name in walk_files(self.folder, tell):
            if not name.lower().endswith(_UNFINISHED):
                yield os.path.join(self.folder, name)
        # Of what lies in a folder that cannot be read, nothing is known.
        before = self._unreadable - failed
        hidden = {path for path in before if failed & set(map(str, Path(path).parents))}
        for folder in sorted(before - hidden):
            state = "can be read again" if os.path.isdir(folder) else "is gone"
            self._reporter.note(f"{folder}: {state}")
        self._unreadable = failed | hidden
