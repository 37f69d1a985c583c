"""The networks that a checkpoint stands for: that of a run, or the K of a cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.errors import CnncliError, shorten
from cnncli.files import BEST_FILE, REPORT_FILE, expand_path
from cnncli.reporting import Reporter
from cnncli.run.decision import note_left_out
from cnncli.training.find_checkpoint import find_checkpoint
from cnncli.training.find_run import LAST, find_by_name, find_newest, list_folds


def find_members(
    given: str | None, output: str = "runs", *, flag: str = "--checkpoint "
) -> tuple[Path, list[Path], str]:
    """Find the networks that ``--checkpoint`` names.

    Args:
        given: What `find_checkpoint` takes, or the folder of a cross-validation, by its path, its
            name or a part of it. None is the newest finished run or cross-validation, and ``last``
            the newest of those and of unfinished runs.
        output: The folder that holds the run folders.
        flag: What stands in front of it in an error; empty where it is an argument.

    Returns:
        The checkpoint's file, of a cross-validation the one that its folder does not have; the
        files of all networks, one for a run; and how it was chosen, empty if the path was given.

    Raises:
        CnncliError: If there is none, if more than one run could be meant, or if a
            cross-validation is not finished or was edited.
    """
    folder, how = _find_folder(given, output, flag)
    folds = [] if folder is None else list_folds(folder)
    if folder is not None and given in (None, LAST) and not folds:
        return folder / BEST_FILE, [folder / BEST_FILE], how
    if folder is None or not folds:
        path, how = find_checkpoint(given, output, flag=flag)
        return path, [path], how
    from cnncli.run.check_folds import check_fold_count  # with all that reads images for training

    check_fold_count(folder)
    files = [fold / BEST_FILE for fold in folds]
    done = sum((fold / REPORT_FILE).is_file() for fold in folds)
    missing = [str(path) for path in files if not path.is_file()]
    if done < len(folds) or missing or not (folder / REPORT_FILE).is_file():
        raise CnncliError(
            f"{flag}{folder}: a cross-validation that is not finished ({done} of "
            f"{len(folds)} folds are); go on with: cnncli cross-validate --resume {folder}"
        )
    return folder / BEST_FILE, files, how


def _find_folder(given: str | None, output: str, flag: str) -> tuple[Path | None, str]:
    """Return the folder that is named, where it may be that of a cross-validation."""
    if given in (None, LAST):
        return find_newest(Path(output), any_state=given == LAST, with_folds=True)
    path = expand_path(given)
    if path.exists():
        return (path, "") if path.is_dir() else (None, "")
    return find_by_name(given, f"{flag}{given}", Path(output)), f"the run that {given} names"


def find_all_members(
    given: Sequence[str], reporter: Reporter, *, raw: bool
) -> list[tuple[Path, str]]:
    """Find the networks of runs and cross-validations.

    Args:
        given: What ``--checkpoint`` takes, as often as it was given; empty for the newest finished
            run or cross-validation.
        reporter: Is told where several networks are averaged, and that the decision of one among
            several is left out, since it was chosen for that network alone.
        raw: Whether decisions are left out anyway.

    Returns:
        The file of each network, and how it was chosen; empty if the path was given.

    Raises:
        CnncliError: If there is no such run, or one is named twice.
    """
    named = [find_members(name) for name in given or (None,)]
    found = [(file, how if len(files) == 1 else "") for _, files, how in named for file in files]
    seen: set[Path] = set()
    for path, _ in found:
        if path.resolve() in seen:
            raise CnncliError(f"--checkpoint {path}: given twice, and would count twice")
        seen.add(path.resolve())
    for path, files, how in named:
        if len(files) > 1:
            networks = f"{path.parent}: the mean of its {len(files)} networks"
            reporter.note(f"checkpoint: {networks}{f' ({how})' if how else ''}")
    if len(found) > 1 and not raw:
        note_left_out([path for path, _ in found], reporter)
    return found


def align_classes(wanted: Sequence[str], found: Sequence[str], where: object) -> Array:
    """Return (K,) the place of each wanted class among those of a network.

    Args:
        wanted: The K classes in their order.
        found: The classes of the network.
        where: What names the network in the error.

    Raises:
        CnncliError: If they are not the same classes.
    """
    if set(wanted) != set(found):
        only = [repr(name) for name in wanted if name not in set(found)]
        other = [repr(name) for name in found if name not in set(wanted)]
        told = [f"it has no {shorten(only, 3)}"] * bool(only)
        told += [f"it has {shorten(other, 3)} in addition"] * bool(other)
        raise CnncliError(
            f"{where}: other classes than the first checkpoint ({'; '.join(told)}); probabilities "
            "are averaged over networks that know the same classes"
        )
    place = {name: number for number, name in enumerate(found)}
    return np.array([place[name] for name in wanted])
