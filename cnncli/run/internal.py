"""The run's own test figures beside those on images from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cnncli.errors import CnncliError, shorten
from cnncli.evaluation.report import FIGURES
from cnncli.files import REPORT_FILE
from cnncli.run.evaluation import Evaluation
from cnncli.run.other_ways import find_other_ways
from cnncli.run.read_folder import read_report

# Splits of which no image was trained or chosen on.
_UNSEEN = ("test", "out of fold")
# A difference of a class's share of the images from which it is told.
_SHARE = 0.1


def add_internal(evaluation: Evaluation) -> None:
    """Add ``internal`` to the report of new images: the figures of the run's own test split.

    Nothing is added where the images are the run's own, or where the run has no report of images
    that it never saw.

    Args:
        evaluation: The images, with their report.
    """
    report, reporter = evaluation.report, evaluation.reporter
    if report["split"] != "new images":
        return
    try:
        own = read_report(evaluation.run_dir / REPORT_FILE)
    except CnncliError as error:
        reporter.warn(f"no internal figures: {error}")
        return
    if own is None:
        return
    if own["split"] not in _UNSEEN:
        reporter.note(
            f"no internal figures beside these: the run was judged on {own['split']}, where "
            "figures are too good"
        )
        return
    known = ("split", "images", "groups", "resampled", *FIGURES)
    report["internal"] = {name: own[name] for name in known if name in own} | {
        "per_class": [
            {"class_name": row["class_name"], "images": row["images"]}
            for row in own.get("per_class", ())
        ]
    }
    if other := find_other_ways(own, report, are_of_one_run=True):
        reporter.warn(
            f"the run's report was made with another {' and '.join(other)} than this one: internal "
            f"and external figures differ by that too; evaluate --checkpoint {evaluation.run_dir} "
            f"--output {evaluation.run_dir}, with the same flags, writes it anew"
        )
    for text in tell_classes(report["internal"]["per_class"], report["per_class"]):
        reporter.note(text)


def tell_classes(
    internal: Sequence[Mapping[str, Any]], external: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return sentences on classes that are missing outside, or that are more or less frequent.

    Args:
        internal: For each class its ``class_name`` and number of ``images``.
        external: The same of the other images, in any order.
    """
    own = {str(row["class_name"]): int(row["images"]) for row in internal}
    other = {str(row["class_name"]): int(row["images"]) for row in external}
    told = []
    missing = [name for name in own if own[name] and not other.get(name)]
    if missing:
        told.append(
            f"external: no image of {shorten(missing)}: averages over classes are of the others "
            "alone, and do not compare with the internal ones"
        )
    totals = max(1, sum(own.values())), max(1, sum(other.values()))
    shares = {name: (own[name] / totals[0], other.get(name, 0) / totals[1]) for name in own}
    moved = {n: s for n, s in shares.items() if n not in missing and abs(s[0] - s[1]) >= _SHARE}
    if moved:
        texts = [
            f"{name} {100 * one:.0f} % inside, {100 * two:.0f} % outside"
            for name, (one, two) in moved.items()
        ]
        # Of more classes, these two figures depend on how many of the others are of which class.
        steady = "recall, specificity and AUROC do" if len(own) == 2 else "recall does"
        told.append(
            f"class frequencies differ ({shorten(texts, 3)}): accuracy, precision and average "
            f"precision change with that alone; {steady} not"
        )
    return told
