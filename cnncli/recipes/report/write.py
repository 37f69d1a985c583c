"""Write the page of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import SPLITS
from cnncli.errors import CnncliError, count_of
from cnncli.evaluation.intervals import Units
from cnncli.evaluation.reliability import reliability_bins
from cnncli.evaluation.report import explain_undefined
from cnncli.files import (
    BEST_FILE,
    PREDICTIONS_FILE,
    REPORT_FILE,
    REPORT_PAGE,
    check_output_file,
    write_atomically,
)
from cnncli.page.charts import calibration_chart, learning_charts, ranking_charts
from cnncli.page.judged import (
    Judged,
    choose_featured,
    choose_listed,
    common_root,
    order_of_interest,
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
from cnncli.recipes.report.heat import draw_heat
from cnncli.recipes.report.material import Material, find_material, judge_material
from cnncli.recipes.report.parts import describe_groups, list_parts
from cnncli.recipes.report.pictures import draw_pictures
from cnncli.recipes.report.settings import ReportSettings
from cnncli.reporting import Reporter
from cnncli.run.report import Report, summary_rows

# A larger page is told: it may be too large for a mail.
_BUDGET = 5_000_000
# Of it, what the page needs besides the images: charts, tables, style and script.
_BESIDES = 600_000


def write_report(settings: ReportSettings, reporter: Reporter) -> Path:
    """Write the page of a run, and return its path.

    Args:
        settings: What to write.
        reporter: Gets remarks, warnings and progress.

    Raises:
        CnncliError: If there is no such run, if images that are named cannot be judged, or if the
            page cannot be written.
    """
    material = find_material(settings, reporter)
    output = settings.output or _choose_output(settings, material.path)
    judge_material(material, settings, reporter)
    content = _gather(settings, material)
    if material.answers is not None:
        content = _add_images(content, settings, material, material.answers, reporter)
    page = render_page(content).encode("utf-8", "replace")
    write_atomically(output, lambda part: part.write_bytes(page))
    size = f"{len(page) / 1e6:.1f} MB" if len(page) >= 1e5 else f"{len(page) / 1e3:.0f} kB"
    reporter.note(f"{output.name}: {size}. {content.privacy}")
    if len(page) > _BUDGET:
        reporter.warn(
            f"the page is larger than {_BUDGET / 1e6:.0f} MB; fewer --images make it smaller"
        )
    return output


def _choose_output(settings: ReportSettings, path: Path) -> Path:
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
    is_best = path.name == BEST_FILE
    return check_output_file(
        str(path.parent / REPORT_PAGE if is_best else path.with_suffix(".html"))
    )


def _gather(settings: ReportSettings, material: Material) -> Content:
    """Return all of the page that needs no probabilities."""
    record, report = material.record, material.report or {}
    network, layers = describe_layers(material.network, material.checkpoint)
    matrix = report.get("confusion_matrix")
    named = settings.with_names
    parts, lacking = list_parts(material)
    return Content(
        title=f"Report of run {record.path.resolve().name}, {_describe_images(report)}",
        privacy=_tell_privacy(0, 0),
        facts=describe_run(record, material.path, material.checkpoint, with_names=named),
        commands=list_commands(record, with_names=named),
        data=describe_check(record.path, with_names=named),
        flow=describe_flow(record.path, material.splits),
        warnings=_list_warnings(material, with_names=named),
        missing=material.missing if named else [_hide_paths_of(text) for text in material.missing],
        figures=figure_rows(report, summary_rows(report)) if report else [],
        interval_note=interval_note(report),
        undefined=material.undefined or explain_undefined(report),
        class_names=list(material.checkpoint.class_names),
        matrix=matrix,
        pairs=confused_pairs(matrix) if matrix and len(matrix) ** 2 > MOST_CELLS else None,
        per_class=per_class_rows(report.get("per_class", [])),
        learning=learning_charts(
            record.history,
            material.checkpoint.epoch or None,
            one_rate=all(
                record.settings.get(key) is None for key in ("lr_backbone", "layer_decay")
            ),
        ),
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
    if text.startswith(f"{PREDICTIONS_FILE}: "):
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
    judged = _name_images(settings, answers)
    stored = (point.threshold, point.abstain) if point is not None else ()
    judged = replace(judged, least=min([judged.least, *filter(None, stored)]))
    listed = choose_listed(judged)
    room = _BUDGET - _BESIDES - len(to_json(judged, listed))
    judged = _draw_images(judged, listed, room, settings, material, reporter)
    units = Units(answers.group_numbers)
    bins = reliability_bins(targets, probabilities, units)
    wrong = answers.predicted != targets
    groups, note = ([], "") if judged.groups is None else group_rows(judged.groups, wrong)
    names = len(listed) if settings.with_names else 0
    return replace(
        content,
        privacy=_tell_privacy(len(judged.pictures), names),
        judged=to_json(judged, listed),
        point=point,
        with_heat=bool(judged.heat),
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


def _name_images(settings: ReportSettings, answers: Answers) -> Judged:
    """Return the images with their names, or with numbers in the place of these."""
    groups = answers.groups
    names, root = list(answers.paths), common_root(answers.files, answers.paths)
    if not settings.with_names:
        names, root = [f"image {number + 1}" for number in range(len(names))], None
        number = {name: str(place + 1) for place, name in enumerate(dict.fromkeys(groups or ()))}
        groups = None if groups is None else [number[name] for name in groups]
    return Judged(
        names=names,
        root=root,
        targets=answers.targets,
        probabilities=answers.probabilities,
        class_names=answers.class_names,
        predicted=answers.predicted,
        groups=groups,
    )


def _draw_images(
    judged: Judged,
    listed: Array,
    room: int,
    settings: ReportSettings,
    material: Material,
    reporter: Reporter,
) -> Judged:
    """Return the images with pictures and heat maps, where the page has any."""
    samples = None if material.answers is None else material.answers.samples
    if samples is None or not settings.with_images:
        return judged
    order = order_of_interest(judged.targets, judged.probabilities)
    order = order[np.isin(order, listed)]
    chosen = choose_featured(judged.targets, judged.probabilities)
    if settings.images is not None:
        chosen = [index for index in chosen if index in set(order[: settings.images].tolist())]
    heat, told = draw_heat(material.network, material.checkpoint, samples, chosen, reporter)
    room -= sum(map(len, heat.values()))
    preprocess = material.checkpoint.preprocess
    pictures = draw_pictures(samples, order, preprocess, reporter, most=settings.images, room=room)
    return replace(judged, pictures=pictures, heat=heat, told=told)


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
