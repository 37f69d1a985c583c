"""Reads ``predictions.csv``: what ``evaluate --output`` wrote that a network said of each image."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.errors import CnncliError
from cnncli.files import MOST_OF_TABLE, PREDICTIONS_FILE, check_regular, protect_cell

# In front of a class's name, in the header.
_PREFIX = "probability_"
_FOLD = "fold"  # as data.manifest has it, which needs OpenCV and torch


@dataclass(frozen=True)
class Predictions:
    """N images with what a network said of them.

    Attributes:
        path: The file.
        paths: N paths, as ``splits.csv`` has them.
        targets: N names of the classes that they are labelled as.
        labels: N names of the classes that they were called.
        files: N paths that open; None for an image in an array.
        class_names: K names of the classes that have a column of probabilities.
        probabilities: (N, K).
        folds: N folds, from 1; empty where it is not of a cross-validation.
    """

    path: Path
    paths: Sequence[str]
    targets: Sequence[str]
    labels: Sequence[str]
    files: Sequence[str | None]
    class_names: tuple[str, ...]
    probabilities: Array
    folds: Sequence[int] = ()

    def number(self, names: Sequence[str]) -> Array:
        """Return (N,) numbers of classes by their names.

        Raises:
            CnncliError: If a class has no column of probabilities, or there are fewer than two.
        """
        number = {name: index for index, name in enumerate(self.class_names)}
        other = next((name for name in names if name not in number), None)
        if other is not None or len(number) < 2:
            lacks = "of two classes" if other is None else f"of the class {other!r}"
            raise CnncliError(f"{self.path}: has no probabilities {lacks}; {_AGAIN}")
        return np.array([number[name] for name in names], np.int64)

    def take(self, indices: Sequence[int]) -> Predictions:
        """Return some of the images, in the order of their numbers here."""
        return replace(
            self,
            paths=[self.paths[index] for index in indices],
            targets=[self.targets[index] for index in indices],
            labels=[self.labels[index] for index in indices],
            files=[self.files[index] for index in indices],
            probabilities=self.probabilities[list(indices)],
            folds=[self.folds[index] for index in indices] if self.folds else (),
        )


_AGAIN = "write it anew with evaluate --output"


def read_predictions(path: Path) -> Predictions | None:
    """Return the content of a ``predictions.csv``; None if there is no such file.

    Raises:
        CnncliError: If it is not what ``evaluate --output`` wrote.
    """
    paths, targets, labels, folds = [], [], [], []
    files: list[str | None] = []
    values = array("d")  # a list of floats would take four times the memory
    line = 1
    try:
        check_regular(path, most=MOST_OF_TABLE)
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = csv.DictReader(file)
            header = list(rows.fieldnames or ())
            columns = [name for name in header if name.startswith(_PREFIX)]
            names = tuple(name.removeprefix(_PREFIX) for name in columns)
            # --csv-safe once wrote '-1 for the class -1 in the rows, and not in the header.
            plain = {str(protect_cell(name)): name for name in names}
            plain |= {name: name for name in names}
            for row in rows:
                line = rows.line_num
                values.extend(float(row[name]) for name in columns)
                paths.append(row["path"])
                targets.append(plain.get(row["target"], row["target"]))
                labels.append(plain.get(row["label"], row["label"]))
                files.append(row.get("file") or None)
                if _FOLD in header:
                    folds.append(int(row[_FOLD]))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CnncliError(f"{path}: {error.strerror}") from None
    except (KeyError, ValueError, TypeError, csv.Error):
        raise CnncliError(
            f"{path}, line {line}: not the {PREDICTIONS_FILE} of evaluate --output"
        ) from None
    if not paths:
        raise CnncliError(f"{path}: names no image; {_AGAIN}")
    if None in labels:
        raise CnncliError(f"{path}: a row is cut short; {_AGAIN}")
    probabilities = np.array(values).reshape(len(paths), len(names))
    return Predictions(path, paths, targets, labels, files, names, probabilities, folds)
