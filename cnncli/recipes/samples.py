"""From a config to labelled images with a split each; shared by every recipe that trains."""

from __future__ import annotations

from dataclasses import replace

from cnncli.config import RunConfig
from cnncli.data.sources import Array, CsvColumns, Samples, find_samples, order_classes
from cnncli.data.splits import propose_group_regex, read_groups, split_samples
from cnncli.errors import CnncliError
from cnncli.reporting import Reporter


def gather_samples(config: RunConfig, reporter: Reporter) -> tuple[Samples, Array]:
    """Find the images, fix the classes and give every image a split.

    Returns:
        The samples, and (N,) indices into SPLITS.

    Raises:
        CnncliError: If the data cannot be trained on.
    """
    columns = CsvColumns(config.image_col, config.label_col, config.split_col, config.group_col)
    samples = order_classes(find_samples(config.data, columns), config.class_order)
    if len(samples.class_names) < 2:
        raise CnncliError(
            f"--data {config.data}: only one class, {samples.class_names[0]!r}; a classifier "
            "needs at least two folders of images"
        )
    if config.group_regex is not None:
        samples = replace(samples, groups=read_groups(samples.paths, config.group_regex))
    elif samples.groups is None:
        warning = propose_group_regex(samples.paths, samples.targets)
        if warning:
            reporter.warn(warning)
    if samples.skipped:
        reporter.note(f"{samples.skipped} files that are no images are skipped")
    for note in samples.notes:
        reporter.warn(note)
    splits, warnings = split_samples(
        samples,
        val_fraction=config.val_fraction,
        test_fraction=config.test_fraction,
        seed=config.seed,
    )
    for warning in warnings:
        reporter.warn(warning)
    return samples, splits
