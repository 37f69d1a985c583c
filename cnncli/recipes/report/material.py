"""What the page is made from: the run's files, and the probabilities of its images."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cnncli.data.classes import match_classes
from cnncli.data.find_samples import find_samples, report_layout
from cnncli.data.samples import CsvColumns, select_samples
from cnncli.data.split_file import SplitFile, load_split_file
from cnncli.data.splits import group_numbers
from cnncli.errors import CnncliError
from cnncli.evaluation.report import build_report
from cnncli.files import BEST_FILE, PREDICTIONS_FILE, REPORT_FILE, SPLITS_FILE, run_dir_of
from cnncli.recipes.report.answers import Answers, read_predictions
from cnncli.recipes.report.operating_point import OperatingPoint, as_operating_point
from cnncli.recipes.report.settings import ReportSettings
from cnncli.reporting import ListeningReporter, Reporter, SilentReporter
from cnncli.run.choose_evaluated import choose_evaluated, leave_out_unreadable
from cnncli.run.decision import load_decision
from cnncli.run.judge import Judge
from cnncli.run.mistakes import file_of
from cnncli.run.read_folder import RunRecord, survey_run
from cnncli.run.report import Report
from cnncli.run.samples import data_of_run
from cnncli.training.checkpoint import Checkpoint, find_checkpoint, load_checkpoint
from cnncli.training.device import Compute, choose_evaluation_compute, keep_freed_memory
from cnncli.training.distributed import ALONE
from cnncli.training.find_run import is_finished


@dataclass
class Material:
    """A run, its images and its figures.

    Attributes:
        path: The checkpoint's file.
        record: What the run's files say.
        network: The network in eval mode, on the CPU.
        checkpoint: The classifier that it is of.
        splits: The run's ``splits.csv``; None if there is none.
        point: The operating point that is stored with the run; None for none.
        answers: The images with their probabilities; None if these are not known.
        report: The figures of the page; None if the run has not finished.
        undefined: Why figures are undefined.
        warnings: What may spoil the figures.
        missing: What the page lacks, and why.
        heard: What was warned of while the images were judged.
    """

    path: Path
    record: RunRecord
    network: nn.Module
    checkpoint: Checkpoint
    splits: SplitFile | None = None
    point: OperatingPoint | None = None
    answers: Answers | None = None
    report: Report | None = None
    undefined: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)


def find_material(settings: ReportSettings, reporter: Reporter) -> Material:
    """Find a run and read its files.

    Args:
        settings: Which run.
        reporter: Is told which run was taken.

    Raises:
        CnncliError: If there is no such run, or its weights cannot be used.
    """
    try:
        path, how = find_checkpoint(settings.run)
    except CnncliError as error:  # here the run is an argument, and no value of --checkpoint
        raise CnncliError(str(error).removeprefix("--checkpoint ")) from None
    if how:
        reporter.note(f"run: {path.parent} ({how})")
    run_dir = run_dir_of(path)
    record, faults = survey_run(run_dir, run_dir.name, with_images=False)
    found = Material(path, record, *load_checkpoint(path), missing=list(map(str, faults)))
    splits = run_dir / SPLITS_FILE
    try:
        found.splits = load_split_file(str(splits), str(splits)) if splits.is_file() else None
    except CnncliError as error:
        found.missing.append(str(error))
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


def judge_material(found: Material, settings: ReportSettings, reporter: Reporter) -> None:
    """Judge the images of a run, and choose the figures of the page.

    Args:
        found: The run; gets the images and the figures.
        settings: Which images.
        reporter: Gets remarks, warnings and progress.

    Raises:
        CnncliError: If images that are named cannot be judged.
    """
    _find_answers(found, settings, reporter)
    _choose_figures(found, settings)
    for text in (*found.missing, *found.warnings):
        reporter.warn(text)


def _find_answers(found: Material, settings: ReportSettings, reporter: Reporter) -> None:
    """Judge the images; where the run's own are not there, its ``predictions.csv`` must do.

    Raises:
        CnncliError: If images that are named cannot be judged, or there is no such device.
    """
    compute = choose_evaluation_compute(settings.device, None, ALONE)
    try:
        found.answers = _judge(found, settings, compute, ListeningReporter(reporter, found.heard))
    except CnncliError as error:
        if not settings.is_own or settings.columns != CsvColumns():
            raise
        found.answers = _read_kept(found) if found.path.name == BEST_FILE else None
        kept = found.answers is not None
        lacks = "the pictures" if kept else "the images, threshold, ranking and calibration"
        found.missing.append(f"{lacks}, since the images cannot be judged: {error}")


def _judge(
    found: Material, settings: ReportSettings, compute: Compute, reporter: Reporter
) -> Answers:
    """Compute the probabilities of the images that ``evaluate`` would judge, in float32.

    Raises:
        CnncliError: If data and checkpoint do not go together, or no image can be read.
    """
    path, checkpoint = found.path, found.checkpoint
    keep_freed_memory()
    data, columns = settings.data, settings.columns
    if data is None:
        data, columns = data_of_run(path, columns)
    samples = find_samples(data, columns)
    report_layout(samples, reporter)
    samples = match_classes(samples, checkpoint.class_names)
    samples = leave_out_unreadable(samples, path, checkpoint.preprocess, reporter)
    chosen, split = choose_evaluated(samples, path, settings.split, reporter)
    classifier = checkpoint.classifier(load_checkpoint(path)[0]).to(compute.device)
    classifier.to(memory_format=torch.channels_last)
    judge = Judge(classifier, checkpoint.preprocess, compute, None, "skip", reporter)
    samples, targets, probabilities = judge.judge(
        select_samples(samples, chosen), run_dir=found.record.path
    )
    return Answers(
        paths=list(map(str, samples.paths)),
        files=[file_of(samples, index) for index in range(len(samples))],
        targets=targets,
        probabilities=probabilities,
        class_names=samples.class_names,
        predicted=np.asarray(probabilities.argmax(axis=1)),
        split=split,
        samples=samples,
    )


def _read_kept(found: Material) -> Answers | None:
    """Return what the run's ``predictions.csv`` says, if it is of the images of its report."""
    try:
        kept = read_predictions(found.record.path / PREDICTIONS_FILE)
    except CnncliError as error:
        found.missing.append(str(error))
        return None
    if kept is None or found.record.report is None:
        return None
    kept = replace(kept, split=found.record.report["split"])
    if kept.matrix != found.record.report.get("confusion_matrix"):
        found.missing.append(f"{PREDICTIONS_FILE}: not of the images of {REPORT_FILE}; left aside")
        return None
    return kept


def _choose_figures(found: Material, settings: ReportSettings) -> None:
    """Choose the report that the page shows; for the run's own images it is ``report.json``."""
    answers, known = found.answers, found.record.report
    if answers is None:
        found.report = known
        return
    found.report, found.undefined = build_report(
        answers.targets,
        answers.probabilities,
        answers.class_names,
        split=answers.split,
        ordered=found.checkpoint.ordered,
        groups=None if answers.samples is None else group_numbers(answers.samples),
    )
    if not settings.is_own or known is None or found.path.name != BEST_FILE:
        return
    if found.report["confusion_matrix"] == known.get("confusion_matrix"):
        found.report = known
        return
    found.warnings.append(
        f"the figures are of {len(answers.paths):,} images as they are judged today, and "
        f"{REPORT_FILE}, of {known.get('images', '?')} images, has others: images, labels, splits "
        "or the machine have changed since"
    )
