"""Images with the probabilities that a classifier gave them, wherever these come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnncli.arrays import Array
from cnncli.data.samples import Samples
from cnncli.data.split_file import SplitFile
from cnncli.evaluation.metrics import confusion_matrix
from cnncli.run.predictions import Predictions


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
        folds: (N,) fold of each image, from 1, where the network of a cross-validation that did not
            see it has judged it, and 0 where the mean of all networks has; None for a run.
        brightness: (N,) how light each image is to the network, 0–1; None if it is not known.
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
    folds: Array | None = None
    brightness: Array | None = None

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


def as_answers(kept: Predictions) -> Answers:
    """Return what a ``predictions.csv`` says.

    Raises:
        CnncliError: If a class has no column of probabilities.
    """
    return Answers(
        paths=kept.paths,
        files=kept.files,
        targets=kept.number(kept.targets),
        probabilities=kept.probabilities,
        class_names=kept.class_names,
        predicted=kept.number(kept.labels),
        folds=np.array(kept.folds) if kept.folds else None,
    )


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
