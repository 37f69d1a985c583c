"""What the page is made from: the files of a run, or of a cross-validation and its folds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import nn

from cnncli.data.split_file import SplitFile, load_split_file
from cnncli.errors import CnncliError
from cnncli.files import BEST_FILE, METRICS_FILE, REPORT_FILE, SPLITS_FILE, run_dir_of
from cnncli.models.build import count_parameters
from cnncli.page.sections import DataSection
from cnncli.recipes.report.answers import Answers
from cnncli.recipes.report.networks import FindJudging, Judging, find_by_fold
from cnncli.recipes.report.operating_point import OperatingPoint, as_operating_point
from cnncli.reporting import Reporter, SilentReporter
from cnncli.run.check_folds import check_folds
from cnncli.run.damaged_folds import check_fold_files
from cnncli.run.decision import load_decision, note_left_out
from cnncli.run.members import find_members
from cnncli.run.read_folder import RunRecord, survey_run
from cnncli.run.report import Report, has_other_splits
from cnncli.training.checkpoint import Checkpoint, load_checkpoint
from cnncli.training.find_run import is_finished

# What the page says, which has no place where the user's files lie.
OTHER_SPLITS = (
    f"{SPLITS_FILE} is not the file of the run any more (it was edited or cut): where the images "
    "went is not known, and of images judged today some may be those it was trained on"
)


@dataclass
class Material:
    """A run or a cross-validation, its images and its figures.

    Attributes:
        path: The checkpoint's file; of a cross-validation the one that its folder does not have.
        files: The files of all networks: one for a run.
        record: What the run's files say.
        folds: What those of each fold say; empty for a run.
        network: The network in eval mode, on the CPU; of a cross-validation that of fold 1.
        checkpoint: The classifier that it is of.
        splits: The run's ``splits.csv``; None if there is none, or if it is another by now.
        has_other_splits: Whether it is another by now.
        point: The operating point that is stored with the run; None for none.
        answers: The images with their probabilities; None if these are not known.
        report: The figures of the page; None if the run has not finished.
        undefined: Why figures are undefined.
        warnings: What may spoil the figures.
        missing: What the page lacks, and why.
        heard: What was warned of while the images were judged.
        data: What a check found in the images; None for what the run has kept of its own.
    """

    path: Path
    files: Sequence[Path]
    record: RunRecord
    network: nn.Module
    checkpoint: Checkpoint
    folds: Sequence[RunRecord] = ()
    splits: SplitFile | None = None
    has_other_splits: bool = False
    point: OperatingPoint | None = None
    answers: Answers | None = None
    report: Report | None = None
    undefined: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    data: DataSection | None = None

    @property
    def has_folds(self) -> bool:
        """Whether it is a cross-validation."""
        return len(self.files) > 1

    @property
    def is_best(self) -> bool:
        """Whether the networks are those that the run's own report is of."""
        return self.path.name == BEST_FILE

    def find_judging(self) -> FindJudging:
        """Return a function that finds the network that has judged an image."""
        if self.has_folds and self.answers is not None and self.answers.folds is not None:
            return find_by_fold(self.files, self.answers.folds)
        alone = Judging(self.network, self.checkpoint)
        return lambda index: alone


# How lines begin that say why a learning curve is missing, or is not whole.
CURVES = ("the page has no learning curve", "the page has only a part of the learning curve")


def tell_lost_epochs(record: RunRecord, faults: Sequence[CnncliError]) -> tuple[str, list[str]]:
    """Return what is wrong with a run's ``metrics.csv``, and with its other files.

    Args:
        record: What the files say.
        faults: What is wrong with those that cannot be read.

    Returns:
        The first is what follows the file's name in a sentence, empty for a whole file.
    """
    path = record.path / METRICS_FILE
    own = [text for text in map(str, faults) if text.startswith(f"{path}: ")]
    others = [text for text in map(str, faults) if text not in own]
    if own:
        return f"is damaged: {own[0].removeprefix(f'{path}: ')}", others
    if record.kept is None or record.has_kept_epoch:
        return "", others
    if not path.exists():
        return "is gone", others
    return f"has no row of epoch {record.kept}, which was kept: it is cut", others


def find_material(run: str | None, reporter: Reporter) -> Material:
    """Find a run or a cross-validation, and read its files.

    Args:
        run: Its path or name, as `find_members` takes it; None for the newest that is finished.
        reporter: Is told which run was taken.

    Raises:
        CnncliError: If there is no such run, if its weights cannot be used, or if a
            cross-validation is not finished, was edited or is damaged.
    """
    path, files, how = find_members(run, flag="")
    if how:
        reporter.note(f"run: {path.parent} ({how})")
    if len(files) > 1:
        check_folds(path.parent)
        check_fold_files(path.parent)
    return read_material(path, files, reporter)


def read_material(path: Path, files: Sequence[Path], reporter: Reporter) -> Material:
    """Read the files of a run, or of a cross-validation that was checked.

    Args:
        path: The checkpoint's file; of a cross-validation the one that its folder does not have.
        files: The files of all networks.
        reporter: Hears of decisions that belong to single folds.

    Raises:
        CnncliError: If the weights cannot be used, or a cross-validation is damaged.
    """
    run_dir = run_dir_of(path)
    record, faults = survey_run(run_dir, run_dir.name, with_images=False)
    if faults and len(files) > 1:
        raise CnncliError(
            f"{faults[0]}; put the file back, or, if it is {REPORT_FILE}, delete it and write it "
            f"anew: cnncli cross-validate --resume {run_dir}"
        )
    network, checkpoint = load_checkpoint(files[0])
    record = replace(record, parameters=count_parameters(network))
    found = Material(path, files, record, network, checkpoint)
    of_history, others = tell_lost_epochs(record, faults)
    found.missing += others
    if found.has_folds:
        surveys = [survey_run(file.parent, "", with_images=False) for file in files]
        found.folds = [fold for fold, _ in surveys]
        for number, (fold, odd) in enumerate(surveys, start=1):
            if lost := tell_lost_epochs(fold, odd)[0]:
                name = os.path.join(fold.path.name, METRICS_FILE)
                found.missing.append(
                    f"{CURVES[bool(fold.epochs)]} of fold {number}, because {name} {lost}"
                )
    elif of_history:
        found.missing.append(f"{CURVES[bool(record.epochs)]}s, because {METRICS_FILE} {of_history}")
    splits = run_dir / SPLITS_FILE
    try:
        found.splits = load_split_file(str(splits), str(splits)) if splits.is_file() else None
    except CnncliError as error:
        found.missing.append(str(error))
    if found.splits is not None and has_other_splits(record.report, found.splits):
        found.splits, found.has_other_splits = None, True
        found.warnings.append(OTHER_SPLITS)
    if found.has_folds:
        note_left_out(list(files), reporter)
        return found
    try:
        names, digest = found.checkpoint.class_names, found.checkpoint.digest
        decision = load_decision(path, digest, names, SilentReporter())
        found.point = None if decision is None else as_operating_point(decision)
    except CnncliError as error:
        found.missing.append(str(error))
    if not is_finished(run_dir):
        found.warnings.append(
            f"the run has not finished: this is of {path.name} as it is now, after epoch "
            f"{found.checkpoint.epoch}"
        )
    return found
