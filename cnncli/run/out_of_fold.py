"""Reads what a cross-validation predicted: each image judged by a network that did not see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cnncli.errors import CnncliError, count_of
from cnncli.evaluation.metrics import FloatArray, IntArray
from cnncli.files import PREDICTIONS_FILE, REPORT_FILE, SPLITS_FILE, run_dir_of
from cnncli.run.check_folds import check_folds
from cnncli.run.members import find_members
from cnncli.run.predictions import Predictions, read_predictions
from cnncli.run.read_folder import read_report
from cnncli.training.find_run import (
    LAST,
    find_folds_of,
    is_run_folder,
    list_folds,
    list_run_folders,
)


@dataclass(frozen=True)
class OutOfFold:
    """N images of K classes, each judged by the network of a fold that did not see it.

    Attributes:
        folder: The folder of the cross-validation.
        paths: The N paths, as ``splits.csv`` has them.
        targets: (N,) class numbers of the labels.
        probabilities: (N, K).
        class_names: The K names of the classes.
    """

    folder: Path
    paths: Sequence[str]
    targets: IntArray
    probabilities: FloatArray
    class_names: Sequence[str]


def find_cross_validation(given: str) -> Path:
    """Return the folder of a finished cross-validation.

    Args:
        given: Its path, its name or a part of it, or ``last`` for the newest that is finished.

    Raises:
        CnncliError: If there is none, if it is not finished, or if it is a single run.
    """
    if given == LAST and not Path(given).exists():
        for folder in list_run_folders(Path("runs")):
            if list_folds(folder) and (folder / REPORT_FILE).is_file():
                return folder
        raise CnncliError("last: no finished cross-validation in runs/; name its folder")
    path, files, _ = find_members(given, flag="")
    if whole := find_folds_of(path.parent):
        raise CnncliError(
            f"{given}: one fold of a cross-validation, whose network has seen all other images; "
            f"name the cross-validation: {whole}"
        )
    if not is_run_folder(run_dir_of(path)):
        raise CnncliError(
            f"{given}: not the folder of a cross-validation; suspect-labels --data IMAGES makes one"
        )
    if len(files) < 2:
        raise CnncliError(
            f"{given}: a single run, which has seen the images that it was trained on; name a "
            f"cross-validation: cnncli cross-validate --config {path.parent}/config.yaml"
        )
    return path.parent


def load_out_of_fold(folder: Path) -> OutOfFold:
    """Read what a cross-validation predicted.

    Args:
        folder: Its folder.

    Raises:
        CnncliError: If the file is missing or is not what a cross-validation writes, or if
            the folds are not those of the networks any more.
    """
    found = read_out_of_fold(folder)
    if found is None:
        path = folder / PREDICTIONS_FILE
        raise CnncliError(f"{path}: no such file; {_tell_command(folder)} makes it")
    targets = found.number(found.targets)
    return OutOfFold(folder, found.paths, targets, found.probabilities, found.class_names)


def read_out_of_fold(folder: Path) -> Predictions | None:
    """Return the ``predictions.csv`` of a cross-validation; None if there is no such file.

    Args:
        folder: Its folder.

    Raises:
        CnncliError: If it is not what a cross-validation writes, or if the folds are not those of
            the networks any more.
    """
    path = folder / PREDICTIONS_FILE
    found = read_predictions(path)
    if found is None:
        return None
    fold_of = check_folds(folder)
    if not found.folds:
        raise CnncliError(f"{path}: not the file of a cross-validation: it has no column fold")
    found.number(found.targets)  # a label without probabilities says more than the rows it lacks
    _check_rows(path, found.paths, found.folds, fold_of)
    return found


def _check_rows(
    path: Path, paths: Sequence[str], folds: Sequence[int], fold_of: Mapping[str, int]
) -> None:
    """Refuse predictions that are not of each image once, by the network that did not see it."""
    report = read_report(path.parent / REPORT_FILE)
    images = len(paths) if report is None else report["images"]
    told = ""
    if len(paths) < images:
        missing = images - len(paths)
        told = f"{missing:,} of the {images:,} images of {REPORT_FILE} have no row"
    elif len(paths) > images or len(set(paths)) < len(paths):
        told = f"{count_of(len(paths), 'row')} for the {images:,} images of {REPORT_FILE}"
    for name, fold in zip(paths, folds, strict=True):
        # An image that was renamed is known by its content, and has no row of its own.
        if not told and fold_of.get(name, fold) != fold:
            told = f"{name} is in fold {fold} here, and in fold {fold_of[name]} of {SPLITS_FILE}"
    if told:
        raise CnncliError(f"{path}: {told}; {_tell_command(path.parent)} makes the file anew")


def _tell_command(folder: Path) -> str:
    """Return the command that writes the predictions of a cross-validation."""
    return f"cnncli evaluate --checkpoint {folder} --output {folder}"
