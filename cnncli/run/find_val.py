"""Find the val images of a run, on which a threshold and a temperature are chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cnncli.data.classes import match_classes
from cnncli.data.find_samples import find_samples
from cnncli.data.manifest import Manifest, load_manifest
from cnncli.data.samples import CsvColumns, Samples, select_samples
from cnncli.data.splits import VAL
from cnncli.errors import CnncliError, count_of
from cnncli.files import SPLITS_FILE, run_dir_of
from cnncli.reporting import Reporter, SilentReporter
from cnncli.run.choose_evaluated import leave_out_unreadable
from cnncli.run.samples import data_of_run
from cnncli.training.checkpoint import Checkpoint
from cnncli.training.cores import count_cpus


def find_val(
    path: Path, checkpoint: Checkpoint, among: Samples, *, is_own: bool, reporter: Reporter
) -> Samples:
    """Return the images of a run's val split.

    Args:
        path: The checkpoint's file; the run's splits lie beside it.
        checkpoint: The checkpoint.
        among: Images that are there already, in which they are looked for first: the run's data
            may have moved. Where these lack any of them, the run's data have them.
        is_own: Whether these are the run's data by its own settings.
        reporter: Is warned of val images that are not there any more.

    Raises:
        CnncliError: If the run's splits are not known, or none of its val images is there.
    """
    file = run_dir_of(path) / SPLITS_FILE
    manifest = load_manifest(file)
    if manifest is None:
        raise CnncliError(
            f"{file}: missing, so it is not known which images are val, on which threshold and "
            "temperature are chosen; --threshold P gives a threshold yourself"
        )
    found = _select_val(among, manifest)
    count = int((np.asarray(manifest.splits) == VAL).sum())
    if len(found) < count and not is_own:
        try:
            own = _select_val(_find_own(path, checkpoint), manifest)
        except CnncliError:
            if not len(found):
                raise
        else:
            found = max(found, own, key=len)
    if not len(found):
        raise CnncliError(
            f"{file}: none of the run's {count_of(count, 'val image')} is among its data, and "
            "threshold and temperature are chosen on them; --threshold P gives a threshold yourself"
        )
    if len(found) < count:
        reporter.warn(f"only {len(found)} of the run's {count} val images are there to choose on")
    return found


def _find_own(path: Path, checkpoint: Checkpoint) -> Samples:
    """Return the run's data, by its own settings."""
    data, columns = data_of_run(path, CsvColumns())
    samples = match_classes(find_samples(data, columns), checkpoint.class_names)
    return leave_out_unreadable(samples, path, checkpoint.preprocess, SilentReporter())


def _select_val(samples: Samples, manifest: Manifest) -> Samples:
    seen = manifest.find_splits(manifest.look_up(samples, threads=count_cpus()))
    return select_samples(samples, np.flatnonzero(seen == VAL))
