"""Runs: list what lies in a folder of runs, tell of one run, delete runs.

Light: nothing is trained or loaded, and the runs may still be going on.
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnncli.errors import CnncliError
from cnncli.files import expand_path
from cnncli.run.folder import tell_no_run
from cnncli.run.lock import find_holder
from cnncli.run.read_folder import RunRecord, survey_run
from cnncli.training.find_run import (
    LAST,
    find_named,
    is_run_folder,
    list_run_folders,
    suggest_runs,
)
from cnncli.training.history import MONITORS

METRICS = (*MONITORS, "test_accuracy")


@dataclass(frozen=True)
class State:
    """How far a run has come.

    Attributes:
        word: finished, running, perhaps running, stopped or damaged.
        done: Number of the epochs that are complete.
        of: Number of epochs that were asked for; None if the settings do not say it.
        why: What is known beside that; empty for nothing.
    """

    word: str
    done: int = 0
    of: int | None = None
    why: str = ""

    def describe(self) -> str:
        """Return the state in words: ``"stopped at epoch 16 of 33"``."""
        of = "" if self.of is None else f" of {self.of}"
        at = f" at epoch {self.done}{of}" if self.word == "stopped" and self.done else ""
        at = " before the end of epoch 1" if self.word == "stopped" and not self.done else at
        if self.word.endswith("running"):
            at = f", {self.done}{of} {'epoch' if (self.of or self.done) == 1 else 'epochs'} done"
        return self.word + at + (f": {self.why}" if self.why else "")

    def abbreviate(self) -> str:
        """Return the state for a narrow column: ``"stopped 16/33"``."""
        if self.word in ("finished", "damaged"):
            return self.word
        word = "running?" if self.word == "perhaps running" else self.word
        return f"{word} {self.done}/{'?' if self.of is None else self.of}"


@dataclass(frozen=True)
class ListedRun:
    """A run in a list.

    Attributes:
        record: What the files in its folder say; what is damaged is left out.
        state: How far it has come.
        size: Bytes of the files in its folder.
    """

    record: RunRecord
    state: State
    size: int

    def summarize(self) -> dict[str, Any]:
        """Return what is printed of it, ready for JSON; None stands for what is not known."""
        best, accuracy = self.record.best, self.record.test.get("accuracy")
        metrics = {name: _number((best or {}).get(name)) for name in MONITORS}
        return {
            "run": self.record.name,
            "data": _text(self.record.settings.get("data")),
            "model": _text(self.record.settings.get("model")),
            "state": self.state.describe(),
            "best_epoch": None if best is None else int(best["epoch"]),
            "metrics": metrics | {"test_accuracy": _number((accuracy or {}).get("value"))},
            "bytes": self.size,
        }

    def describe(self) -> dict[str, Any]:
        """Return all that is known of it, ready for JSON: `summarize` and what no list has."""
        record = self.record
        seconds = [_number(row.get("seconds")) for row in record.history]
        known = [value for value in seconds if value is not None]
        files = {p.name: p.lstat().st_size for p in sorted(record.path.iterdir()) if p.is_file()}
        return self.summarize() | {
            "path": str(record.path),
            "epochs_run": len(record.history),
            "monitor": record.monitor,
            "report": _plain(record.report),
            "seconds_per_epoch": round(statistics.median(known), 3) if known else None,
            "parameters": record.parameters,
            "files": files,
            "settings": _plain(record.settings),
        }


@dataclass(frozen=True)
class RunList:
    """The runs of a folder.

    Attributes:
        runs: The runs, the newest first.
        others: Names of the folders beside them that are no runs.
    """

    runs: list[ListedRun]
    others: list[str]


def list_runs(output: str) -> RunList:
    """Read the runs of a folder.

    Args:
        output: The folder that holds the run folders.

    Raises:
        CnncliError: If there is no such folder, or it is a run itself.
    """
    folder = open_folder(output)
    try:
        folders = sorted(path.name for path in folder.iterdir() if path.is_dir())
    except OSError as error:
        raise CnncliError(f"--dir {output}: cannot be read ({error.strerror})") from None
    runs = [read_run(path) for path in list_run_folders(folder)]
    known = {run.record.name for run in runs}
    return RunList(runs, [name for name in folders if name not in known])


def open_folder(output: str) -> Path:
    """Return the folder that holds the runs.

    Raises:
        CnncliError: If there is no such folder, or it is a run itself.
    """
    folder = expand_path(output)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "there is no such folder"
        raise CnncliError(f"--dir {output}: {what}; train makes runs/, or the folder of --output")
    if is_run_folder(folder):
        raise CnncliError(f"--dir {output}: is a run itself; it lies in {folder.absolute().parent}")
    return folder


def find_run(given: str, output: str) -> Path:
    """Return the folder of a run.

    Args:
        given: Its path, its name in ``output``, a part of that name that no other run has, or
            ``last`` for the newest.
        output: The folder that holds the run folders.

    Raises:
        CnncliError: If there is no such run, or more than one.
    """
    if os.sep in given or given in ("", ".", ".."):
        path = expand_path(given)
        if not path.is_dir() or not is_run_folder(path):
            raise CnncliError(f"{given}: {tell_no_run(path)}")
        return path
    folders = list_run_folders(open_folder(output))
    if given == LAST and folders:
        return folders[0]
    found = find_named(given, folders, given)
    if found is None:
        near = suggest_runs(given, folders) or f"; cnncli runs --dir {output} lists them"
        raise CnncliError(f"{given}: no run of that name in {output}/{near}")
    return found


def read_run(path: Path) -> ListedRun:
    """Read a run's folder, of which anything may be damaged.

    Args:
        path: The folder.
    """
    record, faults = survey_run(path, path.name, with_images=False)
    return ListedRun(record, _find_state(record, faults), measure(path))


def _find_state(record: RunRecord, faults: Sequence[CnncliError]) -> State:
    epochs = record.settings.get("epochs")
    of = epochs if isinstance(epochs, int) and not isinstance(epochs, bool) else None
    done = sum(row["epoch"] > 0 for row in record.history)
    holder = find_holder(record.path)
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return State("damaged", done, of, f"{faults[0]}{more}".removeprefix(f"{record.path}/"))
    if record.report is not None:
        return State("finished", done, of)
    if holder is None:
        why = "not evaluated" if of is not None and done >= of else ""
        return State("stopped", done, of, why)
    if not holder.is_visible():
        return State("perhaps running", done, of, f"process {holder.pid} on {holder.host}")
    if holder.is_gone():
        return State("stopped", done, of, "its process ended without a word, as if it was killed")
    return State("running", done, of)


def measure(path: Path) -> int:
    """Return the bytes of all files in a folder; a link counts as itself."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            # A run that is going on replaces its files.
            with suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


def _number(value: object) -> float | None:
    """Return a finite number, or None for all else."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and math.isfinite(value) else None  # type: ignore[arg-type]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None if value is None else str(value)


def _plain(value: Any) -> Any:
    """Return a value of YAML or JSON with texts in place of the numbers that JSON does not have."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    known = value is None or isinstance(value, bool | int | str)
    return value if known or (isinstance(value, float) and math.isfinite(value)) else str(value)
