"""Write the page of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cnncli.choices import SPLITS
from cnncli.errors import CnncliError, count_of
from cnncli.evaluation.intervals import Units
from cnncli.evaluation.reliability import reliability_bins
from cnncli.evaluation.report import explain_undefined
from cnncli.files import (
    OUT_OF_FOLD,
    PREDICTIONS_FILE,
    REPORT_FILE,
    REPORT_PAGE,
    check_output_file,
    run_dir_of,
    write_atomically,
)
from cnncli.page.charts import calibration_chart, ranking_charts
from cnncli.page.judged import (
    choose_listed,
    to_json,
)
from cnncli.page.render import Content, render_page
from cnncli.page.tables import (
    MOST_CELLS,
    confused_pairs,
    figure_rows,
    group_rows,
    interval_note,
    per_class_rows,
)
from cnncli.recipes.report.answers import Answers
from cnncli.recipes.report.data_check import describe_check
from cnncli.recipes.report.facts import (
    describe_flow,
    describe_layers,
    describe_run,
    hide_paths,
    list_commands,
)
from cnncli.recipes.report.flags import flag_images, tell_flags
from cnncli.recipes.report.folds import draw_learning, list_folds_of
from cnncli.recipes.report.full_check import Check
from cnncli.recipes.report.images import draw_images, name_images
from cnncli.recipes.report.judging import HEAT_MAPS, judge_material
from cnncli.recipes.report.material import CURVES, Material, find_material
from cnncli.recipes.report.parts import describe_groups, list_parts
from cnncli.recipes.report.settings import ReportSettings
from cnncli.reporting import Reporter
from cnncli.run.report import Report, summary_rows

# A larger page is told: it may be too large for a mail.
_BUDGET = 5_000_000
# Of it, what the page needs besides the images: charts, tables, style and script.
_BESIDES = 600_000
_NO_TIME = "there was no time for them; cnncli report makes the page anew, with them"


def write_report(settings: ReportSettings, reporter: Reporter, check: Check | None = None) -> Path:
    """Write the page of a run, and return its path.

    Args:
        settings: What to write.
        reporter: Gets remarks, warnings and progress.
        check: What ``check-data`` does; None goes by what the run has kept of its own check.

    Raises:
        CnncliError: If there is no such run, if images that are named cannot be judged, or if the
            page cannot be written.
    """
    material = find_material(settings.run, reporter)
    output = settings.output or _choose_output(settings, material)
    judge_material(material, settings, reporter)
    material.data = describe_check(
        run_dir_of(material.files[0]),
        with_names=settings.with_names,
        check=check,
        reporter=reporter,
    )
    write_page(settings, material, output, reporter)
    return output


def write_page(
    settings: ReportSettings, material: Material, output: Path, reporter: Reporter
) -> None:
    """Write the page of a run whose images are judged, and say in a line what it holds.

    Args:
        settings: What to write.
        material: The run, its images and its figures.
        output: The file.
        reporter: Gets remarks, warnings and progress.

    Raises:
        CnncliError: If it cannot be written.
    """
    content = _gather(settings, material)
    if material.answers is not None:
        content = _add_images(content, settings, material, material.answers, reporter)
    page = render_page(content).encode("utf-8", "replace")
    write_atomically(output, lambda part: part.write_bytes(page))
    size = f"{len(page) / 1e6:.1f} MB" if len(page) >= 1e5 else f"{len(page) / 1e3:.0f} kB"
    reporter.note(f"{output}: {size}. {content.privacy}")
    if len(page) > _BUDGET:
        reporter.warn(
            f"the page is larger than {_BUDGET / 1e6:.0f} MB; fewer --images make it smaller"
        )


def _choose_output(settings: ReportSettings, material: Material) -> Path:
    """Return where the page of a checkpoint goes: into its folder, if it is of the run's images.

    Raises:
        CnncliError: If the page is of other images, or nothing can be written there.
    """
    if not settings.is_own:
        given = "--split" if settings.data is None else "--data"
        raise CnncliError(
            f"{given}: the page in the run's folder is of the images of {REPORT_FILE}; name "
            "another file with --output FILE.html"
        )
    path = material.path
    page = path.parent / REPORT_PAGE if material.is_best else path.with_suffix(".html")
    return check_output_file(str(page))


def _gather(settings: ReportSettings, material: Material) -> Content:
    """Return all of the page that needs no probabilities."""
    record, report = material.record, material.report or {}
    network, layers = describe_layers(
        material.network, material.checkpoint, in_haste=settings.in_haste
    )
    matrix = report.get("confusion_matrix")
    named = settings.with_names
    what = "cross-validation" if material.has_folds else "run"
    parts, lacking = list_parts(material, settings)
    return Content(
        title=f"Report of {what} {record.path.resolve().name}, {_describe_images(report)}",
        privacy=_tell_privacy(0, 0),
        facts=[
            *describe_run(
                record,
                material.files,
                material.checkpoint,
                with_names=named,
                has_other_splits=material.has_other_splits,
            ),
            *([("images judged", settings.data)] if settings.data and named else []),
        ],
        commands=list_commands(record, with_names=named),
        # Each fold has checked the same images; their splits are its own.
        data=material.data or describe_check(run_dir_of(material.files[0]), with_names=named),
        flow=describe_flow(record.path, material.splits, is_lost=material.has_other_splits),
        warnings=_list_warnings(material, with_names=named),
        missing=material.missing if named else [_hide_paths_of(text) for text in material.missing],
        figures=figure_rows(report, summary_rows(report)) if report else [],
        interval_note=interval_note(report),
        undefined=material.undefined or explain_undefined(report),
        class_names=list(material.checkpoint.class_names),
        matrix=matrix,
        pairs=confused_pairs(matrix) if matrix and len(matrix) ** 2 > MOST_CELLS else None,
        per_class=per_class_rows(report.get("per_class", [])),
        learning=draw_learning(material),
        folds=list_folds_of(material),
        settings=record.settings if named else hide_paths(record.settings),
        by_group=describe_groups(material),
        parts=parts,
        parts_missing=lacking,
        layers=layers,
        network=network,
    )


def _describe_images(report: Report) -> str:
    """Return how many images of which split a report is of: ``12 test images``."""
    if not report:
        return "not finished"
    split, count = str(report.get("split", "")), int(report["images"])
    if split == OUT_OF_FOLD:
        return f"{count_of(count, 'image')} {split}"
    if split not in SPLITS:  # such as all (partly trained on)
        return f"{count_of(count, 'image')}: {split}"
    return count_of(count, f"{split} image")


def _list_warnings(material: Material, *, with_names: bool) -> list[str]:
    """Return what may spoil the figures, as the page says it."""
    split = str((material.report or {}).get("split", ""))
    found = list(material.warnings)
    if "(" in split:
        found.append(
            f"the images judged are {split}: figures of images that the run was trained or chosen "
            "on are better than those of new images"
        )
    told = material.heard if with_names else []
    if len(material.heard) > len(told):
        found.append(
            f"{count_of(len(material.heard), 'warning')} that may name files, left out by "
            "--no-names; cnncli evaluate prints them"
        )
    return [*found, *told]


def _hide_paths_of(text: str) -> str:
    """Return what is missing, without why where the reason may name files."""
    if text.startswith((f"{PREDICTIONS_FILE}: ", HEAT_MAPS, "pictures: ", "images, ", *CURVES)):
        return text
    return text.split(":")[0] if "cannot be judged" in text else "a file of the run is damaged"


def _add_images(
    content: Content,
    settings: ReportSettings,
    material: Material,
    answers: Answers,
    reporter: Reporter,
) -> Content:
    """Return the page with what the probabilities of its images show."""
    targets, probabilities = answers.targets, answers.probabilities
    point = material.point
    judged = name_images(settings, answers)
    splits = None if settings.data is not None else material.splits
    judged = replace(judged, flags=flag_images(answers, splits, with_names=settings.with_names))
    stored = (point.threshold, point.abstain) if point is not None else ()
    judged = replace(judged, least=min([judged.least, *filter(None, stored)]))
    listed = choose_listed(judged)
    room = _BUDGET - _BESIDES - len(to_json(judged, listed))
    judged, lacks = draw_images(judged, listed, room, settings, material, reporter)
    units = Units(answers.group_numbers)
    bins = reliability_bins(targets, probabilities, units)
    wrong = answers.predicted != targets
    groups, note = ([], "") if judged.groups is None else group_rows(judged.groups, wrong)
    names = len(listed) if settings.with_names else 0
    return replace(
        content,
        privacy=_tell_privacy(len(judged.pictures), names),
        missing=[*content.missing, *(f"{what}: {_NO_TIME}" for what in lacks)],
        judged=to_json(judged, listed),
        point=point,
        with_heat=bool(judged.heat),
        flagged=tell_flags(judged.flags),
        not_listed=len(judged) - len(listed),
        ranking=ranking_charts(
            targets,
            probabilities,
            answers.class_names,
            material.report or {"per_class": []},
            units,
        ),
        calibration=calibration_chart(bins),
        bins=bins,
        groups=groups,
        group_note=note,
    )


def _tell_privacy(pictures: int, names: int) -> str:
    """Return what the page holds of the images, in one sentence or two."""
    if not pictures and not names:
        return "This page holds no picture and no file name of the images."
    held = [count_of(pictures, "picture")] if pictures else []
    held += [count_of(names, "file name")] if names else []
    lacks = "" if pictures and names else f" (no {'file name' if pictures else 'picture'})"
    return (
        f"This page holds {' and '.join(held)} of the images{lacks}. Anyone with this file can "
        "see them. Share it only if you may share the images."
    )
