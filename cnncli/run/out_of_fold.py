"""Reads what a cross-validation predicted: each image judged by a network that did not see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnncli.errors import CnncliError
from cnncli.evaluation.metrics import FloatArray, IntArray
from cnncli.files import PREDICTIONS_FILE, REPORT_FILE
from cnncli.run.check_folds import check_folds
from cnncli.run.members import find_members
from cnncli.run.predictions import read_predictions
from cnncli.training.find_run import LAST, list_folds, list_run_folders


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
    path, files, _ = find_members(given)
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
    check_folds(folder)
    path = folder / PREDICTIONS_FILE
    found = read_predictions(path)
    if found is None:
        command = f"cnncli evaluate --checkpoint {folder} --output {folder}"
        raise CnncliError(f"{path}: no such file; {command} makes it")
    if not found.with_folds:
        raise CnncliError(f"{path}: not the file of a cross-validation: it has no column fold")
    return OutOfFold(
        folder,
        found.paths,
        found.number(found.targets),
        found.probabilities,
        found.class_names,
    )
