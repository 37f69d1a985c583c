"""Two runs on the same images: the predictions that ``evaluate --output RUN`` wrote for both."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.errors import CnncliError, count_of
from cnncli.evaluation.differences import Judged, paired_differences
from cnncli.evaluation.intervals import FEW
from cnncli.evaluation.paired import mcnemar_p
from cnncli.files import MOST_OF_TABLE, PREDICTIONS_FILE, SPLITS_FILE, check_regular
from cnncli.reporting import Reporter
from cnncli.run.predictions import Predictions, read_predictions
from cnncli.run.read_folder import RunRecord
from cnncli.training.find_run import list_folds

_Image = tuple[str, str]  # path and target


def pair_runs(runs: Sequence[RunRecord], reporter: Reporter) -> dict[str, Any] | None:
    """Compare two runs image by image.

    Args:
        runs: The runs that are compared.
        reporter: Hears why two runs with predictions cannot be paired.

    Returns:
        Names of the ``runs``; number of ``images`` and of ``groups`` (None without groups);
        ``resampled``, ``group`` or ``image``; ``only_first`` and ``only_second``, the images that
        one run alone classifies correctly; McNemar's ``p`` (None where there are groups, since it
        takes images for independent); and ``differences``, by name ``value``, ``low`` and ``high``
        of the first run's figure minus the second's. None unless there are two runs with
        predictions of the same images.

    Raises:
        CnncliError: If a file is not what a run or ``evaluate`` wrote, or the folds of a
            cross-validation are not those of its networks any more.
    """
    if len(runs) != 2:
        return None
    first, second = (_read(run.path) for run in runs)
    if first is None or second is None:
        return None
    places = _index_images(first), _index_images(second)
    if places[0].keys() != places[1].keys():
        reporter.warn("the two predictions.csv are of different images: no paired test")
        return None
    images = list(places[0])
    second = second.take([places[1][image] for image in images])
    right = [np.array(p.labels, object) == np.array(p.targets, object) for p in (first, second)]
    only_first = int((right[0] & ~right[1]).sum())
    only_second = int((right[1] & ~right[0]).sum())
    units = _find_groups(runs, images, reporter)
    differences = _subtract(first, second, units, ordered=_are_graded(runs))
    return {
        "runs": [run.name for run in runs],
        "images": len(images),
        "groups": None if units is None else int(units.max()) + 1,
        "resampled": "image" if units is None else "group",
        "only_first": only_first,
        "only_second": only_second,
        "p": mcnemar_p(only_first, only_second) if units is None else None,
        "differences": differences,
    }


def _read(folder: Path) -> Predictions | None:
    """Return the predictions of a run; of a cross-validation only if they are out of fold."""
    if not list_folds(folder):
        return read_predictions(folder / PREDICTIONS_FILE)
    from cnncli.run.out_of_fold import read_out_of_fold  # torch, which single runs do not need

    return read_out_of_fold(folder)


def _are_graded(runs: Sequence[RunRecord]) -> bool:
    return all(run.report is not None and run.report.get("quadratic_kappa") for run in runs)


def _subtract(
    first: Predictions, second: Predictions, units: Array | None, *, ordered: bool
) -> dict[str, dict[str, float | None]]:
    """Return the differences of the figures as JSON holds them; the images are in one order."""
    names = dict.fromkeys(first.class_names)
    names |= dict.fromkeys(first.targets)
    names |= dict.fromkeys([*first.labels, *second.labels])
    number = {name: index for index, name in enumerate(names)}
    ranked = len(first.class_names) > 1 and set(first.class_names) == set(second.class_names)
    ranked = ranked and set(first.targets) <= set(first.class_names)
    judged = []
    for side in (first, second):
        predictions = np.array([number[label] for label in side.labels])
        columns = [side.class_names.index(name) for name in first.class_names] if ranked else []
        judged.append(Judged(predictions, side.probabilities[:, columns] if ranked else None))
    targets = np.array([number[target] for target in first.targets])
    found = paired_differences(
        targets, *judged, num_classes=len(names), units=units, ordered=ordered
    )
    return {
        name: {
            key: value if math.isfinite(value) else None
            for key, value in (("value", d.value), ("low", d.low), ("high", d.high))
        }
        for name, d in found.items()
    }


def _find_groups(
    runs: Sequence[RunRecord], images: Sequence[_Image], reporter: Reporter
) -> Array | None:
    """Return (N,) numbers of the groups, as the runs' ``splits.csv`` have them.

    It is None where there are none, or where no two of the images are of one group. Where both runs
    have groups and not the same ones, the fewer and larger ones count.
    """
    known = []
    for run in runs:
        groups = read_groups(run.path / SPLITS_FILE)
        named = [groups.get(path, "") for path, _ in images]
        if any(named):
            texts = [name or f"{path}\0" for name, (path, _) in zip(named, images, strict=True)]
            known.append(np.unique(np.array(texts, object).astype(str), return_inverse=True)[1])
    chosen = min(known, key=lambda units: int(units.max()), default=None)
    if chosen is None or int(chosen.max()) + 1 == len(images):
        return None
    if len(known) == 2 and len(set(zip(*(u.tolist() for u in known), strict=True))) > min(
        int(units.max()) + 1 for units in known
    ):
        reporter.warn(
            "the two runs have other groups; those of the run with fewer groups are drawn"
        )
    return chosen


def read_groups(path: Path) -> dict[str, str]:
    """Return the group of each image of a ``splits.csv`` by its path; none if there is no file.

    Raises:
        CnncliError: If it is not what a run wrote.
    """
    try:
        return {row["path"]: row["group"] for row in _read_rows(path) if row.get("group")}
    except FileNotFoundError:
        return {}
    except (KeyError, ValueError, csv.Error):
        raise CnncliError(f"{path}: not the splits.csv of a run") from None


def _index_images(predictions: Predictions) -> dict[_Image, int]:
    """Return the place of each image.

    Raises:
        CnncliError: If an image is there twice.
    """
    images = zip(predictions.paths, predictions.targets, strict=True)
    place = {image: index for index, image in enumerate(images)}
    if len(place) < len(predictions.paths):
        raise CnncliError(
            f"{predictions.path}: names an image twice; write it anew with evaluate --output"
        )
    return place


def _read_rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV; raises FileNotFoundError, ``csv.Error`` and `CnncliError`."""
    try:
        check_regular(path, most=MOST_OF_TABLE)
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            yield from csv.DictReader(file)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CnncliError(f"{path}: {error.strerror}") from None


