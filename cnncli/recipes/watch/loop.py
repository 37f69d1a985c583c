"""Answer new images of a folder until a signal ends it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, TypeVar

from cnncli.errors import CnncliError, count_of
from cnncli.images.preprocess import Preprocess
from cnncli.recipes.watch.arrivals import Arrivals, State, read_state
from cnncli.recipes.watch.rows_file import RowsFile
from cnncli.reporting import Reporter
from cnncli.run.decision import ABSTAIN


class Network(Protocol):
    """What answers images: `recipes.predict.Predictor` does."""

    @property
    def preprocess(self) -> Preprocess:
        """Turns a file into the network's input."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the K classes."""

    @property
    def columns(self) -> list[str]:
        """The keys of a row."""

    @property
    def fingerprint(self) -> str:
        """What tells its answers from those of another network."""

    def predict(self, files: Iterator[tuple[str, ...]]) -> Generator[dict[str, object], None, None]:
        """Yield a row for each image, given as the paths of its files."""


P = TypeVar("P", bound=Network)

# How the errors of files begin that the system did not let be read. Most pass: a drive that was
# away for a moment, a program that still holds the file. So often such a file is tried.
_PASSING = "cannot be read: "
_TRIES = 3
# The wait is so many times as long as a look, at least: 100,000 files keep no core busy.
_LOOKS = 4
_SLICE = 0.1  # seconds after which a signal is noticed, at most


class Stop:
    """Notes the first SIGINT or SIGTERM inside its context; the second one ends the process.

    A signal that is ignored stays ignored.

    Attributes:
        received: The signal; None before one came.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *error: object) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def wait(self, seconds: float) -> None:
        """Wait, but not longer than until a signal comes."""
        end = time.monotonic() + seconds
        while self.received is None and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE))

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        self.__exit__()


def watch_folder(
    folder: Path,
    output: Path,
    load: Callable[[], P],
    reporter: Reporter,
    *,
    interval: float,
    csv_safe: bool,
    after_round: Callable[[P], object],
) -> None:
    """Answer each image of a folder once it is whole, until a signal comes.

    Args:
        folder: The folder, as an absolute path.
        output: The file of rows; what stands in it has its answer.
        load: Loads the network.
        reporter: Is told what begins, what cannot be read, and what was done.
        interval: Seconds between two looks into the folder.
        csv_safe: Whether no cell of a CSV may be a formula for a spreadsheet.
        after_round: Is called after each look whose images are answered.

    Raises:
        CnncliError: If the file of rows is another network's or cannot be written, or the network
            cannot be used.
    """
    with Stop() as stop:  # from the beginning: loading takes seconds
        network = load()
        count = network.preprocess.count_files
        if count > 1:
            raise CnncliError(
                f"--watch: a sample of this checkpoint is {count} files, and which of them go "
                "together is not known as they arrive; give a table of them as INPUT"
            )
        labels = [*network.class_names, ABSTAIN]
        rows = RowsFile(output, network.columns, network.fingerprint, labels, csv_safe=csv_safe)
        with closing(rows):
            begun = rows.count
            arrivals = Arrivals(folder, rows.done, reporter)
            _tell_begin(folder, rows, reporter)
            tries: dict[str, int] = {}
            while stop.received is None:
                begin = time.monotonic()
                found = arrivals.look()
                took = time.monotonic() - begin
                if found:
                    _answer(found, arrivals, rows, network.predict, tries, reporter, stop)
                    after_round(network)
                stop.wait(max(interval, _LOOKS * took))
    left = f"; {count_of(arrivals.waiting, 'file was', 'files were')} waiting"
    reporter.note(
        f"stopped by {stop.received.name}: {count_of(rows.count - begun, 'row')} added to "
        f"{rows.path}, which has {rows.count:,}{left * bool(arrivals.waiting)}"
    )


def _tell_begin(folder: Path, rows: RowsFile, reporter: Reporter) -> None:
    """Say what is watched, and what stands in the file."""
    if rows.mended:
        reporter.warn(
            f"{rows.path}: its last line was cut, and is gone; its image is answered anew"
        )
    if folder.resolve() in rows.path.resolve().parents:
        reporter.note(f"{rows.path} lies in the folder that is watched: who empties it loses rows")
    reporter.note(
        f"watching {folder}: {count_of(rows.count, 'row stands', 'rows stand')} in {rows.path}; "
        "new images are answered as they arrive, until Ctrl-C"
    )


def _answer(
    found: list[tuple[str, State]],
    arrivals: Arrivals,
    rows: RowsFile,
    predict: Callable[[Iterator[tuple[str, ...]]], Generator[dict[str, object], None, None]],
    tries: dict[str, int],
    reporter: Reporter,
    stop: Stop,
) -> None:
    """Add the rows of images that are whole, until a signal comes.

    Args:
        found: Their paths and states.
        arrivals: Is told what has its answer.
        rows: Gets the rows.
        predict: Answers images.
        tries: How often the system has not let an image be read, by its path.
        reporter: Is told what cannot be read.
        stop: Notes the signal.
    """
    states = dict(found)
    files = ((path,) for path in states if stop.received is None)
    with closing(predict(files)) as answers:
        for answered in answers:
            path, error = str(answered["path"]), str(answered["error"])
            if read_state(path) != states[path]:
                pass  # another file by now, or none: what was read need not be either of them
            elif error.startswith(_PASSING) and tries.get(path, 1) < _TRIES:
                tries[path] = tries.get(path, 1) + 1
                arrivals.wait_again(path)
            else:
                rows.append(answered, states[path])
                arrivals.settle(path)
                tries.pop(path, None)
                if error:
                    reporter.warn(f"{path}: {error}")
            if stop.received is not None:
                return
