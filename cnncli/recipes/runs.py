"""Runs: list what lies in a folder of runs, tell of one run, and what of finished ones can go.

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
from cnncli.files import STUDIES_FOLDER, expand_path
from cnncli.run.folder import tell_no_run
from cnncli.run.lock import find_holder
from cnncli.run.note import read_note
from cnncli.run.prune_run import list_prunable
from cnncli.run.read_folder import RunRecord, survey_run
from cnncli.run.run_state import State, find_state
from cnncli.training.find_run import (
    LAST,
    find_named,
    is_run_folder,
    is_trial,
    list_folds,
    list_run_folders,
    list_trials,
    suggest_runs,
)
from cnncli.training.history import MONITORS

METRICS = (*MONITORS, "test_accuracy")


@dataclass(frozen=True)
class ListedRun:
    """A run in a list.

    Attributes:
        record: What the files in its folder say; what is damaged is left out.
        state: How far it has come.
        size: Bytes of the files in its folder.
        note: What a person has written about it; None for nothing.
    """

    record: RunRecord
    state: State
    size: int
    note: str | None = None

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
            "note": self.note,
        }

    def describe(self) -> dict[str, Any]:
        """Return all that is known of it, ready for JSON: `summarize` and what no list has."""
        record = self.record
        seconds = [_number(row.get("seconds")) for row in record.epochs]
        known = [value for value in seconds if value is not None]
        files = {p.name: p.lstat().st_size for p in sorted(record.path.iterdir()) if p.is_file()}
        return self.summarize() | {
            "path": str(record.path),
            "folds": len(list_folds(record.path)) or None,
            "epochs_run": None if list_folds(record.path) else len(record.epochs),
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
        studies: Folders of the studies of ``tune`` beside them.
    """

    runs: list[ListedRun]
    others: list[str]
    studies: list[Path]


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
    for path in list_trials(folder):
        runs.append(read_run(path, f"{path.parent.name}/{path.name}"))
        known.add(path.parent.name)
    studies = [path for path in sorted(folder.glob(f"{STUDIES_FOLDER}/*")) if list_trials(path)]
    if studies:
        known.add(STUDIES_FOLDER)
    return RunList(runs, [name for name in folders if name not in known], studies)


def open_folder(output: str) -> Path:
    """Return the folder that holds the runs.

    Raises:
        CnncliError: If there is no such folder, or it is a run itself.
    """
    folder = expand_path(output)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "there is no such folder"
        raise CnncliError(f"--dir {output}: {what}; train makes runs/, or the folder of --output")
    if is_run_folder(folder) and not list_folds(folder):
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
    if not given:
        raise CnncliError("the name of a run is empty")
    if os.sep in given or given in (".", ".."):
        path = expand_path(given)
        if not path.is_dir() or not is_run_folder(path):
            raise CnncliError(f"{given}: {tell_no_run(path)}")
        return path
    folder = open_folder(output)
    folders = list_run_folders(folder) or list_trials(folder)
    if given == LAST and folders:
        return folders[0]
    trial = [path for path in folders if is_trial(path) and path.parent.name == given]
    if len(trial) > 1:
        inside = ", ".join(f"{path.parent.name}/{path.name}" for path in trial)
        raise CnncliError(f"{given}: holds several runs ({inside}); name one by its path")
    if trial:
        return trial[0]
    found = find_named(given, folders, given)
    if found is None:
        near = suggest_runs(given, folders) or f"; cnncli runs --dir {output} lists them"
        raise CnncliError(f"{given}: no run of that name in {output}/{near}")
    return found


def read_run(path: Path, name: str = "") -> ListedRun:
    """Read a run's folder, of which anything may be damaged.

    Args:
        path: The folder.
        name: What the run is called; empty for the folder's name.
    """
    record, faults = survey_run(path, name or path.name, with_images=False)
    return ListedRun(record, find_state(record, faults), measure(path), read_note(path))


def find_prunable(
    names: Sequence[str], output: str, *, all_: bool
) -> tuple[dict[Path, list[Path]], list[str]]:
    """Return what can go of finished runs.

    Args:
        names: Runs, as `find_run` takes them; empty for all finished runs of ``output``.
        output: The folder that holds the run folders.
        all_: Whether the checkpoints of kept epochs can go too.

    Returns:
        The files that can go of each run that has some, and the names of the runs that are left
        alone since they are not finished.

    Raises:
        CnncliError: If there is no such run, or if one that is named is not finished.
    """
    given = [find_run(name, output) for name in names]
    folder = open_folder(output)
    inside = [*list_run_folders(folder), *list_trials(folder)]
    listed = given or [path for path in inside if not path.is_symlink()]
    files: dict[Path, list[Path]] = {}
    left: list[str] = []
    for path in dict.fromkeys(listed):
        run = read_run(path)
        holder = find_holder(path)
        is_held = holder is not None and not (holder.is_visible() and holder.is_gone())
        if run.state.word == "finished" and not is_held:
            found = list_prunable(path, all_=all_)
            if found:
                files[path] = found
        elif given:
            word = "a process has it" if is_held else run.state.describe()
            raise CnncliError(
                f"runs prune {path}: not a finished run ({word}); runs delete removes all of it"
            )
        else:
            left.append(path.name)
    return files, left


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
