"""The images that a cross-validation keeps out of all its folds, and why it does."""

from __future__ import annotations

from pathlib import Path

from cnncli.data.exclude import load_excluded
from cnncli.data.split_file import load_split_file
from cnncli.data.splits import TEST
from cnncli.files import SPLITS_FILE
from cnncli.training.find_run import find_folds_of


def load_kept_out(run_dir: Path) -> frozenset[str]:
    """Return the paths of the test images that are in no fold; empty for a run that is no fold.

    The list of what a fold leaves out has them, too, beside those of ``--exclude``.

    Args:
        run_dir: The folder of a run.

    Raises:
        CnncliError: If the ``splits.csv`` of the cross-validation is not such a file.
    """
    folder = find_folds_of(run_dir)
    if folder is None or not (folder / SPLITS_FILE).is_file():
        return frozenset()
    file = load_split_file(str(folder), str(folder / SPLITS_FILE))
    return frozenset(file.paths[file.splits == TEST].tolist())


def load_unsplit(run_dir: Path) -> frozenset[str]:
    """Return the paths of the images that a fold leaves out as ``--splits`` has no split for them.

    The run that wrote that file had left them out. The list of what a fold leaves out has them, the
    list of its cross-validation only what ``--exclude`` named.

    Args:
        run_dir: The folder of a run; one that is no fold has none.

    Raises:
        CnncliError: If a file of the runs is not such a file.
    """
    folder = find_folds_of(run_dir)
    if folder is None:
        return frozenset()
    listed = load_excluded(run_dir).keys() - load_excluded(folder).keys()
    return frozenset(listed - load_kept_out(run_dir))
