"""Evaluate a checkpoint on labelled images, without those that the run was trained on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from cnncli.data.samples import Samples, select_samples
from cnncli.files import run_dir_of
from cnncli.reporting import Reporter
from cnncli.run.by_group import add_by_group
from cnncli.run.choose_evaluated import choose_evaluated, is_chosen_on
from cnncli.run.choose_of_folds import choose_of_folds
from cnncli.run.decide import check_decision, check_judged, choose_decision, needs_val
from cnncli.run.decision import load_decision, note_left_out, save_decision, warn_of_views
from cnncli.run.evaluate_settings import EvaluateSettings
from cnncli.run.evaluated_images import check_groups, find_evaluated
from cnncli.run.evaluation import Evaluation
from cnncli.run.exported_decision import take_over_decision
from cnncli.run.find_val import find_val
from cnncli.run.fold_figures import describe_folds
from cnncli.run.internal import add_internal
from cnncli.run.judge import Judge
from cnncli.run.judge_folds import judge_by_folds, refuse_decisions
from cnncli.run.members import find_members
from cnncli.run.mistakes import draw_mistakes, list_mistakes
from cnncli.run.report import Report, record_splits, report_precision, report_split
from cnncli.run.report_decision import report_decision
from cnncli.run.save_evaluation import make_evaluation_folder, save_evaluation
from cnncli.run.subgroups import add_subgroups, check_subgroups
from cnncli.training.checkpoint import Checkpoint, load_checkpoint
from cnncli.training.device import Compute, choose_evaluation_compute, keep_freed_memory
from cnncli.training.distributed import ALONE, World
from cnncli.training.views import build_views


def evaluate_run(
    settings: EvaluateSettings,
    reporter: Reporter,
    world: World = ALONE,
    *,
    make_page: Callable[[Evaluation], None] | None = None,
) -> Report:
    """Evaluate a checkpoint.

    Args:
        settings: What to evaluate.
        reporter: Gets remarks, warnings and progress.
        world: The processes that work together; each evaluates a slice of the images, and only
            rank 0 writes files.
        make_page: Called in rank 0 when files were written, to write one of them in addition.

    Returns:
        The report, as ``report.json`` holds it, and ``mistakes`` if there is to be a list of them.

    Raises:
        CnncliError: If data and checkpoint do not go together, or an image cannot be read.
    """
    evaluation = _judge(settings, reporter, world)
    for step in _STEPS:
        step(evaluation, settings)
    if make_page is not None and evaluation.folder is not None and world.is_first:
        make_page(evaluation)
    return evaluation.report


def _judge(settings: EvaluateSettings, reporter: Reporter, world: World) -> Evaluation:
    """Load the checkpoint, choose the images and compute their probabilities."""
    path, files, how = find_members(settings.checkpoint)
    if how:
        reporter.note(f"checkpoint: {path if len(files) == 1 else path.parent} ({how})")
    compute = choose_evaluation_compute(settings.device, settings.precision, world)
    report_precision(compute.precision, settings.precision, reporter)
    keep_freed_memory()
    if len(files) > 1:
        return _judge_by_folds(settings, path, files, compute, reporter)
    network, checkpoint = load_checkpoint(path)
    names, raw = checkpoint.class_names, settings.decide.raw
    stored = None if raw else load_decision(path, checkpoint.digest, names, reporter)
    check_decision(settings.decide, stored, names, path, settings.tta)
    views = None if settings.tta is None else build_views(settings.tta, checkpoint.augment)
    everything = _find_images(settings, path, checkpoint, reporter)
    chosen, split = choose_evaluated(everything, path, settings.split, reporter)
    check_judged(settings.decide, stored, reporter, is_val=is_chosen_on(split))
    check_subgroups(select_samples(everything, chosen), settings.subgroups)
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
    decision = stored
    if settings.decide.is_stored:
        val = None
        if needs_val(settings.decide):
            is_own = settings.data is None
            found = find_val(path, checkpoint, everything, is_own=is_own, reporter=reporter)
            val = judge.judge(found, run_dir=run_dir_of(path), label="judging val")[1:]
        decision = choose_decision(
            settings.decide, stored, names, val, reporter, settings.tta, checkpoint.temperature
        )
    warn_of_views(decision, settings.tta, reporter)
    samples, targets, probabilities = judge.judge(
        select_samples(everything, chosen), run_dir=run_dir_of(path)
    )
    return Evaluation(
        path=path,
        checkpoint=checkpoint,
        samples=samples,
        targets=targets,
        raw=probabilities,
        decision=decision,
        split=split,
        precision=compute.precision,
        folder=folder or None,
        reporter=reporter,
        world=world,
    )


def _judge_by_folds(
    settings: EvaluateSettings, path: Path, files: list[Path], compute: Compute, reporter: Reporter
) -> Evaluation:
    """Choose the images and compute their probabilities by the networks of a cross-validation."""
    folder = run_dir_of(path)
    refuse_decisions(settings.decide, folder)
    if not settings.decide.raw:
        note_left_out(files, reporter)
    checkpoint = load_checkpoint(files[0])[1]
    own = settings.data is None and settings.split is None
    output = settings.output and make_evaluation_folder(settings.output, path, is_of_run=own)
    everything = _find_images(settings, path, checkpoint, reporter)
    chosen, members, split = choose_of_folds(everything, folder, files, settings.split, reporter)
    samples = select_samples(everything, chosen)
    check_subgroups(samples, settings.subgroups)
    found = judge_by_folds(
        samples,
        members,
        split,
        compute,
        reporter,
        folder=folder,
        on_bad_image=settings.on_bad_image,
        tta=settings.tta,
    )
    return Evaluation(
        path=path,
        checkpoint=checkpoint,
        decision=None,
        precision=compute.precision,
        folder=output or None,
        reporter=reporter,
        world=compute.world,
        **vars(found),
    )


def _find_images(
    settings: EvaluateSettings, path: Path, checkpoint: Checkpoint, reporter: Reporter
) -> Samples:
    """Return all images that are there, with the classes of the checkpoint."""
    samples = find_evaluated(
        settings.data, settings.columns, settings.group_regex, path, checkpoint, reporter
    )
    if settings.by_group is not None:
        check_groups(samples)
    return samples


def _report(evaluation: Evaluation, settings: EvaluateSettings) -> None:
    """Compute the figures, and keep how they were computed."""
    report = report_split(
        evaluation.targets,
        evaluation.probabilities,
        evaluation.checkpoint,
        split=evaluation.split,
        reporter=evaluation.reporter,
        predictions=evaluation.predictions,
        groups=evaluation.groups,
    )
    record_splits(report, evaluation.run_dir)
    if evaluation.folds is not None:
        report["folds"] = describe_folds(evaluation.run_dir)
    if settings.tta is not None:
        report["tta"] = settings.tta
    if settings.precision is not None:
        report["precision"] = evaluation.precision
    evaluation.report.update(report)


def _report_by_group(evaluation: Evaluation, settings: EvaluateSettings) -> None:
    add_by_group(evaluation, settings.by_group)


def _report_subgroups(evaluation: Evaluation, settings: EvaluateSettings) -> None:
    add_subgroups(evaluation, settings.subgroups)


def _report_internal(evaluation: Evaluation, _: EvaluateSettings) -> None:
    add_internal(evaluation)


def _save(evaluation: Evaluation, settings: EvaluateSettings) -> None:
    if evaluation.folder is not None and evaluation.world.is_first:
        save_evaluation(
            evaluation.folder,
            evaluation.report,
            evaluation.samples,
            evaluation.probabilities,
            csv_safe=settings.csv_safe,
            predictions=evaluation.predictions,
            folds=evaluation.folds,
        )


def _list_mistakes(evaluation: Evaluation, settings: EvaluateSettings) -> None:
    if settings.mistakes:
        evaluation.report["mistakes"] = list_mistakes(
            evaluation.samples,
            evaluation.probabilities,
            settings.mistakes,
            evaluation.predictions,
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
            predictions=evaluation.predictions,
        )


def _report_decision(evaluation: Evaluation, settings: EvaluateSettings) -> None:
    if evaluation.decision is not None:
        evaluation.report |= report_decision(
            evaluation.decision,
            evaluation.targets,
            evaluation.raw,
            prevalence=settings.decide.prevalence,
            groups=evaluation.groups,
            reporter=evaluation.reporter,
        )


def _store_decision(evaluation: Evaluation, settings: EvaluateSettings) -> None:
    decision = evaluation.decision
    if decision is not None and settings.decide.is_stored and evaluation.world.is_first:
        path = save_decision(evaluation.path, evaluation.checkpoint.digest, decision)
        evaluation.reporter.note(
            f"{path}: {decision.describe()}; predict and evaluate go by it, --raw leaves it out"
        )
        take_over_decision(
            evaluation.path, evaluation.checkpoint.digest, path, decision, evaluation.reporter
        )


# What is done with the probabilities, in this order. What the files hold comes before `_save`;
# what only stdout has comes after it.
_STEPS: tuple[Callable[[Evaluation, EvaluateSettings], None], ...] = (
    _report,
    _report_by_group,
    _report_decision,
    _report_subgroups,
    _report_internal,
    _store_decision,
    _save,
    _list_mistakes,
    _draw_mistakes,
)
