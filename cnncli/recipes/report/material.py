"""What the page is made from: the run's files, and the probabilities of its images."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cnncli.data.samples import CsvColumns, select_samples
from cnncli.data.split_file import SplitFile, load_split_file
from cnncli.errors import CnncliError
from cnncli.evaluation.report import build_report
from cnncli.files import (
    BEST_FILE,
    DECISION_FILE,
    PREDICTIONS_FILE,
    REPORT_FILE,
    SPLITS_FILE,
    run_dir_of,
)
from cnncli.recipes.report.answers import Answers, as_answers, find_groups
from cnncli.recipes.report.operating_point import OperatingPoint, as_operating_point
from cnncli.recipes.report.settings import ReportSettings
from cnncli.reporting import ListeningReporter, Reporter, SilentReporter
from cnncli.run.choose_evaluated import choose_evaluated
from cnncli.run.decision import load_decision
from cnncli.run.evaluated_images import find_evaluated
from cnncli.run.judge import Judge
from cnncli.run.mistakes import file_of
from cnncli.run.other_ways import WAYS
from cnncli.run.predictions import read_predictions
from cnncli.run.read_folder import RunRecord, survey_run
from cnncli.run.report import Report
from cnncli.training.checkpoint import Checkpoint, load_checkpoint
from cnncli.training.device import Compute, choose_evaluation_compute, keep_freed_memory
from cnncli.training.distributed import ALONE
from cnncli.training.find_checkpoint import find_checkpoint
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
    path, how = find_checkpoint(settings.run, flag="")
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
        if not settings.is_own or settings.names_groups or settings.columns != CsvColumns():
            raise
        is_best = found.path.name == BEST_FILE
        found.answers = _read_kept(found) if is_best else None
        kept = found.answers is not None
        lacks = "pictures" if kept else "images, threshold, ranking and calibration"
        lacks = lacks if is_best else f"figures, {lacks}"  # the run's are of other weights
        found.missing.append(
            f"the page has no {lacks}, because the images cannot be judged: {error}"
        )


def _judge(
    found: Material, settings: ReportSettings, compute: Compute, reporter: Reporter
) -> Answers:
    """Compute the probabilities of the images that ``evaluate`` would judge, in float32.

    Raises:
        CnncliError: If data and checkpoint do not go together, or no image can be read.
    """
    path, checkpoint = found.path, found.checkpoint
    keep_freed_memory()
    samples = find_evaluated(
        settings.data, settings.columns, settings.group_regex, path, checkpoint, reporter
    )
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
        groups=None if samples.groups is None else list(map(str, samples.groups)),
    )


def _read_kept(found: Material) -> Answers | None:
    """Return what the run's ``predictions.csv`` says, if it is of the images of its report.

    The page needs the network's own probabilities in float32: others are left aside.
    """
    how = _tell_how(found.record.report)
    if how:
        found.missing.append(f"{PREDICTIONS_FILE}: written with {how}; left aside")
        return None
    try:
        read = read_predictions(found.record.path / PREDICTIONS_FILE)
        kept = None if read is None else as_answers(read)
    except CnncliError as error:
        found.missing.append(str(error))
        return None
    if kept is None or found.record.report is None:
        return None
    groups = find_groups(kept.paths, found.splits)
    kept = replace(kept, split=found.record.report["split"], groups=groups)
    if kept.matrix != found.record.report.get("confusion_matrix"):
        found.missing.append(f"{PREDICTIONS_FILE}: not of the images of {REPORT_FILE}; left aside")
        return None
    return kept


def _tell_how(report: Report | None) -> str:
    """Return how ``evaluate`` changed the network's own answers before it wrote a report."""
    words = {"decision": DECISION_FILE, "tta": "--tta", "precision": "--precision"}
    return " and ".join(words[name] for name in WAYS if (report or {}).get(name) is not None)


def _choose_figures(found: Material, settings: ReportSettings) -> None:
    """Choose the report that the page shows; for the run's own images it is ``report.json``."""
    answers, known, is_best = found.answers, found.record.report, found.path.name == BEST_FILE
    how = _tell_how(known)
    if answers is None:
        found.report = known if is_best else None
        if how and is_best:
            found.warnings.append(f"the figures are those of {REPORT_FILE}, written with {how}")
        return
    found.report, found.undefined = build_report(
        answers.targets,
        answers.probabilities,
        answers.class_names,
        split=answers.split,
        ordered=found.checkpoint.ordered,
        groups=answers.group_numbers,
    )
    if not settings.is_own or settings.names_groups or known is None or not is_best:
        return
    matrix, of_known = found.report["confusion_matrix"], known.get("confusion_matrix")
    if how:
        found.warnings.append(
            f"{REPORT_FILE} was written with {how}, and has other figures: these are of the "
            "network's own probabilities, in float32"
        )
        is_same = list(map(sum, matrix)) == list(map(sum, of_known or ()))
    else:
        is_same = matrix == of_known
    if not is_same:
        found.warnings.append(
            f"the figures are of {len(answers.paths):,} images as they are judged today, and "
            f"{REPORT_FILE}, of {known.get('images', '?')} images, has others: images, labels, "
            "splits or the machine have changed since"
        )
    elif not how:
        found.report = known
