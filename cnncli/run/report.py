"""The report of a split, as train and evaluate write and show it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.data.manifest import Manifest, load_manifest
from cnncli.data.split_file import SplitFile
from cnncli.errors import count_of
from cnncli.evaluation.report import FIGURES, OF_GRADES, build_report, figure_value
from cnncli.files import REPORT_FILE, SPLITS_FILE, write_atomically
from cnncli.images.preprocess import Preprocess
from cnncli.reporting import Reporter
from cnncli.training.checkpoint import Checkpoint

Report = dict[str, Any]

# Figures that a table leaves out: MCC says nearly the same, and JSON has them.
_NOT_IN_TABLES = ("kappa",)
# What is said of a splits.csv that is not the run's any more.
WAS_EDITED = (
    "was edited after the run: it decides which images count as trained on, so the result may be "
    "of images that were"
)


def evaluation_batch(preprocess: Preprocess) -> int:
    """Return the batch size of an evaluation: 64 up to 224×224 pixels, less for larger images.

    The last digits of a probability depend on it, so ``train`` and ``evaluate`` use the same.
    """
    return max(1, min(64, 64 * 224 * 224 // (preprocess.height * preprocess.width)))


def report_split(
    targets: Array,
    probabilities: Array,
    checkpoint: Checkpoint,
    *,
    split: str,
    reporter: Reporter,
    predictions: Array | None = None,
    groups: Array | None = None,
) -> Report:
    """Return the report of a split, and report each metric that is undefined and why.

    Args:
        targets: Class numbers (N,) of the images.
        probabilities: (N, K).
        checkpoint: The classifier that gave the probabilities.
        split: The split's name in the report.
        reporter: Gets a line for each undefined metric.
        predictions: (N,) class numbers that a threshold gave; None for the most probable classes.
        groups: (N,) names or numbers of the images' groups; None if there are none.
    """
    report, undefined = build_report(
        targets,
        probabilities,
        checkpoint.class_names,
        split=split,
        ordered=checkpoint.ordered,
        predictions=predictions,
        groups=None if groups is None else np.unique(groups, return_inverse=True)[1],
    )
    for reason in undefined:
        reporter.note(reason)
    return report


def record_splits(report: Report, run_dir: Path) -> None:
    """Keep in a report what the run's ``splits.csv`` says, for `warn_of_edited_splits`."""
    manifest = load_manifest(run_dir / SPLITS_FILE)
    if manifest is not None:
        report["splits_hash"] = manifest.digest()


def warn_of_edited_splits(run_dir: Path, manifest: Manifest, reporter: Reporter) -> None:
    """Warn if the ``splits.csv`` of a finished run is not what it was at the end of the run."""
    try:
        report = json.loads((run_dir / REPORT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if isinstance(report, dict) and has_other_splits(report, manifest):
        reporter.warn(f"{run_dir / SPLITS_FILE} {WAS_EDITED}")


def has_other_splits(report: Mapping[str, Any] | None, splits: Manifest | SplitFile) -> bool:
    """Return whether a ``splits.csv`` is not what it was when a report was written."""
    known = (report or {}).get("splits_hash")
    return known is not None and known != splits.digest()


def report_precision(precision: str, asked: str | None, reporter: Reporter) -> None:
    """Report the precision that is used, if the user asked for one."""
    if asked is not None:
        reporter.note(f"--precision {asked}: computed in {precision}")


def save_report(path: Path, report: Report) -> None:
    """Write a report as JSON, in the form in which ``evaluate --format json`` prints it."""

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8") as file:
            # In pieces: the whole text takes gigabytes where there are thousands of classes.
            encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, indent=2)
            file.writelines(encoder.iterencode(report))
            file.write("\n")

    write_atomically(path, write)


def tell_images(report: Report) -> str:
    """Return what a report is of: ``test, 135 images in 43 groups``."""
    told = f"{report['split']}, {count_of(report['images'], 'image')}"
    return told if report["groups"] is None else f"{told} in {count_of(report['groups'], 'group')}"


def summary_rows(report: Mapping[str, Any]) -> list[dict[str, object]]:
    """Return the report's figures as rows of a table: name, value, and 95 % interval if any.

    Those of grades are left out where the classes are none; where they are undefined for grades, a
    line on stderr says so.
    """
    rows: list[dict[str, object]] = []
    for name in FIGURES:
        figure = report.get(name)
        if name in _NOT_IN_TABLES or (name in OF_GRADES and figure is None):
            continue
        ends = figure if isinstance(figure, Mapping) else {}
        bounds = {end: ends.get(end) for end in ("low", "high")}
        rows.append({"metric": name, "value": figure_value(figure), **bounds})
    return rows
