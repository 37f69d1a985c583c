"""Images with the probabilities that a classifier gave them, wherever these come from."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.data.samples import Samples
from cnncli.data.split_file import SplitFile
from cnncli.errors import CnncliError
from cnncli.evaluation.metrics import confusion_matrix
from cnncli.files import MOST_OF_TABLE, PREDICTIONS_FILE, check_regular

_PREFIX = "probability_"


@dataclass(frozen=True)
class Answers:
    """N images with their probabilities.

    Attributes:
        paths: N paths, as ``splits.csv`` has them.
        files: N paths that open; None for an image in an array.
        targets: (N,) class numbers.
        probabilities: (N, K).
        class_names: K names.
        predicted: (N,) number of the class that the classifier answers.
        split: What the images are called in the report.
        samples: The images themselves; None if they are not there any more.
        groups: N names of groups, empty for an image without one; None if there are no groups.
    """

    paths: Sequence[str]
    files: Sequence[str | None]
    targets: Array
    probabilities: Array
    class_names: Sequence[str]
    predicted: Array
    split: str = ""
    samples: Samples | None = None
    groups: Sequence[str] | None = None

    @property
    def group_numbers(self) -> Array | None:
        """The number of each image's group (N,); an image without a name has one of its own."""
        if self.groups is None:
            return None
        pairs = zip(self.groups, self.paths, strict=True)
        names = np.array([name or f"\0{path}" for name, path in pairs], object)
        return np.unique(names, return_inverse=True)[1]

    @property
    def matrix(self) -> list[list[int]]:
        """The confusion matrix, as ``report.json`` has it."""
        counts = confusion_matrix(self.targets, self.predicted, len(self.class_names))
        return [list(map(int, row)) for row in counts]


def read_predictions(path: Path) -> Answers | None:
    """Return what ``evaluate --output`` wrote; None if there is no such file.

    Raises:
        CnncliError: If the file is not what ``evaluate`` wrote.
    """
    if not path.is_file():
        return None
    try:
        check_regular(path, most=MOST_OF_TABLE)
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = csv.DictReader(file)
            columns = [name for name in rows.fieldnames or () if name.startswith(_PREFIX)]
            names = [name.removeprefix(_PREFIX) for name in columns]
            number = {name: index for index, name in enumerate(names)}
            paths, files, values = [], [], []
            targets, predicted = [], []
            for row in rows:
                paths.append(row["path"])
                files.append(row.get("file") or None)
                targets.append(number[row["target"]])
                predicted.append(number[row["label"]])
                values.append([float(row[name]) for name in columns])
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise CnncliError(
            f"{path}: not the {PREDICTIONS_FILE} of evaluate --output ({error!r})"
        ) from None
    if not paths or len(names) < 2:
        raise CnncliError(f"{path}: names no image")
    arrays = np.array(targets), np.array(values)
    return Answers(paths, files, *arrays, names, np.array(predicted))


def find_groups(paths: Sequence[str], splits: SplitFile | None) -> list[str] | None:
    """Return the group of each image of a run, by the run's ``splits.csv``.

    Args:
        paths: N paths.
        splits: The run's ``splits.csv``; None if there is none.

    Returns:
        N names, empty for an image without a group; None if there are no groups.
    """
    if splits is None or not (splits.groups != "").any():
        return None
    known = dict(zip(map(str, splits.paths), map(str, splits.groups), strict=True))
    found = [known.get(path, "") for path in paths]
    return found if any(found) else None
