"""Choose the images that a cross-validation is evaluated on, and by which of its networks each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import SplitChoice
from cnncli.data.manifest import UNSEEN, Manifest, load_manifest
from cnncli.data.samples import NO_SPLIT, Samples
from cnncli.data.split_file import load_split_file
from cnncli.data.splits import TEST
from cnncli.errors import CnncliError, count_of
from cnncli.files import OUT_OF_FOLD, SPLITS_FILE
from cnncli.reporting import Reporter
from cnncli.run.check_folds import check_folds
from cnncli.run.judge_images import Member
from cnncli.run.report import warn_of_edited_splits
from cnncli.training.cores import count_cpus


def choose_of_folds(
    samples: Samples,
    folder: Path,
    files: Sequence[Path],
    wanted: SplitChoice | None,
    reporter: Reporter,
) -> tuple[Array, list[Member], str]:
    """Decide which images to evaluate, and which network judges each.

    An image of a fold is judged by the network that did not see it. All other images are judged by
    the mean of all networks: those that are new, and the data's own test split, which no fold has.

    Args:
        samples: All images.
        folder: The folder of the cross-validation.
        files: The checkpoints of its K networks.
        wanted: The split that the user asked for; None for the folds' images and new ones, ``test``
            for the test split that no fold has, ``all`` for all of them.
        reporter: Gets warnings, and what is left out.

    Returns:
        The numbers of the images; the networks, with the images of each as numbers among these;
        and the split's name in the report.

    Raises:
        CnncliError: If a split is asked for that means nothing here, if no image is left, or if
            the folds are not those of the networks any more.
    """
    if wanted in ("train", "val"):
        raise CnncliError(
            f"--split {wanted}: in a cross-validation each image is trained on by other folds; "
            f"leave it out for the figures out of fold, or name one fold: --checkpoint {folder}/"
            "fold1"
        )
    manifest = load_manifest(folder / SPLITS_FILE)
    if manifest is None:
        raise CnncliError(f"{folder}: has no {SPLITS_FILE}, which says each image's fold")
    check_folds(folder)
    warn_of_edited_splits(folder, manifest, reporter)
    rows = manifest.look_up(samples, threads=count_cpus())
    if changed := manifest.tell_relabelled(samples, rows):
        reporter.warn(f"{changed}; the networks were trained with the labels of then")
    folds = load_split_file(str(folder)).folds
    fold = np.where(rows == UNSEEN, 0, np.maximum(folds[rows], 0))
    is_test = (fold == 0) & (rows != UNSEEN)
    is_new = rows == UNSEEN
    kept, name = _choose(samples, manifest, (fold > 0, is_test, is_new), wanted)
    if wanted is None and is_test.any():
        left = count_of(int(is_test.sum()), "image")
        reporter.note(
            f"left out, the data's own test split: {left}; --split test judges the mean of all "
            "networks on it"
        )
    alone = fold[kept] == 0
    members = [
        Member(path, np.flatnonzero(alone | (fold[kept] == number)))
        for number, path in enumerate(files, start=1)
    ]
    return kept, members, name


def _choose(
    samples: Samples,
    manifest: Manifest,
    kinds: tuple[Array, Array, Array],
    wanted: SplitChoice | None,
) -> tuple[Array, str]:
    """Return the numbers of the images to evaluate, and what they are called.

    Args:
        samples: N images.
        manifest: What the cross-validation knows.
        kinds: Three (N,) bool: in a fold, in the test split that no fold has, and new.
        wanted: The split that the user asked for.
    """
    in_fold, is_test, is_new = kinds
    if wanted == "test":
        if not manifest.has(TEST):
            raise CnncliError(
                "--split test: the cross-validation has no test split, its folds have all images; "
                "leave it out for the figures out of fold"
            )
        # If the data name splits, only those of the new images that are test.
        named = (samples.splits != NO_SPLIT).any()
        chosen = [("test", is_test), ("new images", is_new & ((samples.splits == TEST) | ~named))]
    else:
        chosen = [(OUT_OF_FOLD, in_fold), ("new images", is_new)]
        chosen += [("test", is_test)] * (wanted == "all")
    keep = np.logical_or.reduce([mask for _, mask in chosen])
    if not keep.any():
        raise CnncliError(f"--data: none of the {count_of(len(samples), 'image')} can be judged")
    return np.flatnonzero(keep), " and ".join(name for name, mask in chosen if mask.any())
