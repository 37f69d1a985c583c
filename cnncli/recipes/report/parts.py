"""Figures of parts of the images, by their files and by columns; and one answer for each group."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from cnncli.choices.subgroups import FILE_PROPERTIES, SubgroupColumn
from cnncli.errors import CnncliError
from cnncli.evaluation.report import explain_undefined
from cnncli.images.header import ImageError
from cnncli.page.sections import GroupFigures, PartsTable, parts_table, tell_aggregate
from cnncli.page.tables import figure_rows
from cnncli.recipes.report.material import Material
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


def list_parts(material: Material, end: float | None) -> tuple[list[PartsTable], str]:
    """Return the figures by property of the files and by column, and why some are missing.

    Those that ``report.json`` has are shown as they stand there.

    Args:
        material: The run, its images and its figures.
        end: When the page has to be there, by ``time.monotonic``; None for no haste.
    """
    report: dict[str, Any] = material.report or {}
    kept = report.get("subgroups") or []
    known = {row["by"] for row in kept if row["of"] == "file"}
    asked = [SubgroupColumn(name, True) for name in FILE_PROPERTIES if name not in known]
    if end is not None and _is_too_slow(material, end):
        return [parts_table(row) for row in kept], _NO_TIME
    found, missing = _divide(material, asked)
    return [parts_table(row) for row in (*found, *kept)], missing


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


def _divide(material: Material, asked: list[SubgroupColumn]) -> tuple[list[dict[str, Any]], str]:
    answers = material.answers
    if not asked:
        return [], ""
    if answers is None or answers.samples is None:
        return [], "The files cannot be read, so that their formats and sizes are not known."
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
    try:
        add_subgroups(evaluation, asked)
    except (ImageError, OSError) as error:
        return [], f"A file cannot be read any more: {type(error).__name__}."
    except CnncliError as error:
        return [], str(error)
    return evaluation.report["subgroups"], ""


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
