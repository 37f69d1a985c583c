"""The figures of an evaluation with one answer for each group of images."""

from __future__ import annotations

from typing import Any

from cnncli.arrays import Array
from cnncli.choices import Aggregate
from cnncli.errors import CnncliError, count_of
from cnncli.evaluation.by_group import combine_groups
from cnncli.evaluation.report import build_report
from cnncli.run.decision import Decision
from cnncli.run.evaluation import Evaluation
from cnncli.training.checkpoint import Checkpoint

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
    found, undefined = figures_by_group(
        evaluation.targets,
        evaluation.probabilities,
        groups,
        evaluation.checkpoint,
        split=evaluation.split,
        aggregate=aggregate,
        predictions=evaluation.predictions,
        decision=evaluation.decision,
    )
    for reason in undefined:
        reporter.note(f"undefined by group: {reason}")
    if found["left_out"]:
        reporter.note(
            f"left out by group: {found['left_out']} of {found['groups'] + found['left_out']} "
            "groups, whose images have several labels"
        )
    return found


def figures_by_group(
    targets: Array,
    probabilities: Array,
    groups: Array,
    checkpoint: Checkpoint,
    *,
    split: str,
    aggregate: Aggregate = "mean",
    predictions: Array | None = None,
    decision: Decision | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Return the figures of groups, for the report's key ``by_group``, and why some are undefined.

    Args:
        targets: (N,) class numbers.
        probabilities: (N, K).
        groups: (N,) number of each image's group, from 0 without a gap.
        checkpoint: The classifier.
        split: What the images are called.
        aggregate: How the probabilities of a group's images are combined, see `combine_groups`.
        predictions: (N,) class numbers that vote; None for the most probable ones.
        decision: What labels a group by its probabilities; None takes the most probable class.

    Raises:
        CnncliError: If there is one group only, or none has one label.
    """
    answers = combine_groups(targets, probabilities, groups, aggregate, predictions)
    count = len(answers.targets)
    if count + answers.left_out < 2:
        raise CnncliError("--by group: the images judged are all of one group; it takes several")
    if not count:
        raise CnncliError(
            f"--by group: each of the {answers.left_out} groups has images of several classes, so "
            "that none has a label"
        )
    labels = answers.predictions
    if labels is None and decision is not None:
        labels = decision.label(answers.probabilities)
    report, undefined = build_report(
        answers.targets,
        answers.probabilities,
        checkpoint.class_names,
        split=split,
        ordered=checkpoint.ordered,
        predictions=labels,
    )
    head = {"aggregate": aggregate, "groups": count, "left_out": answers.left_out}
    classes = [
        {"groups" if name == "images" else name: value for name, value in row.items()}
        for row in report["per_class"]
    ]
    kept = {name: value for name, value in report.items() if name not in _DROPPED}
    return head | kept | {"per_class": classes}, undefined
