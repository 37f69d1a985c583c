"""Warns of images to judge on that the run of the weights was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import SPLITS
from cnncli.data.manifest import load_manifest
from cnncli.data.samples import Samples
from cnncli.data.splits import TEST, TRAIN, VAL
from cnncli.errors import CnncliError
from cnncli.files import SPLITS_FILE, run_dir_of
from cnncli.reporting import Reporter
from cnncli.training.cores import count_cpus


def warn_of_reuse(weights: Path, samples: Samples, splits: Array, reporter: Reporter) -> None:
    """Warn of images of val and test that the weights know from the training of their run.

    Nothing is known of weights that lie without a ``splits.csv`` beside them.

    Args:
        weights: The file of the weights.
        samples: N images.
        splits: (N,) their splits in the new run.
        reporter: Gets the warning.
    """
    path = run_dir_of(weights) / SPLITS_FILE
    try:
        manifest = load_manifest(path)
    except CnncliError:  # a table of that name that is no run's
        return
    if manifest is None:
        return
    seen = manifest.find_splits(manifest.look_up(samples, threads=count_cpus()))
    told = []
    for split in (VAL, TEST):
        known = seen[splits == split]
        trained = int((known == TRAIN).sum())
        if trained:
            told.append(f"{trained} of the {len(known)} {SPLITS[split]} images")
    if told:
        keep = f"; --splits {path} keeps the run's splits" if not np.any(seen < 0) else ""
        reporter.warn(
            f"--weights: their run was trained on {' and '.join(told)}: the figures of these will "
            f"be too good{keep}"
        )
