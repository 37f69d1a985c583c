"""Write the page of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cnncli.choices import SplitChoice
from cnncli.data.samples import CsvColumns, Samples
from cnncli.data.split_file import SplitFile
from cnncli.errors import CnncliError, count_of
from cnncli.evaluation.reliability import reliability_bins
from cnncli.evaluation.report import build_report
from cnncli.files import PREDICTIONS_FILE, run_dir_of, write_atomically
from cnncli.page.charts import calibration_chart, learning_charts, ranking_charts
from cnncli.page.judged import Judged, choose_listed, common_root, order_of_interest, to_json
from cnncli.page.render import Content, render_page
from cnncli.page.tables import MOST_CELLS, confused_pairs, figure_rows, group_rows, per_class_rows
from cnncli.recipes.report.facts import (
    check_splits,
    describe_flow,
    describe_layers,
    describe_run,
    hide_paths,
    list_commands,
)
from cnncli.recipes.report.images import Answers, draw_pictures, read_predictions
from cnncli.reporting import Reporter
from cnncli.run.evaluation import Evaluation
from cnncli.run.mistakes import file_of
from cnncli.run.read_folder import RunRecord, survey_run
from cnncli.run.report import Report, summary_rows
from cnncli.training.checkpoint import Checkpoint, find_checkpoint, load_checkpoint

# A page that is larger is told: it may be too large for a mail.
BUDGET = 5_000_000


@dataclass(frozen=True)
class ReportSettings:
    """What to write.

    Attributes:
        run: Path of a run folder or a checkpoint; None for the newest finished run.
        data: Images to judge the run on, as ``train`` takes them; None for those of the run.
        split: The split to judge; None for test, or val if the run has no test split.
        columns: Names of the columns of a CSV file.
        device: The device as torch names it, or ``auto``.
        output: The page; None for ``report.html`` in the run's folder.
        images: Number of pictures in the page; None for as many as keep it below 5 MB.
        with_images: Whether the page holds pictures.
        with_names: Whether the page holds the names of files and groups.
    """

    run: str | None = None
    data: str | None = None
    split: SplitChoice | None = None
    columns: CsvColumns = field(default_factory=CsvColumns)
    device: str = "auto"
    output: Path | None = None
    images: int | None = None
    with_images: bool = True
    with_names: bool = True


Judge = Callable[[ReportSettings, Reporter], Evaluation]


def write_report(settings: ReportSettings, judge: Judge, reporter: Reporter) -> Path:
    """Write the page of a run, and return its path.

    Args:
        settings: What to write.
        judge: Computes the probabilities of the images.
        reporter: Gets remarks, warnings and progress.

    Raises:
        CnncliError: If there is no such run, if images that are named cannot be judged, or if the
            page cannot be written.
    """
    try:
        path, how = find_checkpoint(settings.run)
    except CnncliError as error:
        raise CnncliError(str(error).replace("--checkpoint", "RUN", 1)) from None
    if how:
        reporter.note(f"run: {path.parent} ({how})")
    run_dir = run_dir_of(path)
    output = settings.output or run_dir / "report.html"
    missing: list[str] = []
    record, faults = survey_run(run_dir, run_dir.name, with_images=False)
    missing += map(str, faults)
    splits, why = check_splits(run_dir)
    missing += [why] if why else []
    _, checkpoint = load_checkpoint(path)
    answers, samples, split = _find_answers(settings, path, judge, reporter, missing)
    own = settings.data is None and settings.split is None
    shown, undefined, warnings = _choose_figures(record, checkpoint, answers, split, own=own)
    for text in (*missing, *warnings):
        reporter.warn(text)
    content = _gather(settings, record, path, checkpoint, splits, shown)
    content = replace(content, missing=missing, warnings=warnings, undefined=undefined)
    if answers is not None and shown is not None:
        content = _add_images(
            content, settings, answers, samples, splits, shown, checkpoint, reporter
        )
    page = render_page(content).encode("utf-8", "replace")
    write_atomically(output, lambda part: part.write_bytes(page))
    size = f"{output.name}: {len(page) / 1e6:.1f} MB. {content.privacy}"
    reporter.note(size)
    if len(page) > BUDGET:
        reporter.warn(f"the page is larger than {BUDGET / 1e6:.0f} MB; fewer --images make it less")
    return output


def _find_answers(
    settings: ReportSettings, path: Path, judge: Judge, reporter: Reporter, missing: list[str]
) -> tuple[Answers | None, Samples | None, str]:
    """Return the probabilities of the images, the images if they are there, and their split.

    Judges them anew. Where the run's own images are not there any more, its ``predictions.csv``
    must do; ``missing`` gets what the page lacks then.
    """
    try:
        done = judge(replace(settings, run=str(path)), reporter)
    except CnncliError as error:
        if settings.data is not None or settings.split is not None:
            raise
        kept = read_predictions(run_dir_of(path) / PREDICTIONS_FILE)
        lacks = "pictures" if kept else "images, threshold, curves and calibration"
        missing.append(f"{lacks}, since the images cannot be judged: {error}")
        return kept, None, ""
    files = [file_of(done.samples, index) for index in range(len(done.samples))]
    names = done.samples.class_names
    paths = list(map(str, done.samples.paths))
    answers = Answers(paths, files, done.targets, done.probabilities, names)
    return answers, done.samples, done.split


def _choose_figures(
    record: RunRecord, checkpoint: Checkpoint, answers: Answers | None, split: str, *, own: bool
) -> tuple[Report | None, list[str], list[str]]:
    """Return the report that the page shows, why figures are undefined, and warnings.

    The figures of the run's own images are those of ``report.json``.
    """
    if answers is None:
        return record.report, [], []
    report, undefined = build_report(
        answers.targets,
        answers.probabilities,
        answers.class_names,
        split=split,
        ordered=checkpoint.ordered,
    )
    if not own or record.report is None:
        return report, undefined, []
    if report["confusion_matrix"] != record.report.get("confusion_matrix"):
        before, now = record.report.get("images"), report["images"]
        return (
            report,
            undefined,
            [
                f"the figures are of the {now} images as they are judged today; report.json, of "
                f"{before} images, says otherwise: images, labels, splits or the machine changed"
            ],
        )
    return record.report, undefined, []


def _gather(
    settings: ReportSettings,
    record: RunRecord,
    path: Path,
    checkpoint: Checkpoint,
    splits: SplitFile | None,
    shown: Report | None,
) -> Content:
    """Return all of the page that needs no image."""
    network, layers = describe_layers(path)
    kept = record.settings if settings.with_names else hide_paths(record.settings)
    matrix = None if shown is None else shown.get("confusion_matrix")
    names = list(checkpoint.class_names)
    return Content(
        title=f"{record.path.name}: {shown['split'] if shown else 'not finished'}",
        privacy="This page holds no picture and no file name of the images.",
        facts=describe_run(record, path, checkpoint, with_names=settings.with_names),
        commands=list_commands(record, with_names=settings.with_names),
        flow=describe_flow(splits),
        warnings=[],
        missing=[],
        figures=[] if shown is None else figure_rows(shown, summary_rows(shown)),
        undefined=[],
        class_names=names,
        matrix=matrix,
        pairs=confused_pairs(matrix) if matrix and len(matrix) ** 2 > MOST_CELLS else None,
        per_class=[] if shown is None else per_class_rows(shown.get("per_class", [])),
        learning=learning_charts(record.history, checkpoint.epoch or None),
        settings=kept,
        layers=layers,
        network=network,
    )


def _add_images(
    content: Content,
    settings: ReportSettings,
    answers: Answers,
    samples: Samples | None,
    splits: SplitFile | None,
    shown: Report,
    checkpoint: Checkpoint,
    reporter: Reporter,
) -> Content:
    """Return the page with what its images and their probabilities show."""
    targets, probabilities = answers.targets, answers.probabilities
    groups = _find_groups(answers, samples, splits)
    if groups is not None and not settings.with_names:
        number = {name: f"group {n}" for n, name in enumerate(dict.fromkeys(groups), start=1)}
        groups = [number[name] for name in groups]
    named = settings.with_names
    judged = Judged(
        names=answers.paths if named else [f"image {n + 1}" for n in range(len(targets))],
        root=common_root(answers.files, answers.paths) if named else None,
        targets=targets,
        probabilities=probabilities,
        class_names=answers.class_names,
        groups=groups,
    )
    listed = choose_listed(judged)
    if samples is not None and settings.with_images:
        order = order_of_interest(targets, probabilities)
        order = order[np.isin(order, listed)]
        pictures = draw_pictures(
            samples, order, checkpoint.preprocess, reporter, most=settings.images
        )
        judged = replace(judged, pictures=pictures)
    bins = reliability_bins(targets, probabilities)
    wrong = judged.predicted != targets
    rows, note = group_rows(groups, wrong) if groups is not None else ([], "")
    return replace(
        content,
        privacy=_tell_privacy(len(judged.pictures), len(listed) if named else 0),
        judged=to_json(judged, listed),
        not_listed=len(judged) - len(listed),
        ranking=ranking_charts(targets, probabilities, answers.class_names, shown),
        calibration=calibration_chart(bins),
        bins=bins,
        groups=rows,
        group_note=note,
    )


def _find_groups(
    answers: Answers, samples: Samples | None, splits: SplitFile | None
) -> list[str] | None:
    """Return the groups of the images, by the run's ``splits.csv`` or the data; None for none."""
    if samples is not None and samples.groups is not None:
        return list(map(str, samples.groups))
    if splits is None or not (splits.groups != "").any():
        return None
    known = dict(zip(map(str, splits.paths), map(str, splits.groups), strict=True))
    return [known.get(path, "") for path in answers.paths]


def _tell_privacy(pictures: int, names: int) -> str:
    """Return what the page holds of the images, in one sentence or two."""
    if not pictures and not names:
        return "This page holds no picture and no file name of the images."
    held = [count_of(pictures, "picture")] if pictures else []
    held += [count_of(names, "file name")] if names else []
    lacks = "" if pictures and names else f" (no {'file name' if pictures else 'picture'})"
    return (
        f"This page holds {' and '.join(held)} of the images{lacks}. Whoever gets the page gets "
        "them: hand it on only where you may hand on the images."
    )
