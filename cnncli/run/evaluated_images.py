"""Find the images that a checkpoint is to be evaluated on, and the groups that they are of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cnncli.config import load_recorded
from cnncli.data.classes import match_classes
from cnncli.data.find_samples import find_samples, report_layout
from cnncli.data.manifest import load_manifest
from cnncli.data.samples import CsvColumns, Samples
from cnncli.data.splits import parse_groups
from cnncli.errors import CnncliError
from cnncli.files import CONFIG_FILE, SPLITS_FILE, run_dir_of
from cnncli.reporting import Reporter
from cnncli.run.choose_evaluated import leave_out_unreadable
from cnncli.run.samples import data_of_run
from cnncli.training.checkpoint import Checkpoint
from cnncli.training.cores import count_cpus


def find_evaluated(
    data: str | None,
    columns: CsvColumns,
    group_regex: str | None,
    path: Path,
    checkpoint: Checkpoint,
    reporter: Reporter,
) -> Samples:
    """Return all images that are there, with the classes of the checkpoint, and their groups.

    Groups are those that the user names, else those of the run's ``splits.csv``.

    Args:
        data: The images, as ``train`` takes them; None for the data of the run.
        columns: Names of the columns of a CSV file.
        group_regex: Finds the group in a file's name; None for none.
        path: The checkpoint's file.
        checkpoint: The checkpoint.
        reporter: Gets remarks and warnings.

    Raises:
        CnncliError: If the images and the checkpoint do not go together.
    """
    given = columns
    if data is None:
        data, columns = data_of_run(path, columns)
        if group_regex is None and given.group is None:
            group_regex = load_recorded(str(run_dir_of(path) / CONFIG_FILE)).group_regex
    samples = find_samples(data, columns)
    report_layout(samples, reporter)
    samples = match_classes(samples, checkpoint.class_names)
    samples = leave_out_unreadable(samples, path, checkpoint.preprocess, reporter)
    if group_regex is not None:
        return replace(samples, groups=parse_groups(samples.paths, group_regex))
    return samples if samples.groups is not None else _recall(samples, path, reporter)


def _recall(samples: Samples, path: Path, reporter: Reporter) -> Samples:
    """Return the samples with the groups that the run's ``splits.csv`` has of them."""
    manifest = load_manifest(run_dir_of(path) / SPLITS_FILE)
    if manifest is None or not any(manifest.groups):
        return samples
    groups = manifest.find_groups(samples, manifest.look_up(samples, threads=count_cpus()))
    if groups is None:
        reporter.warn(
            "the run kept groups of images together, and none is named for these: each image is "
            "taken as independent, and the intervals are too narrow if several are of one patient; "
            "name the groups with --group-col or --group-regex"
        )
    return replace(samples, groups=groups)


def check_groups(samples: Samples) -> None:
    """Refuse to report by group where there are no groups.

    Raises:
        CnncliError: If the images are in no groups.
    """
    if samples.groups is None:
        raise CnncliError(
            "--by group: the images are in no groups; name them with --group-col or --group-regex"
        )
