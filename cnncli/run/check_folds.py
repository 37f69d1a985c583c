"""Whether the files of a cross-validation still go together: its own, and those of its folds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cnncli.data.split_file import NO_FOLD, SplitFile, load_split_file
from cnncli.data.splits import TEST
from cnncli.errors import CnncliError, count_of
from cnncli.files import CONFIG_FILE, SPLITS_FILE
from cnncli.training.find_run import list_folds


def check_fold_count(folder: Path) -> None:
    """Refuse a cross-validation whose ``config.yaml`` has another number of folds than its images.

    Args:
        folder: Its folder; without ``splits.csv`` nothing is checked.

    Raises:
        CnncliError: If the numbers differ.
    """
    if (folder / SPLITS_FILE).is_file():
        _load_folds(folder)


def check_folds(folder: Path) -> dict[str, int]:
    """Refuse a cross-validation whose ``splits.csv`` is not that of its networks.

    Each network is to judge the images that it did not see, and ``splits.csv`` says which these
    are; the one in a fold's folder says what its network saw.

    Args:
        folder: Its folder.

    Returns:
        The fold of each image by its path, ``NO_FOLD`` for one that is kept out.

    Raises:
        CnncliError: If a fold that has begun was trained on other images than ``splits.csv`` says,
            or with other labels.
    """
    from cnncli.run.fold import has_state  # with all that trains

    whole = _load_folds(folder)
    fold_of = dict(zip(whole.paths.tolist(), whole.folds.tolist(), strict=True))
    inner = {path for path, fold in fold_of.items() if fold != NO_FOLD}
    for number, fold in enumerate(list_folds(folder), start=1):
        if not has_state(fold):
            continue
        own = load_split_file(str(fold), f"{fold / SPLITS_FILE}")
        now = np.array([fold_of.get(path, NO_FOLD) for path in own.paths.tolist()])
        odd = np.flatnonzero(((own.splits == TEST) != (now == number)) | (now == NO_FOLD))
        lost = sorted(inner.difference(own.paths.tolist(), own.left_out))
        if not len(odd) and not lost:
            _check_content(folder, whole, fold, own)
            continue
        path = lost[0] if not len(odd) else str(own.paths[odd[0]])
        was = "does not have it"
        if len(odd):
            was = f"has it in {'test' if own.splits[odd[0]] == TEST else 'train or val'}"
        place = fold_of.get(path, NO_FOLD)
        is_now = "in no fold" if place == NO_FOLD else f"in fold {place}"
        raise CnncliError(
            f"{folder / SPLITS_FILE}: {count_of(len(odd) + len(lost), 'image')} in another place "
            f"than the network of fold {number} was trained with ({path}: {is_now}, and "
            f"{fold.name}/{SPLITS_FILE} {was}); put the file back, or begin anew: cnncli "
            f"cross-validate --config {folder / CONFIG_FILE}"
        )
    return fold_of


def _check_content(folder: Path, whole: SplitFile, fold: Path, own: SplitFile) -> None:
    """Refuse a cross-validation whose images have another hash or label than those of a fold.

    By its hash an image is known again that was renamed: with another one, an image that a network
    was trained on could be taken for one that it did not see.
    """
    place = {path: number for number, path in enumerate(whole.paths.tolist())}
    rows = np.array([place[path] for path in own.paths.tolist()], np.int64)
    for name, mine, theirs in (
        ("hash", own.hashes, whole.hashes[rows]),
        ("label", own.labels, whole.labels[rows]),
    ):
        odd = np.flatnonzero((mine != theirs) & (mine != "") & (theirs != ""))
        if len(odd):
            raise CnncliError(
                f"{folder / SPLITS_FILE}: {count_of(len(odd), 'image')} with another {name} than "
                f"in {fold.name}/{SPLITS_FILE} ({own.paths[odd[0]]}: {theirs[odd[0]]!s} and "
                f"{mine[odd[0]]!s}); put the file back, or begin anew: cnncli cross-validate "
                f"--config {folder / CONFIG_FILE}"
            )


def _load_folds(folder: Path) -> SplitFile:
    """Return the images of a cross-validation with their folds."""
    file = load_split_file(str(folder), str(folder / SPLITS_FILE))
    known = np.unique(file.folds[file.folds != NO_FOLD]).tolist()
    count = len(list_folds(folder))
    if known != list(range(1, count + 1)):
        has = f"the {count_of(len(known), 'fold')} {', '.join(map(str, known))}"
        raise CnncliError(
            f"{folder / CONFIG_FILE}: has folds: {count}, and {SPLITS_FILE} beside it has "
            f"{has if known else 'no folds'}; one of them was edited: put it back"
        )
    return file
