"""Which folders are runs, which run is the newest, and which one a short name means.

Light: this module is imported before torch, and must not import it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cnncli.errors import CnncliError, did_you_mean, shorten
from cnncli.files import (
    BEST_FILE,
    CONFIG_FILE,
    LAST_FILE,
    LOCK_FILE,
    METRICS_FILE,
    MOST_OF_TABLE,
    REPORT_FILE,
    check_regular,
    expand_path,
)

LAST = "last"  # in place of a run's name: the newest run

_TRIAL = re.compile(r"trial_\d{4,}")
# The line of a cross-validation's settings that those of a run do not have.
_FOLDS = re.compile(rb"^folds: (\d{1,3})\s*$", re.MULTILINE)
# A folder with one of these files is a run, or what is left of one. Others have splits.csv and
# report.json too: split and evaluate --output write them.
_OF_RUNS = (CONFIG_FILE, METRICS_FILE, BEST_FILE, LAST_FILE)


def is_run_folder(path: Path) -> bool:
    """Return whether a folder holds a file that only runs have."""
    return any(os.path.lexists(path / name) for name in _OF_RUNS)


def list_folds(path: Path) -> list[Path]:
    """Return the folders of a cross-validation's runs, which need not exist yet.

    Args:
        path: The folder of a run or of a cross-validation.

    Returns:
        ``path/fold1`` to ``path/foldK``; empty for any other folder than a cross-validation's.
    """
    config = path / CONFIG_FILE
    with suppress(OSError):
        check_regular(config, most=MOST_OF_TABLE)
        found = _FOLDS.search(config.read_bytes())
        return [path / f"fold{fold + 1}" for fold in range(int(found[1]))] if found else []
    return []


def find_folds_of(run_dir: Path) -> Path | None:
    """Return the folder of the cross-validation that a run is a fold of; None for any other run.

    Args:
        run_dir: The folder of the run.
    """
    folder = run_dir.parent if run_dir.name not in ("", "..") else run_dir.resolve().parent
    folds = [path.resolve() for path in list_folds(folder)]
    return folder if run_dir.resolve() in folds else None


def list_run_folders(output: Path) -> list[Path]:
    """Return the run folders in a folder, the newest first.

    A run is as new as its best epoch, or, before there is one, as its settings. A cross-validation
    is as new as the newest of its folds.

    Args:
        output: The folder that holds the run folders; it need not exist.
    """
    try:
        found = [path for path in output.iterdir() if path.is_dir() and is_run_folder(path)]
    except OSError:
        return []
    return sorted(found, key=lambda path: (_time_of(path), path.name), reverse=True)


def _time_of(run_dir: Path) -> float:
    for names in (BEST_FILE, f"fold*/{BEST_FILE}", CONFIG_FILE):
        with suppress(OSError, ValueError):  # it may be removed meanwhile, or there is none
            return max(path.stat().st_mtime for path in run_dir.glob(names))
    with suppress(OSError):
        return run_dir.stat().st_mtime
    return 0.0


def find_newest(output: Path, *, any_state: bool, with_folds: bool) -> tuple[Path | None, str]:
    """Return the newest run that has a checkpoint, and how it was chosen.

    Args:
        output: The folder that holds the run folders.
        any_state: Whether a run that is not finished is as good as one that is; else it is taken
            only if none is finished.
        with_folds: Whether a cross-validation that is finished is as good as a run.

    Returns:
        The folder, None if there is none; and a text that says, too, what is newer.
    """
    runs = list_run_folders(output)
    single = [run for run in runs if (run / BEST_FILE).exists()]
    folds = [run for run in runs if any((fold / BEST_FILE).exists() for fold in list_folds(run))]
    finished = [run for run in single + folds if (run / REPORT_FILE).is_file()]
    usable = [run for run in runs if run in single or (with_folds and run in folds)]
    found = [run for run in usable if run in finished or (any_state and run in single)]
    found = found or [run for run in usable if run in single]
    if not found:
        return None, ""
    chosen, newest = found[0], next(run for run in runs if run in single or run in folds)
    if chosen == newest:
        return chosen, "the newest run" + "; it is not finished" * (chosen not in finished)
    how = "the newest run of one network, itself not finished"
    how = "the newest finished run" if chosen in finished else how
    what = "a cross-validation" if newest in finished else "not finished"
    return chosen, f"{how}; {newest.name} is newer, and {what}"


def is_trial(run_dir: Path) -> bool:
    """Return whether a run is a trial of ``tune``, which is not judged on the test images."""
    return _TRIAL.fullmatch(run_dir.absolute().parent.name) is not None


def list_trials(study: Path) -> list[Path]:
    """Return the runs of a study of ``tune``, the newest first.

    Args:
        study: The study's folder, in which each trial has a folder with its number.
    """
    with suppress(OSError):
        trials = [path for path in study.iterdir() if _TRIAL.fullmatch(path.name)]
        found = [run for trial in trials for run in list_run_folders(trial)]
        return sorted(found, key=lambda path: (_time_of(path), path.parent.name), reverse=True)
    return []


def is_finished(run_dir: Path) -> bool:
    """Return whether a run has come to its end; a trial of ``tune`` writes no report then.

    A cross-validation that has lost the report or the weights of a fold is not finished any more.
    """
    if (run_dir / REPORT_FILE).is_file():
        needed = (fold / name for fold in list_folds(run_dir) for name in (REPORT_FILE, BEST_FILE))
        return all(path.is_file() for path in needed)
    return (
        is_trial(run_dir)
        and (run_dir / BEST_FILE).is_file()
        and not os.path.lexists(run_dir / LAST_FILE)
        and not os.path.lexists(run_dir / LOCK_FILE)
    )


def find_named(given: str, runs: Sequence[Path], where: str) -> Path | None:
    """Return the run that a text names: by its name, or by a beginning or a part of it.

    A run whose whole name it is comes first, then those whose names begin with it, then those that
    have it in their names.

    Args:
        given: The text.
        runs: The run folders among which it is.
        where: What stands in front of the error.

    Returns:
        The folder; None if the text is in no name.

    Raises:
        CnncliError: If more than one run could be meant.
    """
    for fits in (str.__eq__, str.startswith, str.__contains__):
        found = [path for path in runs if given and fits(path.name, given)]
        if len(found) > 1:
            several = shorten([path.name for path in found])
            raise CnncliError(f"{where}: may be any of {len(found)} runs: {several}")
        if found:
            return found[0]
    return None


def find_by_name(
    given: str, where: str, output: Path = Path("runs"), *, with_folds: bool = False
) -> Path | None:
    """Return the run that a text which is no path names; a folder in front of it says where.

    Args:
        given: The run's name, or a part of it that no other run has, or ``last`` for the newest
            run with a checkpoint.
        where: What stands in front of the error.
        output: The folder that holds the run folders.
        with_folds: Whether ``last`` may be a cross-validation that is finished.

    Returns:
        The folder; None if the text is in no name.

    Raises:
        CnncliError: If more than one run could be meant.
    """
    if given == LAST:
        return find_newest(output, any_state=True, with_folds=with_folds)[0]
    path = expand_path(given)
    runs = list_run_folders(path.parent if os.sep in given else output)
    return find_named(path.name, runs, where)


def tell_runs_inside(folder: Path) -> str:
    """Return that a folder holds runs, and which; empty if it holds none, or is a run itself.

    The folder of a cross-validation holds runs.
    """
    if folds := list_folds(folder):
        return (
            f"a cross-validation of {len(folds)} networks, and one is wanted here; name one of its "
            f"folds: {folds[0]} to {folds[-1]}"
        )
    runs = [] if is_run_folder(folder) else list_run_folders(folder)
    if not runs:
        return ""
    names = shorten([path.name for path in runs])
    return f"not a run folder, but run folders are in it; name one of them: {names}"


def suggest_runs(given: str, runs: Sequence[Path]) -> str:
    """Return the names of runs that are nearest to a text, as the end of an error."""
    return did_you_mean(given, [path.name for path in runs])
