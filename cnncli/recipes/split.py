"""The job of ``split``: write a file of splits or folds, before anything is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import SPLITS
from cnncli.config import RunConfig
from cnncli.data.folds import draw_folds
from cnncli.data.manifest import digest_files, save_manifest
from cnncli.data.samples import Samples
from cnncli.data.splits import TEST
from cnncli.errors import count_of
from cnncli.files import check_output_file, write_atomically
from cnncli.reporting import Reporter, TableLayout
from cnncli.run.samples import gather_samples, label_samples
from cnncli.training.cores import count_cpus

# The table that is shown has a row for each of so many classes, and one for all others.
_MOST_CLASSES = 40


_LAYOUT = TableLayout(keep=("test",), drop_equal=False)


def split_data(
    config: RunConfig, output: str, reporter: Reporter, *, folds: int | None, force: bool
) -> Path:
    """Split images as ``train`` would, or into folds, and write a file for ``train --splits``.

    Args:
        config: The settings, of which those of data, columns, groups, fractions and seed are used.
        output: The file to write.
        reporter: Where warnings and the table of counts are shown.
        folds: Number of folds; None splits into train, val and test.
        force: Whether an existing file may be replaced.

    Returns:
        The path of the file.

    Raises:
        CnncliError: If the data cannot be split or the file cannot be written.
    """
    path = check_output_file(output, overwrite=force)
    numbers = None
    if folds is None:
        samples, splits = gather_samples(config, reporter)
    else:
        samples = label_samples(config, reporter)
        splits, numbers, warnings = draw_folds(
            samples, folds, test_fraction=config.test_fraction, seed=config.seed
        )
        for warning in warnings:
            reporter.warn(warning)
    digests = digest_files(samples, threads=count_cpus())
    write_atomically(path, lambda part: save_manifest(part, samples, splits, digests, numbers))
    reporter.table(count_of(len(samples), "image"), _count(samples, splits, numbers), _LAYOUT)
    return path


def _count(samples: Samples, splits: Array, folds: Array | None) -> list[dict[str, object]]:
    """Return the rows of a table with the number of images of each class in each split or fold.

    Args:
        samples: N labelled images.
        splits: (N,) indices into SPLITS.
        folds: (N,) folds from 1, 0 for an image in none; None where there are no folds.

    Returns:
        One row per class, and a last row with the sums.
    """
    if folds is None:
        columns: dict[str, Array] = {n: splits == number for number, n in enumerate(SPLITS)}
    else:
        columns = {f"fold {fold}": folds == fold for fold in range(1, int(folds.max()) + 1)}
        columns["test"] = splits == TEST
    classes = len(samples.class_names)
    counts = {
        name: np.bincount(samples.targets[chosen], minlength=classes).tolist()
        for name, chosen in columns.items()
        if chosen.any()
    }
    rows: list[dict[str, object]] = [
        {"class": samples.class_names[target]} | {name: n[target] for name, n in counts.items()}
        for target in range(min(classes, _MOST_CLASSES))
    ]
    if classes > _MOST_CLASSES:
        left = {name: sum(n[_MOST_CLASSES:]) for name, n in counts.items()}
        rows.append({"class": count_of(classes - _MOST_CLASSES, "more class")} | left)
    return [*rows, {"class": "all"} | {name: sum(n) for name, n in counts.items()}]
