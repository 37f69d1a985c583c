"""The figures of an evaluation with one answer for each group of images."""

from __future__ import annotations

from typing import Any

from cnncli.choices import Aggregate
from cnncli.errors import CnncliError, count_of
from cnncli.evaluation.by_group import combine_groups
from cnncli.evaluation.report import build_report
from cnncli.run.evaluation import Evaluation

# Keys of a report that say nothing more here.
_DROPPED = ("split", "images", "groups", "resampled", "class_names")


def add_by_group(evaluation: Evaluation, aggregate: Aggregate | None) -> None:
    """Add ``by_group`` to the report; where it is not wanted, say that it can be had.

    Args:
        evaluation: The images.
        aggregate: See `report_by_group`; None where it is not wanted.
    """
    groups, images = evaluation.report["groups"], evaluation.report["images"]
    if aggregate is not None:
        evaluation.report["by_group"] = report_by_group(evaluation, aggregate)
    elif groups:
        evaluation.reporter.note(
            f"{images:,} images in {count_of(groups, 'group')}: the intervals draw whole groups; "
            "--by group gives one answer for each"
        )


def report_by_group(evaluation: Evaluation, aggregate: Aggregate) -> dict[str, Any]:
    """Return the figures of an evaluation's groups, for the report's key ``by_group``.

    A group with several labels, such as a patient with two eyes of different grades, has no label
    and is left out.

    Args:
        evaluation: The images, with groups.
        aggregate: How the probabilities of a group's images are combined, see `combine_groups`.

    Raises:
        CnncliError: If there is one group only, or none has one label.
    """
    groups, reporter = evaluation.groups, evaluation.reporter
    assert groups is not None
    answers = combine_groups(
        evaluation.targets, evaluation.probabilities, groups, aggregate, evaluation.predictions
    )
    count = len(answers.targets)
    if count + answers.left_out < 2:
        raise CnncliError("--by group: the images judged are all of one group; it takes several")
    if not count:
        raise CnncliError(
            f"--by group: each of the {answers.left_out} groups has images of several classes, so "
            "that none has a label"
        )
    decision, predictions = evaluation.decision, answers.predictions
    if predictions is None and decision is not None:
        predictions = decision.label(answers.probabilities)
    report, undefined = build_report(
        answers.targets,
        answers.probabilities,
        evaluation.checkpoint.class_names,
        split=evaluation.split,
        ordered=evaluation.checkpoint.ordered,
        predictions=predictions,
    )
    for reason in undefined:
        reporter.note(f"undefined by group: {reason}")
    if answers.left_out:
        reporter.note(
            f"left out by group: {answers.left_out} of {count + answers.left_out} groups, whose "
            "images have several labels"
        )
    head = {"aggregate": aggregate, "groups": count, "left_out": answers.left_out}
    classes = [
        {"groups" if name == "images" else name: value for name, value in row.items()}
        for row in report["per_class"]
    ]
    kept = {name: value for name, value in report.items() if name not in _DROPPED}
    return head | kept | {"per_class": classes}
