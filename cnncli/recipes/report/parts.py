"""Figures of parts of the images, by their files and by columns; and one answer for each group."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnncli.choices.subgroups import FILE_PROPERTIES, SubgroupColumn
from cnncli.errors import CnncliError
from cnncli.evaluation.report import explain_undefined
from cnncli.images.header import ImageError
from cnncli.page.sections import GroupFigures, PartsTable, parts_table, tell_aggregate
from cnncli.page.tables import figure_rows
from cnncli.recipes.report.material import Material
from cnncli.recipes.report.settings import ReportSettings
from cnncli.reporting import SilentReporter
from cnncli.run.by_group import figures_by_group
from cnncli.run.draw_sample import draw_sample
from cnncli.run.evaluation import Evaluation
from cnncli.run.report import summary_rows
from cnncli.run.subgroups import add_subgroups
from cnncli.training.distributed import ALONE

# Of the time that is left for the page, what reading the files may take.
_SHARE = 0.3
_TRIED = 5  # images by which it is estimated how long reading all takes
_NO_TIME = (
    "There was no time to read the files at the end of the run; cnncli report makes the page anew, "
    "with their formats, sizes and brightness."
)


def list_parts(material: Material, settings: ReportSettings) -> tuple[list[PartsTable], str]:
    """Return the figures by property of the files and by column, and why some are missing.

    Those that ``report.json`` has are shown as they stand there.

    Args:
        material: The run, its images and its figures.
        settings: What to divide them by besides their files, and until when.

    Raises:
        CnncliError: If a column that was asked for does not divide the images.
    """
    report: dict[str, Any] = material.report or {}
    wanted = _divide(material, settings.subgroups)
    done = {(row["by"], row["of"]) for row in wanted}
    kept = [row for row in report.get("subgroups") or [] if (row["by"], row["of"]) not in done]
    done |= {(row["by"], row["of"]) for row in kept}
    asked = [SubgroupColumn(name, True) for name in FILE_PROPERTIES if (name, "file") not in done]
    found, missing = [], ""
    if settings.in_haste and _is_too_slow(material, settings.end):
        missing = _NO_TIME
    elif material.answers is None or material.answers.samples is None:
        missing = "The files cannot be read, so that their formats and sizes are not known."
    else:
        try:
            found = _divide(material, asked)
        except (ImageError, OSError) as error:
            missing = f"A file cannot be read any more: {type(error).__name__}."
    return [parts_table(row) for row in (*found, *kept, *wanted)], missing


def _is_too_slow(material: Material, end: float) -> bool:
    """Return whether reading all files would take too much of the time that is left."""
    samples = None if material.answers is None else material.answers.samples
    if samples is None:
        return False
    begun = time.monotonic()
    tried = np.linspace(0, len(samples) - 1, min(_TRIED, len(samples))).astype(int).tolist()
    for index in tried:
        try:
            draw_sample(samples, index, material.checkpoint.preprocess)
        except (ImageError, OSError):
            continue
        if time.monotonic() >= end:
            return True
    each = (time.monotonic() - begun) / len(tried)
    return each * len(samples) > _SHARE * (end - time.monotonic())


def _divide(material: Material, asked: Sequence[SubgroupColumn]) -> list[dict[str, Any]]:
    """Return the figures of each part of the images that are there, as ``report.json`` has them."""
    answers = material.answers
    if not asked or answers is None or answers.samples is None:
        return []
    evaluation = Evaluation(
        path=material.path,
        checkpoint=material.checkpoint,
        samples=answers.samples,
        targets=answers.targets,
        raw=answers.probabilities,
        decision=None,
        split=answers.split,
        precision="fp32",
        folder=None,
        reporter=SilentReporter(),
        world=ALONE,
    )
    add_subgroups(evaluation, asked, answers.brightness)
    found: list[dict[str, Any]] = evaluation.report["subgroups"]
    return found


def describe_groups(material: Material) -> GroupFigures | None:
    """Return the figures with one answer for each group; None where there are no groups."""
    answers = material.answers
    by_group = (material.report or {}).get("by_group")
    numbers = None if answers is None else answers.group_numbers
    undefined: list[str] = []
    if by_group is None and (answers is None or numbers is None):
        return None
    try:
        if by_group is None and answers is not None and numbers is not None:
            by_group, undefined = figures_by_group(
                answers.targets,
                answers.probabilities,
                numbers,
                material.checkpoint,
                split=answers.split,
            )
    except CnncliError as error:
        return GroupFigures(undefined=[str(error).removeprefix("--by group: ")])
    assert by_group is not None
    rows = figure_rows(by_group, summary_rows(by_group), of="groups")
    return GroupFigures(
        tell_aggregate(by_group), rows, undefined or explain_undefined(by_group, "group")
    )
