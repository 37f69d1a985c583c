"""The files of an evaluation: report.json, predictions.csv and the confusion matrix."""

from __future__ import annotations

from pathlib import Path

from cnncli.arrays import Array
from cnncli.data.samples import Samples
from cnncli.errors import CnncliError
from cnncli.files import (
    CONFIG_FILE,
    PREDICTIONS_FILE,
    REPORT_FILE,
    expand_path,
    make_output_folder,
    open_csv_writer,
    protect_cell,
    run_dir_of,
    write_atomically,
)
from cnncli.run.mistakes import file_of
from cnncli.run.report import Report, save_report


def make_evaluation_folder(given: str, checkpoint: Path, *, is_of_run: bool) -> Path:
    """Make the folder of an evaluation. The report of a run is not written over by another.

    Args:
        given: The folder, as the user gave it.
        checkpoint: The checkpoint's file.
        is_of_run: Whether the images are those that the run's own report is of.

    Raises:
        CnncliError: If the folder is that of a run and would get a report that is not the run's
            own, or cannot be made.
    """
    folder = expand_path(given)
    if (folder / CONFIG_FILE).is_file():
        where = f"--output {given}: is the folder of a run"
        if not (folder / REPORT_FILE).is_file():
            raise CnncliError(f"{where} that has not finished; name another folder")
        if folder.resolve() != run_dir_of(checkpoint).resolve() or not is_of_run:
            raise CnncliError(f"{where}, whose report would be written over; name another folder")
    return make_output_folder(given)


def save_evaluation(
    folder: Path, report: Report, samples: Samples, probabilities: Array, *, csv_safe: bool
) -> None:
    """Write report.json, predictions.csv and the confusion matrix as CSV and picture."""
    from cnncli.plots.confusion_matrix import save_confusion_matrix

    names = list(samples.class_names)
    cells = [protect_cell(name) if csv_safe else name for name in names]

    def write_matrix(part: Path) -> None:
        with open_csv_writer(part) as writer:
            writer.writerow(("target", *cells))
            for name, counts in zip(cells, report["confusion_matrix"], strict=True):
                writer.writerow((name, *counts))

    save_report(folder / REPORT_FILE, report)
    save_predictions(folder / PREDICTIONS_FILE, samples, probabilities, csv_safe=csv_safe)
    write_atomically(folder / "confusion_matrix.csv", write_matrix)
    save_confusion_matrix(folder / "confusion_matrix.png", report["confusion_matrix"], names)


def save_predictions(
    path: Path, samples: Samples, probabilities: Array, *, csv_safe: bool = False
) -> None:
    """Write a row for each image: its path, class, predicted class and all probabilities.

    Args:
        path: The file to write.
        samples: The N images.
        probabilities: (N, K), rows sum to 1.
        csv_safe: Whether no cell may be a formula for a spreadsheet.
    """
    names = list(samples.class_names)
    cells = [protect_cell(name) if csv_safe else name for name in names]

    def write(part: Path) -> None:
        with open_csv_writer(part) as writer:
            header = ("path", "target", "label", "probability")
            # At the end: programs count the columns of probabilities from the left.
            writer.writerow((*header, *(f"probability_{name}" for name in names), "file"))
            rows = zip(samples.paths, samples.targets, probabilities, strict=True)
            for index, (name, target, row) in enumerate(rows):
                best = int(row.argmax())
                values = [f"{value:.6f}" for value in row]
                shown = protect_cell(str(name)) if csv_safe else name
                cell = cells[target], cells[best], values[best], *values
                writer.writerow((shown, *cell, file_of(samples, index)))

    write_atomically(path, write)
