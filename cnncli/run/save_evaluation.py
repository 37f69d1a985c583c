"""The files of an evaluation: report.json, predictions.csv and the confusion matrix."""

from __future__ import annotations

from pathlib import Path

from cnncli.arrays import Array
from cnncli.data.samples import Samples
from cnncli.files import (
    PREDICTIONS_FILE,
    REPORT_FILE,
    open_csv_writer,
    protect_cell,
    write_atomically,
)
from cnncli.run.mistakes import file_of
from cnncli.run.report import Report, save_report


def save_evaluation(
    folder: Path, report: Report, samples: Samples, probabilities: Array, *, csv_safe: bool
) -> None:
    """Write report.json, predictions.csv and the confusion matrix as CSV and picture."""
    from cnncli.plots.confusion_matrix import save_confusion_matrix

    names = list(samples.class_names)
    cells = [protect_cell(name) if csv_safe else name for name in names]

    def write_predictions(part: Path) -> None:
        with open_csv_writer(part) as writer:
            header = ("path", "target", "label", "probability")
            # At the end: programs count the columns of probabilities from the left.
            writer.writerow((*header, *(f"probability_{name}" for name in names), "file"))
            rows = zip(samples.paths, samples.targets, probabilities, strict=True)
            for index, (path, target, row) in enumerate(rows):
                best = int(row.argmax())
                values = [f"{value:.6f}" for value in row]
                shown = protect_cell(str(path)) if csv_safe else path
                cell = cells[target], cells[best], values[best], *values
                writer.writerow((shown, *cell, file_of(samples, index)))

    def write_matrix(part: Path) -> None:
        with open_csv_writer(part) as writer:
            writer.writerow(("target", *cells))
            for name, counts in zip(cells, report["confusion_matrix"], strict=True):
                writer.writerow((name, *counts))

    save_report(folder / REPORT_FILE, report)
    write_atomically(folder / PREDICTIONS_FILE, write_predictions)
    write_atomically(folder / "confusion_matrix.csv", write_matrix)
    save_confusion_matrix(folder / "confusion_matrix.png", report["confusion_matrix"], names)
