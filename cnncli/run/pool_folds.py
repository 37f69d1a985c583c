"""The report of a cross-validation: each image judged by the network that did not see it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import OnBadImage
from cnncli.data.manifest import load_manifest
from cnncli.data.samples import select_samples
from cnncli.files import BEST_FILE, OUT_OF_FOLD, SPLITS_FILE
from cnncli.reporting import Reporter
from cnncli.run.fold_figures import describe_folds
from cnncli.run.judge_images import Member, judge_images
from cnncli.run.plan_folds import FoldPlan
from cnncli.run.report import Report, record_splits, report_split
from cnncli.run.save_evaluation import save_evaluation
from cnncli.training.checkpoint import load_checkpoint
from cnncli.training.device import Compute
from cnncli.training.find_run import list_folds


def pool_folds(
    folder: Path,
    plan: FoldPlan,
    compute: Compute,
    reporter: Reporter,
    *,
    on_bad_image: OnBadImage,
) -> Report:
    """Judge the images of all folds, and write the files of the cross-validation.

    Nothing but the checkpoints counts, so that the files are the same, byte for byte, after any
    interruption.

    Args:
        folder: The folder of the cross-validation, whose folds are all finished.
        plan: The images and their folds.
        compute: Device, precision and processes; only rank 0 writes files.
        reporter: Gets remarks, warnings and progress.
        on_bad_image: ``error`` refuses images that cannot be read, ``skip`` leaves them out.

    Raises:
        CnncliError: If an image cannot be read any more, or a file cannot be written.
    """
    paths = list_folds(folder)
    found = [_list_judged(path, number, plan) for number, path in enumerate(paths, start=1)]
    used = np.sort(np.concatenate(found))
    members = [
        Member(path / BEST_FILE, np.searchsorted(used, mine))
        for path, mine in zip(paths, found, strict=True)
    ]
    judged = judge_images(
        select_samples(plan.samples, used),
        members,
        compute,
        reporter,
        run_dir=folder,
        on_bad_image=on_bad_image,
    )
    checkpoint = load_checkpoint(paths[0] / BEST_FILE)[1]
    targets, probabilities = judged.samples.targets, judged.probabilities
    report = report_split(
        targets,
        probabilities,
        checkpoint,
        split=OUT_OF_FOLD,
        reporter=reporter,
        groups=judged.samples.groups,
    )
    record_splits(report, folder)
    report["folds"] = describe_folds(folder)
    if compute.world.is_first:
        folds = plan.numbers[used][judged.kept]
        save_evaluation(folder, report, judged.samples, probabilities, folds=folds, csv_safe=False)
    return report


def _list_judged(path: Path, number: int, plan: FoldPlan) -> Array:
    """Return the numbers of a fold's images, without those that its run could not read."""
    manifest = load_manifest(path / SPLITS_FILE)
    known = None if manifest is None else manifest.by_path
    mine = np.flatnonzero(plan.numbers == number).tolist()
    kept = [i for i in mine if known is None or str(plan.samples.paths[i]) in known]
    return np.array(kept, dtype=np.int64)
