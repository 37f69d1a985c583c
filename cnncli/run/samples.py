"""From a config to labelled images, each with its split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cnncli.arrays import Array
from cnncli.audit.ids import propose_groups
from cnncli.config import RunConfig, load_recorded
from cnncli.data.classes import order_classes, tell_alone
from cnncli.data.dicom_groups import propose_patients
from cnncli.data.exclude import exclude_listed
from cnncli.data.find_samples import find_samples, is_named_set, report_layout
from cnncli.data.label_text import doubt_labels
from cnncli.data.samples import NO_SPLIT, CsvColumns, Samples
from cnncli.data.split_match import apply_split_file
from cnncli.data.splits import VAL, parse_groups, split_samples
from cnncli.errors import CnncliError, count_of
from cnncli.files import BEST_FILE, CONFIG_FILE, expand_path, run_dir_of
from cnncli.models.pretrained.tensor_file import read_meta
from cnncli.reporting import Reporter
from cnncli.run.begun import BegunRun
from cnncli.training.cores import count_cpus
from cnncli.training.history import KAPPA

# So many images, each of another class, are no set with small classes.
_MANY = 10
_FRACTIONS = ("val_fraction", "test_fraction")


def gather_samples(
    config: RunConfig, reporter: Reporter, begun: BegunRun | None = None
) -> tuple[Samples, Array]:
    """Find the images and their classes, and give every image a split.

    Args:
        config: Where the images are, and how to label and split them.
        reporter: Gets remarks and warnings about them.
        begun: The run that is resumed, whose images and splits they must be; None for a new run.

    Returns:
        The samples, and their splits as indices (N,) into SPLITS.

    Raises:
        CnncliError: If the data cannot be trained on.
    """
    samples = label_samples(config, reporter, begun)
    if begun is None:
        warn_of_unused(config, samples.splits, reporter)
    splits, warnings = split_samples(
        order_classes(samples, None),  # so that another --class-order draws the same splits
        val_fraction=config.val_fraction,
        test_fraction=config.test_fraction,
        seed=config.seed,
    )
    if begun is not None:
        samples = begun.check_images(samples, splits)
    for warning in warnings:
        reporter.warn(warning)
    return samples, splits


def warn_of_unused(
    config: RunConfig, given: Array, reporter: Reporter, *, folds: bool = False
) -> None:
    """Warn of settings that would draw splits, where a file or the data have them already.

    A setting that says what holds without it is not told: ``config.yaml`` has all of them.

    Args:
        config: The settings.
        given: (N,) the splits that the images have, as indices into SPLITS.
        reporter: Gets the warning.
        folds: Whether a file has folds, inside of which val is drawn.
    """
    if (given == NO_SPLIT).all() and not folds:
        return
    unused = [] if config.splits is None else ["split_col"]
    default = {key: type(config).model_fields[key].default for key in (*_FRACTIONS, "split_col")}
    if folds:
        default["test_fraction"] = 0.0
    unused += ["test_fraction"] + ["val_fraction"] * bool((given == VAL).any() and not folds)
    told = [key for key in unused if getattr(config, key) != default[key]]
    if told:
        named = [f"--{key.replace('_', '-')} {getattr(config, key)}" for key in told]
        whose = "the data fix" if config.splits is None else f"--splits {config.splits} fixes"
        reporter.warn(f"{' and '.join(named)}: no effect, since {whose} the splits")


def label_samples(
    config: RunConfig,
    reporter: Reporter,
    begun: BegunRun | None = None,
    give: Callable[[Samples], Samples] | None = None,
) -> Samples:
    """Find the images, their classes and groups, and the splits that are given for them.

    Args:
        config: Where the images are, and how to label them.
        reporter: Gets remarks and warnings about them.
        begun: The run that is resumed; None for a new run.
        give: Gives the images their splits and groups; None for the file of ``--splits``, or for
            the run that is resumed.

    Raises:
        CnncliError: If the data cannot be trained on.
    """
    columns = CsvColumns(config.image_col, config.label_col, config.split_col, config.group_col)
    samples = find_samples(config.data, columns)
    if give is not None:
        samples = give(samples)
    elif begun is None:
        samples = give_splits(samples, config)
    else:
        samples = begun.give_splits(samples, threads=count_cpus())
    samples = order_classes(samples, config.class_order, graded_by=_graded_by(config))
    if begun is not None:
        samples = replace(samples, ordered=samples.ordered or _was_graded(begun.run_dir))
    if len(samples.class_names) < 2:
        told = f" ({'; '.join(samples.remarks)})" if samples.remarks else ""
        raise CnncliError(
            f"--data {config.data}: only one class, {samples.class_names[0]!r}; a classifier "
            f"needs images of at least two{told}"
        )
    alone = tell_alone(samples) if len(samples) >= _MANY else ""
    if alone:
        raise CnncliError(
            f"--data {config.data}: {alone}; a class needs several images (of a table, --label-col "
            "names the column of labels)"
        )
    if config.group_regex is not None:
        samples = replace(samples, groups=parse_groups(samples.paths, config.group_regex))
    elif samples.groups is None:
        warning = (
            samples.group_hint
            or propose_patients(samples)
            or propose_groups(samples.paths, samples.targets)
        )
        if warning:
            reporter.warn(warning)
    if samples.skipped:
        skipped = "file that is no image is", "files that are no images are"
        reporter.note(f"{count_of(samples.skipped, *skipped)} skipped")
    report_layout(samples, reporter)
    for doubt in doubt_labels(samples.class_names):
        reporter.warn(doubt)
    return samples


def _graded_by(config: RunConfig) -> str:
    """Return the flag which says that the classes are grades, in their sorted order; or nothing."""
    if config.ordered:
        return "--ordered"
    if config.loss == "ordinal":
        return "--loss ordinal"
    return f"--monitor {KAPPA}" if config.monitor == KAPPA else ""


def _was_graded(run_dir: Path) -> bool:
    """Return whether the classes of a run that is resumed were grades so far.

    Before 2026-11-26 classes with whole numbers for names were, without being called so.
    """
    try:
        return bool(read_meta(run_dir / BEST_FILE).get("ordered"))
    except CnncliError:  # it may be missing, and will be written anew
        return False


def data_of_run(checkpoint: Path, columns: CsvColumns) -> tuple[str, CsvColumns]:
    """Return the data and columns of the run that a checkpoint is of; given columns stay.

    Args:
        checkpoint: The checkpoint's file; the run's config lies beside it.
        columns: Names of columns that the user gave.

    Raises:
        CnncliError: If there is no config, or if its data are not where it says.
    """
    config = run_dir_of(checkpoint) / CONFIG_FILE
    if not config.is_file():
        raise CnncliError("--data: missing; name the images")
    run = load_recorded(str(config))
    if not is_named_set(run.data) and not expand_path(run.data).exists():
        raise CnncliError(
            f"{config}: its data, {run.data}, are not here ({Path.cwd()}); go to the folder in "
            "which the run was begun, or name the images with --data"
        )
    return run.data, CsvColumns(
        image=columns.image or run.image_col,
        label=columns.label or run.label_col,
        split=columns.split or run.split_col,
        group=columns.group or run.group_col,
        extra=columns.extra,
    )


def give_splits(samples: Samples, config: RunConfig) -> Samples:
    """Return the samples without what ``--exclude`` names, with the splits of ``--splits``.

    Raises:
        CnncliError: If a file is not of these images, or if a fold is given without a file.
    """
    if config.exclude is not None:
        samples = exclude_listed(samples, config.exclude)
    if config.splits is not None:
        return apply_split_file(samples, config.splits, config.fold, threads=count_cpus())
    if config.fold is not None:
        raise CnncliError(f"--fold {config.fold}: a fold of --splits; name that file too")
    return samples
