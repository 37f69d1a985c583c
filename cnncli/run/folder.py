"""Run folders: making a new one, and finding one that is not finished.

This module is imported before torch, and must not import it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from cnncli.errors import CnncliError, count_of, shorten
from cnncli.files import (
    BEST_FILE,
    CONFIG_FILE,
    LAST_FILE,
    METRICS_FILE,
    MOST_OF_TABLE,
    REPORT_FILE,
    SPLITS_FILE,
    check_regular,
    expand_path,
    make_output_folder,
)
from cnncli.training.find_run import (
    LAST,
    find_named,
    is_finished,
    list_folds,
    list_run_folders,
    suggest_runs,
    tell_runs_inside,
)
from cnncli.training.stopping import Stopped

# The files of a run without which it is only half one.
_FILES = (METRICS_FILE, SPLITS_FILE, BEST_FILE, LAST_FILE, REPORT_FILE)


def find_unfinished(given: str, output: str, *, folds: bool = False) -> Path:
    """Return the folder of the run, or of the cross-validation, that ``--resume`` names.

    Args:
        given: Path of a run folder; or ``last`` for the newest unfinished run; or the name of a
            run, or a part of it. Of runs that could be meant only unfinished ones are.
        output: The folder that holds the run folders.
        folds: Whether ``last`` is a cross-validation, and not a run.

    Returns:
        The folder; as it was given, if no run has that name.

    Raises:
        CnncliError: If ``last`` is given and no run is unfinished, or if several could be meant.
    """
    path = expand_path(given)
    if given == LAST:
        configs = sorted(expand_path(output).glob(f"*/{CONFIG_FILE}"), key=_modified)
        of_kind = [c.parent for c in configs if bool(list_folds(c.parent)) == folds]
        unfinished = [path for path in of_kind if not is_finished(path)]
        if not unfinished:
            what = "cross-validation" if folds else "run"
            raise CnncliError(f"--resume last: no unfinished {what} in {output}/")
        return unfinished[-1]
    if os.path.lexists(path):
        return path
    runs = list_run_folders(path.parent if os.sep in given else expand_path(output))
    whole = [run for run in runs if run.name == path.name]
    open_ = [run for run in runs if not is_finished(run)]
    where = f"--resume {given}"
    found = next(iter(whole), None) or find_named(path.name, open_, where)
    found = found or find_named(path.name, runs, where)
    if found is None and runs and os.sep not in given:
        near = suggest_runs(given, runs) or f"; cnncli runs --dir {output} lists them"
        raise CnncliError(f"{where}: no such folder, and no run of that name in {output}/{near}")
    return found or path


def _modified(path: Path) -> float:
    return path.stat().st_mtime


def check_unfinished(run_dir: Path) -> bool:
    """Return whether a run is unfinished.

    Raises:
        CnncliError: If the folder is not that of a run, or if it has lost its settings.
    """
    config = run_dir / CONFIG_FILE
    if not config.is_file():
        raise CnncliError(f"--resume {run_dir}: {tell_no_run(run_dir)}")
    for name in _FILES:
        if (run_dir / name).exists() and not (run_dir / name).is_file():
            raise CnncliError(f"--resume {run_dir}: {name} is a pipe, a device or a folder")
    if (run_dir / REPORT_FILE).exists() and is_finished(run_dir):
        return False
    # What else is wrong with the file is told when its settings are read.
    lines = [line.strip() for line in config.read_bytes().splitlines()]
    if not any(line and not line.startswith(b"#") for line in lines):
        anew = f"; or train on from its weights: cnncli finetune --data DATA --weights {run_dir}"
        raise CnncliError(
            f"--resume {run_dir}: {CONFIG_FILE} is empty, and a run goes on with the settings that "
            f"were in it; put it back{anew * (run_dir / BEST_FILE).is_file()}"
        )
    return True


def tell_finished(run_dir: Path) -> str:
    """Return that a run is finished, after how many epochs, and how to train on from it.

    Of a cross-validation it is the number of folds, and how to read the report.
    """
    if folds := list_folds(run_dir):
        return (
            f"{run_dir} is finished, all {len(folds)} folds; its report: cnncli evaluate "
            f"--checkpoint {run_dir}"
        )
    after = ""
    with suppress(OSError, ValueError):
        check_regular(run_dir / METRICS_FILE, most=MOST_OF_TABLE)
        with (run_dir / METRICS_FILE).open(encoding="utf-8") as file:
            next(file, None)
            epochs = sum(1 for line in file if line.strip() and not line.startswith("0,"))
        after = f" after {count_of(epochs, 'epoch')}"
    return (
        f"{run_dir} is finished{after}; to train on from its weights: cnncli finetune --data DATA "
        f"--weights {run_dir} --freeze none"
    )


def tell_no_run(path: Path) -> str:
    """Return why a folder without ``config.yaml`` is not that of a run.

    Args:
        path: Path of the folder, which may not exist.
    """
    if not path.is_dir():
        return "not a run folder (a file)" if path.exists() else "no such folder"
    files = [name for name in _FILES if (path / name).is_file()]
    if files:
        return f"half a run folder: it has {shorten(files)}, but no {CONFIG_FILE}"
    inside = tell_runs_inside(path)
    if inside:
        return inside
    reports = sorted(report.parent.name for report in path.glob(f"*/{REPORT_FILE}"))
    if reports:
        return (
            f"not a run folder: it has no {CONFIG_FILE}, only what evaluate --output wrote "
            f"({shorten(reports)})"
        )
    return f"not a run folder (it has no {CONFIG_FILE})"


@contextmanager
def new_run_dir(
    output: str, model: str, was_trained: Callable[[Path], bool] = lambda path: False
) -> Iterator[Path]:
    """Make the folder ``output/<date>_<time>_<model>`` for a run.

    If the run fails before anything it has trained is saved, the folder is removed again, and so
    are the folders above it that were made for it. The folder of a run that was stopped by a signal
    stays: the run has saved its state and can be resumed.

    Args:
        output: The folder that holds the run folders.
        model: The name that the folder's name ends in.
        was_trained: Returns whether a folder without a complete epoch holds trained steps.

    Yields:
        The new folder.

    Raises:
        CnncliError: If it cannot be made.
    """
    name = f"{datetime.now():%Y-%m-%d_%H%M%S}_{model}"
    folder = expand_path(output)
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    path = _make(make_output_folder(output), name)
    with _removed_if_empty(path, made, was_trained):
        yield path


@contextmanager
def new_fold_dir(path: Path, was_trained: Callable[[Path], bool]) -> Iterator[Path]:
    """Make the folder of one fold in that of a cross-validation, as `new_run_dir` makes a run's.

    A folder that is there is of a run that was killed before it had saved anything, and is removed.

    Args:
        path: The folder to make.
        was_trained: Returns whether a folder without a complete epoch holds trained steps.

    Raises:
        CnncliError: If it cannot be made.
    """
    try:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
    except OSError as error:
        raise CnncliError(f"{path}: cannot be made ({error.strerror})") from None
    with _removed_if_empty(path, [], was_trained):
        yield path


@contextmanager
def _removed_if_empty(
    path: Path, made: Sequence[Path], was_trained: Callable[[Path], bool]
) -> Iterator[None]:
    try:
        yield
    except Stopped:
        raise
    except BaseException:
        if not (path / BEST_FILE).exists() and not was_trained(path):
            shutil.rmtree(path, ignore_errors=True)
            with suppress(OSError):  # it is not empty: another run is in it
                for parent in made:
                    parent.rmdir()
        raise


def check_output(output: str) -> None:
    """Refuse a folder in which no run folder can be made, before the images are read.

    Raises:
        CnncliError: If the folder, or the one that it would be made in, cannot be written to.
    """
    folder = expand_path(output)
    nearest = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not nearest.is_dir():
        raise CnncliError(f"--output {output}: cannot be made ({nearest} is no folder)")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise CnncliError(f"--output {output}: the folder {nearest} cannot be written to")


def _make(output: Path, name: str) -> Path:
    """Make a folder of that name, or with a number behind it where there is one already."""
    try:
        for number in range(1, 1000):
            path = output / (name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir()
            except FileExistsError:  # another run began in the same second
                continue
            return path
    except OSError as error:
        raise CnncliError(
            f"--output {output}: no run folder can be made there ({error.strerror})"
        ) from None
    raise CnncliError(f"--output {output}: no free name for {name}")
