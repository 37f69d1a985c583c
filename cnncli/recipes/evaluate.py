"""Evaluate a checkpoint on labelled images, without those that the run was trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from cnncli.augmentation.notation import Tta
from cnncli.choices import OnBadImage, Precision, SplitChoice
from cnncli.data.classes import match_classes
from cnncli.data.find_samples import find_samples, report_layout
from cnncli.data.samples import CsvColumns, Samples, select_samples
from cnncli.reporting import Reporter
from cnncli.run.choose_evaluated import choose_evaluated, leave_out_unreadable
from cnncli.run.evaluation import Evaluation
from cnncli.run.judge import Judge
from cnncli.run.mistakes import DRAWN, draw_mistakes, list_mistakes
from cnncli.run.report import (
    Report,
    record_splits,
    report_precision,
    report_split,
)
from cnncli.run.samples import data_of_run
from cnncli.run.save_evaluation import make_evaluation_folder, save_evaluation
from cnncli.training.checkpoint import Checkpoint, find_checkpoint, load_checkpoint
from cnncli.training.device import choose_evaluation_compute, keep_freed_memory
from cnncli.training.distributed import ALONE, World
from cnncli.training.views import build_views


@dataclass(frozen=True)
class EvaluateSettings:
    """What to evaluate.

    Attributes:
        data: The images, as ``train`` takes them; None for the data of the run.
        checkpoint: Path of a run folder or a checkpoint; None for the newest finished run.
        split: The split to evaluate; None for test, or val if the run has no test split.
        columns: Names of the columns of a CSV file.
        device: The device as torch names it, or ``auto``.
        precision: The precision to compute in; None for exact float32.
        output: Folder for report.json, predictions.csv and confusion_matrix.{csv,png}; None writes
            no files.
        on_bad_image: ``error`` refuses images that cannot be read, ``skip`` leaves them out.
        tta: Views of each image, over which the probabilities are averaged; None for the image
            alone.
        mistakes: Number of the surest mistakes that the report lists, at most; 0 for no list.
        mistakes_drawn: Number of the surest mistakes that are drawn, at most.
        mistakes_grid: File in which the surest mistakes are drawn; None draws none.
        csv_safe: Whether no cell of a CSV may be a formula for a spreadsheet.
    """

    data: str | None = None
    checkpoint: str | None = None
    split: SplitChoice | None = None
    columns: CsvColumns = field(default_factory=CsvColumns)
    device: str = "auto"
    precision: Precision | None = None
    output: str | None = None
    on_bad_image: OnBadImage = "error"
    tta: Tta | None = None
    mistakes: int = 0
    mistakes_drawn: int = DRAWN
    mistakes_grid: Path | None = None
    csv_safe: bool = False


def evaluate_run(settings: EvaluateSettings, reporter: Reporter, world: World = ALONE) -> Report:
    """Evaluate a checkpoint.

    Args:
        settings: What to evaluate.
        reporter: Gets remarks, warnings and progress.
        world: The processes that work together; each evaluates a slice of the images, and only
            rank 0 writes files.

    Returns:
        The report, as ``report.json`` holds it, and ``mistakes`` if there is to be a list of them.

    Raises:
        CnncliError: If data and checkpoint do not go together, or an image cannot be read.
    """
    evaluation = _judge(settings, reporter, world)
    for step in _STEPS:
        step(evaluation, settings)
    return evaluation.report


def _judge(settings: EvaluateSettings, reporter: Reporter, world: World) -> Evaluation:
    """Load the checkpoint, choose the images and compute their probabilities."""
    path, how = find_checkpoint(settings.checkpoint)
    if how:
        reporter.note(f"checkpoint: {path} ({how})")
    compute = choose_evaluation_compute(settings.device, settings.precision, world)
    report_precision(compute.precision, settings.precision, reporter)
    keep_freed_memory()
    network, checkpoint = load_checkpoint(path)
    views = None if settings.tta is None else build_views(settings.tta, checkpoint.augment)
    samples, split = _choose_images(settings, path, checkpoint, reporter)
    own = settings.data is None and settings.split is None
    folder = settings.output and make_evaluation_folder(settings.output, path, is_of_run=own)
    network.to(compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    judge = Judge(
        checkpoint.classifier(network).to(compute.device),
        checkpoint.preprocess,
        compute,
        views,
        settings.on_bad_image,
        reporter,
    )
    samples, targets, probabilities = judge.judge(samples, is_own=settings.data is None)
    return Evaluation(
        path=path,
        checkpoint=checkpoint,
        samples=samples,
        targets=targets,
        probabilities=probabilities,
        split=split,
        precision=compute.precision,
        folder=folder or None,
        reporter=reporter,
        world=world,
    )


def _choose_images(
    settings: EvaluateSettings, path: Path, checkpoint: Checkpoint, reporter: Reporter
) -> tuple[Samples, str]:
    """Return the images to evaluate, with the classes of the checkpoint, and their split's name."""
    data, columns = settings.data, settings.columns
    if data is None:
        data, columns = data_of_run(path, columns)
    samples = find_samples(data, columns)
    report_layout(samples, reporter)
    samples = match_classes(samples, checkpoint.class_names)
    samples = leave_out_unreadable(samples, path, checkpoint.preprocess, reporter)
    chosen, split = choose_evaluated(samples, path, settings.split, reporter)
    return select_samples(samples, chosen), split


def _report(evaluation: Evaluation, settings: EvaluateSettings) -> None:
    """Compute the figures, and keep how they were computed."""
    report = report_split(
        evaluation.targets,
        evaluation.probabilities,
        evaluation.checkpoint,
        split=evaluation.split,
        reporter=evaluation.reporter,
    )
    record_splits(report, evaluation.run_dir)
    if settings.tta is not None:
        report["tta"] = settings.tta
    if settings.precision is not None:
        report["precision"] = evaluation.precision
    evaluation.report.update(report)


def _save(evaluation: Evaluation, settings: EvaluateSettings) -> None:
    if evaluation.folder is not None and evaluation.world.is_first:
        save_evaluation(
            evaluation.folder,
            evaluation.report,
            evaluation.samples,
            evaluation.probabilities,
            csv_safe=settings.csv_safe,
        )


def _list_mistakes(evaluation: Evaluation, settings: EvaluateSettings) -> None:
    if settings.mistakes:
        evaluation.report["mistakes"] = list_mistakes(
            evaluation.samples, evaluation.probabilities, settings.mistakes
        )


def _draw_mistakes(evaluation: Evaluation, settings: EvaluateSettings) -> None:
    if settings.mistakes_grid is not None and evaluation.world.is_first:
        draw_mistakes(
            settings.mistakes_grid,
            evaluation.samples,
            evaluation.probabilities,
            evaluation.checkpoint.preprocess,
            evaluation.reporter,
            count=settings.mistakes_drawn,
            split=evaluation.split,
        )


# What is done with the probabilities, in this order. What the files hold comes before `_save`;
# what only stdout has comes after it.
_STEPS: tuple[Callable[[Evaluation, EvaluateSettings], None], ...] = (
    _report,
    _save,
    _list_mistakes,
    _draw_mistakes,
)
