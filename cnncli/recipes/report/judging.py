"""The images of the page with their probabilities, and the figures of these."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from cnncli.arrays import Array
from cnncli.data.samples import CsvColumns, Samples, select_samples
from cnncli.errors import CnncliError, count_of
from cnncli.evaluation.report import build_report
from cnncli.files import REPORT_FILE, SPLITS_FILE
from cnncli.recipes.report.answers import Answers
from cnncli.recipes.report.kept import read_kept, tell_how
from cnncli.recipes.report.material import OTHER_SPLITS, Material
from cnncli.recipes.report.settings import ReportSettings
from cnncli.reporting import ListeningReporter, Reporter
from cnncli.run.choose_evaluated import choose_evaluated
from cnncli.run.choose_of_folds import choose_of_folds
from cnncli.run.evaluated_images import find_evaluated
from cnncli.run.judge import Judge
from cnncli.run.judge_folds import judge_by_folds
from cnncli.run.mistakes import file_of
from cnncli.run.report import WAS_EDITED
from cnncli.training.checkpoint import load_checkpoint
from cnncli.training.device import Compute, choose_evaluation_compute, keep_freed_memory
from cnncli.training.distributed import ALONE


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
    choose_figures(found, is_own=settings.is_own and not settings.names_groups)
    tell_of_no_heat(found)
    told = [text for text in found.heard if text.endswith(WAS_EDITED)]
    for text in (*found.missing, *found.warnings):
        if text != OTHER_SPLITS or not told:
            reporter.warn(text)
    found.heard = [text for text in found.heard if text not in told]


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
        found.answers = read_kept(found) if found.is_best else None
        kept = found.answers is not None
        lacks = "pictures" if kept else "images, threshold, ranking and calibration"
        lacks = lacks if found.is_best else f"figures, {lacks}"  # the run's are of other weights
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
    if found.has_folds:
        return _judge_by_folds(found, samples, settings, compute, reporter)
    chosen, split = choose_evaluated(samples, path, settings.split, reporter)
    classifier = checkpoint.classifier(load_checkpoint(path)[0]).to(compute.device)
    classifier.to(memory_format=torch.channels_last)
    judge = Judge(classifier, checkpoint.preprocess, compute, None, "skip", reporter)
    samples, _, probabilities = judge.judge(
        select_samples(samples, chosen), run_dir=found.record.path
    )
    answers = build_answers(samples, probabilities, split)
    return replace(answers, brightness=judge.slices.measure_brightness(samples))


def _judge_by_folds(
    found: Material,
    samples: Samples,
    settings: ReportSettings,
    compute: Compute,
    reporter: Reporter,
) -> Answers:
    """Judge each image by the network that did not see it, and new ones by the mean of all."""
    folder = found.record.path
    chosen, members, split = choose_of_folds(samples, folder, found.files, settings.split, reporter)
    judged = judge_by_folds(
        select_samples(samples, chosen),
        members,
        split,
        compute,
        reporter,
        folder=folder,
        on_bad_image="skip",
        tta=None,
    )
    folds = np.zeros(len(judged.samples), np.int64) if judged.folds is None else judged.folds
    return build_answers(judged.samples, judged.raw, split, folds)


def build_answers(
    samples: Samples, probabilities: Array, split: str, folds: Array | None = None
) -> Answers:
    """Return images that are there with their probabilities.

    Args:
        samples: N images.
        probabilities: (N, K) as the network gives them.
        split: What the images are called in the report.
        folds: (N,) as `Answers` has them.
    """
    return Answers(
        paths=list(map(str, samples.paths)),
        files=[file_of(samples, index) for index in range(len(samples))],
        targets=samples.targets,
        probabilities=probabilities,
        class_names=samples.class_names,
        predicted=np.asarray(probabilities.argmax(axis=1)),
        split=split,
        samples=samples,
        groups=None if samples.groups is None else list(map(str, samples.groups)),
        folds=folds,
    )


def tell_of_no_heat(found: Material) -> None:
    """Say of how many images no heat map is drawn, as several networks have judged them."""
    folds = None if found.answers is None else found.answers.folds
    averaged = 0 if folds is None else int((folds == 0).sum())
    if averaged:
        found.missing.append(
            f"{HEAT_MAPS} of {count_of(averaged, 'image')} that the mean of all networks judged: "
            "each network has its own; visualize grad-cam draws those of one fold"
        )


HEAT_MAPS = "heat maps"  # how a line begins that says why they are missing


def choose_figures(found: Material, *, is_own: bool) -> None:
    """Choose the report that the page shows; for the run's own images it is ``report.json``.

    Args:
        found: The run with its images; gets the report.
        is_own: Whether the images and their groups are those of ``report.json``.
    """
    answers, known, is_best = found.answers, found.record.report, found.is_best
    how = tell_how(known)
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
    if not is_own or known is None or not is_best:
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
        cause = "images, labels, splits or the machine have changed since"
        if found.has_other_splits:
            cause = f"{SPLITS_FILE}, which says which images are judged, has changed since"
        found.warnings.append(
            f"the figures are of {len(answers.paths):,} images as they are judged today, and "
            f"{REPORT_FILE}, of {known.get('images', '?')} images, has others: {cause}"
        )
    elif not how:
        found.report = known
