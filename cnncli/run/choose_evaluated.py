"""Choose the images that a checkpoint is evaluated on: not those that it was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import SPLITS, SplitChoice
from cnncli.data.exclude import find_excluded, load_excluded
from cnncli.data.manifest import UNSEEN, load_manifest
from cnncli.data.samples import NO_SPLIT, Samples, select_samples
from cnncli.data.split_file import read_left_out
from cnncli.data.splits import TEST, TRAIN, VAL
from cnncli.errors import CnncliError, count_of, shorten
from cnncli.files import SPLITS_FILE, run_dir_of
from cnncli.images.header import ImageError
from cnncli.images.preprocess import Preprocess
from cnncli.reporting import Reporter
from cnncli.run.bad_images import keep_good
from cnncli.run.kept_out import load_kept_out, load_unsplit
from cnncli.run.report import warn_of_edited_splits
from cnncli.training.cores import count_cpus

_CHOSEN_ON = "chosen on"


def leave_out_unreadable(
    samples: Samples, checkpoint: Path, preprocess: Preprocess, reporter: Reporter
) -> Samples:
    """Return the samples without those that the run left out.

    These are the images that it could not read and that still cannot be read, those that
    ``--exclude`` named, and those that the cross-validation of a fold keeps out for test.
    """
    samples = _leave_out_excluded(samples, checkpoint, reporter)
    listed = read_left_out(run_dir_of(checkpoint) / SPLITS_FILE)
    named = [index for index, path in enumerate(samples.paths) if path in listed] if listed else []

    def is_bad(index: int) -> bool:
        try:
            preprocess(samples.source.read(index))
        except (ImageError, OSError):
            return True
        return False

    bad = [index for index in named if is_bad(index)]
    if bad:
        names = shorten([str(samples.paths[index]) for index in bad], 3)
        reporter.note(f"left out, as in the run, since they cannot be read: {len(bad)} ({names})")
    return (
        select_samples(samples, keep_good(len(samples), dict.fromkeys(bad, ""))) if bad else samples
    )


def _leave_out_excluded(samples: Samples, checkpoint: Path, reporter: Reporter) -> Samples:
    """Return the samples without the images that the run left out, and say why it did."""
    run_dir = run_dir_of(checkpoint)
    listed = load_excluded(run_dir)
    found = find_excluded(samples, listed) if listed else np.array([], int)
    if not len(found):
        return samples
    kept_out, unsplit = load_kept_out(run_dir), load_unsplit(run_dir)
    paths = [str(path) for path in samples.paths[found]]
    is_test = np.array([path in kept_out for path in paths])
    is_unsplit = np.array([path in unsplit for path in paths])
    for numbers, why in (
        (found[~is_test & ~is_unsplit], "left out, as in the run (--exclude)"),
        (found[is_unsplit], "left out, as in the run: its --splits has no split for them"),
        (found[is_test], "left out, as the cross-validation keeps them out for test"),
    ):
        if len(numbers):
            names = shorten([str(path) for path in samples.paths[numbers]], 3)
            reporter.note(f"{why}: {len(numbers):,} ({names})")
    return select_samples(samples, np.setdiff1d(np.arange(len(samples)), found))


def choose_evaluated(
    samples: Samples, checkpoint: Path, wanted: SplitChoice | None, reporter: Reporter
) -> tuple[Array, str]:
    """Decide which images to evaluate.

    Images that the run knows are in the split that the run gave them. All images that are new to
    the run are evaluated; but if a split is asked for and the data name splits, only those of it.

    Args:
        samples: All images.
        checkpoint: The checkpoint's file; the run's splits lie beside it.
        wanted: The split that the user asked for; None for test, or val if the run has no test.
        reporter: Gets warnings, and lists of images that are left out.

    Returns:
        The numbers of the images, and the split's name in the report.
    """
    manifest = load_manifest(run_dir_of(checkpoint) / SPLITS_FILE)
    if manifest is None:
        reporter.warn(
            f"no splits.csv beside {checkpoint}: images it was trained on are not recognised"
        )
        seen = np.full(len(samples), UNSEEN, dtype=np.int8)
    else:
        if manifest.unhashed:
            reporter.warn(
                f"{SPLITS_FILE} has no hash of {manifest.unhashed} of the run's images, which are "
                "recognised by path and size alone: a new image of equal path and size is taken "
                "for the run's, and a renamed one of the run's for new"
            )
        warn_of_edited_splits(run_dir_of(checkpoint), manifest, reporter)
        rows = manifest.look_up(samples, threads=count_cpus())
        changed = manifest.tell_relabelled(samples, rows)
        if changed:
            reporter.warn(f"{changed}; the run was trained with the labels of then")
        seen = manifest.find_splits(rows)
    has_test = manifest is None or manifest.has(TEST)
    new = seen == UNSEEN
    if wanted == "all":
        if (seen == TRAIN).any():
            reporter.warn(f"{(seen == TRAIN).sum()} of the images were trained on")
        name = "new images" if manifest is not None and new.all() else "all"
        return np.arange(len(samples)), _with_origin(name, seen)
    split = SPLITS.index(wanted) if wanted else TEST if has_test else VAL
    # Without a wanted split, or if the data name no splits, all new images count.
    counted = samples.splits == split if wanted and (samples.splits != NO_SPLIT).any() else True
    keep = np.flatnonzero((seen == split) | (new & counted))
    _report_left_out(samples, seen, split, reporter)
    if not len(keep):
        raise CnncliError(
            f"--data: none of the {len(samples)} images is in the run's {SPLITS[split]} split; "
            f"they are in {', '.join(_splits_in(seen))}: name one with --split"
        )
    parts: list[str] = [SPLITS[split]] if (seen[keep] == split).any() else []
    parts += ["new images"] if new[keep].any() else []
    return keep, _with_origin(" and ".join(parts), seen[keep])


def is_chosen_on(split: str) -> bool:
    """Return whether images of this name, as `choose_evaluated` gives it, chose the best epoch."""
    return _CHOSEN_ON in split


def _splits_in(seen: Array) -> list[str]:
    """Return the names of the splits among (N,) indices into SPLITS."""
    return [name for number, name in enumerate(SPLITS) if (seen == number).any()]


def _with_origin(name: str, seen: Array) -> str:
    """Return the split's name, and in brackets what the run used the images for."""
    uses = []
    if (seen == TRAIN).any():
        uses.append("trained on" if (seen == TRAIN).all() else "partly trained on")
    if (seen == VAL).any():
        uses.append(_CHOSEN_ON if (seen == VAL).all() else f"partly {_CHOSEN_ON}")
    return f"{name} ({', '.join(uses)})" if uses else name


def _report_left_out(samples: Samples, seen: Array, split: int, reporter: Reporter) -> None:
    """Report the images that are left out because the run has them in another split."""
    uses = (
        (TRAIN, "that the run was trained on"),
        (VAL, "by which its best epoch was chosen"),
        (TEST, "of its test split"),
    )
    for number, use in uses:
        left = np.flatnonzero(seen == number)
        if number != split and len(left):
            names = shorten([str(samples.paths[index]) for index in left], 3)
            reporter.note(f"not evaluated: {count_of(len(left), 'image')} {use} ({names})")
