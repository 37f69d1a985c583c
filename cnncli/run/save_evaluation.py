"""The files of an evaluation: report.json, predictions.csv and the confusion matrix."""

from __future__ import annotations

from pathlib import Path

from cnncli.arrays import Array
from cnncli.data.manifest import FOLD
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
    folder: Path,
    report: Report,
    samples: Samples,
    probabilities: Array,
    *,
    csv_safe: bool,
    predictions: Array | None = None,
    folds: Array | None = None,
) -> None:
    """Write predictions.csv, the confusion matrix as CSV and picture, and at last report.json.

    Args:
        folder: The folder, which exists.
        report: What report.json holds.
        samples: N images.
        probabilities: (N, K).
        csv_safe: Whether no cell of a CSV may be a formula for a spreadsheet.
        predictions: (N,) the classes that the images were given; None for the most probable.
        folds: (N,) fold of each image, the last column of predictions.csv; None leaves it out.
    """
    from cnncli.plots.confusion_matrix import save_confusion_matrix

    names = list(samples.class_names)
    labels = probabilities.argmax(axis=1) if predictions is None else predictions
    cells = [protect_cell(name) if csv_safe else name for name in names]

    def write_matrix(part: Path) -> None:
        with open_csv_writer(part) as writer:
            writer.writerow(("target", *cells))
            for name, counts in zip(cells, report["confusion_matrix"], strict=True):
                writer.writerow((name, *counts))

    save_predictions(
        folder / PREDICTIONS_FILE,
        samples,
        probabilities,
        csv_safe=csv_safe,
        predictions=labels,
        folds=folds,
    )
    write_atomically(folder / "confusion_matrix.csv", write_matrix)
    save_confusion_matrix(folder / "confusion_matrix.png", report["confusion_matrix"], names)
    save_report(folder / REPORT_FILE, report)  # it says that all else is there


def save_predictions(
    path: Path,
    samples: Samples,
    probabilities: Array,
    *,
    csv_safe: bool = False,
    predictions: Array | None = None,
    folds: Array | None = None,
) -> None:
    """Write a row for each image: its path, class, predicted class and all probabilities.

    Args:
        path: The file to write.
        samples: The N images.
        probabilities: (N, K), rows sum to 1.
        csv_safe: Whether no cell may be a formula for a spreadsheet.
        predictions: (N,) class numbers that a threshold gave; None for the most probable classes.
        folds: (N,) fold of each image, from 1; None leaves the column out.
    """
    names = list(samples.class_names)
    labels = probabilities.argmax(axis=1) if predictions is None else predictions
    cells = [protect_cell(name) if csv_safe else name for name in names]

    def write(part: Path) -> None:
        with open_csv_writer(part) as writer:
            header = ("path", "target", "label", "probability")
            # At the end: programs count the columns of probabilities from the left.
            last = ("file",) if folds is None else ("file", FOLD)
            # As in the cells, so that a label names its column.
            writer.writerow((*header, *(f"probability_{cell}" for cell in cells), *last))
            rows = zip(samples.paths, samples.targets, probabilities, labels, strict=True)
            for index, (name, target, row, best) in enumerate(rows):
                values = [f"{value:.6f}" for value in row]
                shown = protect_cell(str(name)) if csv_safe else name
                cell = cells[target], cells[best], values[best], *values
                fold = () if folds is None else (int(folds[index]),)
                writer.writerow((shown, *cell, file_of(samples, index), *fold))

    write_atomically(path, write)
