"""Folds of a cross-validation that cannot be used, and the way out."""

from __future__ import annotations

from pathlib import Path

from cnncli.errors import CnncliError
from cnncli.files import BEST_FILE, LAST_FILE, REPORT_FILE
from cnncli.run.fold_figures import read_fold
from cnncli.training.checkpoint import load_checkpoint
from cnncli.training.find_run import list_folds
from cnncli.training.state import load_state


def check_fold_files(folder: Path) -> None:
    """Refuse to go on with a cross-validation if a fold that has begun has a damaged file.

    Args:
        folder: Its folder.

    Raises:
        CnncliError: If a finished fold has no report or no weights that can be read, or if one that
            is not finished has lost what it would go on from.
    """
    fold = folder
    try:
        for number, fold in enumerate(list_folds(folder), start=1):
            _read(fold, number)
    except CnncliError as error:
        # Without the way out for a run by itself.
        told = str(error).rpartition("; ")[0] or str(error)
        raise CnncliError(
            f"{told}; delete {fold} and go on with: cnncli cross-validate --resume {folder}"
        ) from None


def _read(fold: Path, number: int) -> None:
    """Read the files of a fold by which the cross-validation goes on."""
    if (fold / REPORT_FILE).exists():
        load_checkpoint(fold / BEST_FILE)
        read_fold(fold, number)
    elif (fold / LAST_FILE).exists():
        load_state(fold / LAST_FILE)
    elif (fold / BEST_FILE).exists():
        raise CnncliError(f"{fold}: has lost {REPORT_FILE}, and {LAST_FILE} to go on from")
