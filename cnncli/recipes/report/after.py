"""The page at the end of a run, within a share of its time; and that of an evaluation."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from cnncli.data.samples import Samples, select_samples
from cnncli.files import BEST_FILE, PREDICTIONS_FILE, REPORT_FILE, REPORT_PAGE
from cnncli.recipes.report.answers import Answers
from cnncli.recipes.report.judging import build_answers, choose_figures, tell_of_no_heat
from cnncli.recipes.report.kept import read_kept, tell_how
from cnncli.recipes.report.material import Material, read_material
from cnncli.recipes.report.settings import ReportSettings
from cnncli.recipes.report.write import write_page
from cnncli.reporting import Reporter, SilentReporter
from cnncli.run.afters import After, FinishedRun, make_afters
from cnncli.run.evaluation import Evaluation
from cnncli.training.find_run import list_folds

# Seconds that the page may take, and their share of those of the run.
_MOST, _SHARE = 10.0, 0.1
# What is kept of --time-limit for the end of the process, and what the smallest page takes.
_SECONDS_TO_EXIT, _LEAST = 0.5, 1.0


def page_after() -> After:
    """Return what makes the page of a run, or of a cross-validation, that has just finished."""
    return After(REPORT_PAGE, "cnncli report {folder}", _make_page)


def _make_page(run: FinishedRun, reporter: Reporter) -> None:
    """Make the page from what the run has kept: nothing is judged again."""
    settings = _choose_time(run)
    if not _has_time(run, reporter):
        return
    files = [path / BEST_FILE for path in list_folds(run.folder) or [run.folder]]
    material = read_material(run.folder / BEST_FILE, files, SilentReporter())
    kept = read_kept(material)
    if kept is not None:
        material.answers = _with_samples(kept, run.samples)
        if material.answers.samples is None:
            material.missing.append(f"pictures: the images of {PREDICTIONS_FILE} are not at hand")
    elif not material.missing:
        material.missing.append(
            f"images, threshold, ranking and calibration: the run has kept no {PREDICTIONS_FILE}, "
            "as it would be too large; cnncli report judges the images again"
        )
    choose_figures(material, is_own=True)
    for text in material.missing:
        reporter.warn(text)
    if _has_time(run, reporter):
        write_page(settings, material, run.folder / REPORT_PAGE, reporter)


def _choose_time(run: FinishedRun) -> ReportSettings:
    """Return until when a page may be made that is begun now."""
    now, left = time.monotonic(), run.left
    latest = now + (_MOST if left is None else min(_MOST, left - _SECONDS_TO_EXIT))
    return ReportSettings(end=min(latest, now + _SHARE * run.seconds), latest=latest)


def _has_time(run: FinishedRun, reporter: Reporter) -> bool:
    """Return whether ``--time-limit`` leaves time for a page; if it does not, say so in a line."""
    left = run.left
    if left is None or left >= _LEAST + _SECONDS_TO_EXIT:
        return True
    reporter.note(
        f"no {REPORT_PAGE}: {left:.1f} s are left of --time-limit; to make it: cnncli report "
        f"{run.folder}"
    )
    return False


def _with_samples(kept: Answers, samples: Samples | None) -> Answers:
    """Return images with the samples that they are, by their paths, so that they have pictures."""
    if samples is None:
        return kept
    wanted = set(kept.paths)
    place = {path: i for i, path in enumerate(map(str, samples.paths)) if path in wanted}
    if len(place) < len(kept.paths):
        return kept
    chosen = np.array([place[path] for path in kept.paths], np.int64)
    return replace(kept, samples=select_samples(samples, chosen))


def write_evaluation_page(evaluation: Evaluation, started: float, data: str | None) -> None:
    """Write the page of an evaluation into its folder; what fails is one warning.

    Args:
        evaluation: What ``evaluate --output`` has written.
        started: When the command was started, by ``time.monotonic``.
        data: The images as the user named them; None for those of the run.
    """
    assert evaluation.folder is not None

    def make(run: FinishedRun, reporter: Reporter) -> None:
        settings = replace(_choose_time(run), data=data)
        folder = evaluation.run_dir
        files = [path / BEST_FILE for path in list_folds(folder)] or [evaluation.path]
        material = read_material(evaluation.path, files, SilentReporter())
        _take_evaluation(material, evaluation)
        write_page(settings, material, run.folder / REPORT_PAGE, reporter)

    run = evaluation.run_dir if evaluation.path.name == BEST_FILE else evaluation.path
    later = f"cnncli report {run} --output {evaluation.folder / REPORT_PAGE}"
    after = After(REPORT_PAGE, later, make)
    make_afters([after], FinishedRun(evaluation.folder, started), evaluation.reporter)


def _take_evaluation(material: Material, evaluation: Evaluation) -> None:
    """Take the images and the figures of an evaluation; with a decision, those without it."""
    folds = evaluation.folds
    if material.has_folds and folds is None:
        folds = np.zeros(len(evaluation.samples), np.int64)
    material.answers = build_answers(evaluation.samples, evaluation.raw, evaluation.split, folds)
    choose_figures(material, is_own=False)
    how = tell_how(evaluation.report)
    if evaluation.decision is None:
        material.report = evaluation.report
        if how:
            material.warnings.append(f"the figures are those of {REPORT_FILE}, written with {how}")
    else:
        material.warnings.append(
            f"{REPORT_FILE} was written with {how}, and has other figures: these are of the "
            "probabilities as the network gives them"
        )
    tell_of_no_heat(material)
