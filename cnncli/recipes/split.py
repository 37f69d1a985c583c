"""Split: who trains, who chooses and who judges, written down before anything is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import SPLITS
from cnncli.config import RunConfig
from cnncli.data.folds import draw_folds
from cnncli.data.manifest import save_manifest
from cnncli.data.samples import Samples
from cnncli.data.split_file import file_facts
from cnncli.data.splits import TEST
from cnncli.files import check_output_file, write_atomically
from cnncli.reporting import Reporter
from cnncli.run.samples import gather_samples, label_samples
from cnncli.training.device import count_cpus

_MOST_CLASSES = 40


def split_data(
    config: RunConfig, output: str, reporter: Reporter, *, folds: int | None, force: bool
) -> Path:
    """Split images as ``train`` would, or into folds, and write the file that it takes.

    Args:
        config: Its data, columns, groups, fractions and seed count.
        output: The file to write.
        reporter: Told what is in it.
        folds: Number of folds; None splits into train, val and test.
        force: Whether a file that is there may be written over.

    Returns:
        The file's path.

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
    facts = file_facts(samples, threads=count_cpus())
    write_atomically(path, lambda part: save_manifest(part, samples, splits, facts, numbers))
    reporter.table(f"{len(samples):,} images", _count(samples, splits, numbers))
    return path


def _count(samples: Samples, splits: Array, folds: Array | None) -> list[dict[str, object]]:
    """Return images per class and split (or fold), the last row their sum."""
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
        rows.append({"class": f"{classes - _MOST_CLASSES} more classes"} | left)
    return [*rows, {"class": "all"} | {name: sum(n) for name, n in counts.items()}]