def describe_paired(paired: Mapping[str, Any]) -> str:
    """Return in a sentence whether two runs differ by more than chance.

    Without groups McNemar's exact test decides, with groups the interval of the accuracies'
    difference.
    """
    first, second = paired["runs"]
    of_groups = "" if paired["groups"] is None else f" of {count_of(paired['groups'], 'group')}"
    told = (
        f"on {count_of(paired['images'], 'image')}{of_groups}, {first} alone is right on "
        f"{paired['only_first']}, {second} alone on {paired['only_second']}"
    )
    chance, more = (
        "the difference in accuracy may be chance",
        "the difference in accuracy is more than chance",
    )
    if paired["groups"] is None:
        verdict = more if paired["p"] < 0.05 else chance
        return f"{told}: {verdict} (McNemar's exact test, p = {paired['p']:.2g})"
    accuracy = paired["differences"]["accuracy"]
    low, high = accuracy["low"], accuracy["high"]
    if low is None:
        return f"{told}: {chance} (drawing groups never moves it)"
    few = "; with so few groups it is too narrow" if paired["groups"] < FEW else ""
    return (
        f"{told}: {more if low > 0 or high < 0 else chance} (accuracy differs by "
        f"{accuracy['value']:.4f}, 95 % interval {low:.4f} to {high:.4f} from drawing whole "
        f"groups{few}; McNemar's test would take the images for independent)"
    )
