"""The job of ``suspect-labels``: images whose labels look wrong to networks that never saw them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cnncli.data.find_samples import find_samples
from cnncli.data.samples import CsvColumns
from cnncli.errors import CnncliError, count_of
from cnncli.evaluation.suspects import (
    Suspects,
    find_suspects,
    find_unknown_classes,
    is_no_better_than_one_class,
)
from cnncli.files import BEST_FILE
from cnncli.reporting import Reporter
from cnncli.run.mistakes import DRAWN, LabelledImage, draw_images
from cnncli.run.out_of_fold import OutOfFold, load_out_of_fold
from cnncli.run.samples import data_of_run
from cnncli.training.checkpoint import load_checkpoint
from cnncli.training.find_run import list_folds

COLUMNS = ("path", "given", "proposed", "margin", "probability_given", "probability_proposed")


def list_suspects(
    folder: Path, reporter: Reporter, *, sheet: Path | None = None
) -> list[dict[str, object]]:
    """Return the images whose labels look wrong, the worst first.

    Args:
        folder: The folder of a finished cross-validation.
        reporter: Is told how many there are, and where the networks are too weak to say.
        sheet: File in which the worst are drawn; None draws none.

    Returns:
        Rows with the keys ``COLUMNS``.

    Raises:
        CnncliError: If the folder's files are not those of a cross-validation, or if images are to
            be drawn and are not in their place.
    """
    found = load_out_of_fold(folder)
    suspects = find_suspects(found.targets, found.probabilities)
    names, rows = found.class_names, []
    for index, proposed, margin in zip(
        suspects.indices.tolist(), suspects.proposed.tolist(), suspects.margins, strict=True
    ):
        given, of = int(found.targets[index]), found.probabilities[index]
        rows.append(
            {
                "path": found.paths[index],
                "given": names[given],
                "proposed": names[proposed],
                "margin": round(float(margin), 6),
                "probability_given": round(float(of[given]), 6),
                "probability_proposed": round(float(of[proposed]), 6),
            }
        )
    right = float((found.probabilities.argmax(axis=1) == found.targets).mean())
    looks = "looks" if len(rows) == 1 else "look"
    reporter.note(
        f"{count_of(len(rows), 'label')} of {len(found.paths):,} {looks} wrong; the networks are "
        f"right on {right:.4f} of the images that they did not see"
    )
    _warn_of_weakness(found, right, reporter)
    if sheet is not None:
        _draw(sheet, found, suspects, reporter)
    return rows


def _warn_of_weakness(found: OutOfFold, right: float, reporter: Reporter) -> None:
    """Say where the networks know too little for their doubts to mean anything."""
    names = found.class_names
    counts = np.bincount(found.targets, minlength=len(names))
    if is_no_better_than_one_class(found.targets, found.probabilities.argmax(axis=1)):
        largest = int(counts.argmax())
        reporter.warn(
            f"the networks are right on {right:.4f} of the images, and naming {names[largest]!r} "
            f"for all of them would be on {counts[largest] / len(found.targets):.4f}: they are too "
            "weak for these rows to mean anything"
        )
        return
    for target in find_unknown_classes(found.targets, found.probabilities).tolist():
        own = found.probabilities[found.targets == target, target]
        rest = found.probabilities[found.targets != target, target]
        reporter.warn(
            f"the networks do not tell {names[target]!r} from the rest "
            f"({count_of(len(own), 'image')} with this label, whose probability for it is "
            f"{own.mean():.4f} in the mean; of all others {rest.mean():.4f}): rows with this class "
            "mean little"
        )


def _draw(path: Path, found: OutOfFold, suspects: Suspects, reporter: Reporter) -> None:
    """Draw the worst suspects, each with its label, the class proposed and its probability."""
    if not len(suspects.indices):
        reporter.note(f"no label looks wrong: {path} is not written")
        return
    _, checkpoint = load_checkpoint(list_folds(found.folder)[0] / BEST_FILE)
    data, columns = data_of_run(found.folder / BEST_FILE, CsvColumns())
    samples = find_samples(data, columns)
    place = {name: number for number, name in enumerate(samples.paths.tolist())}
    worst = suspects.indices[:DRAWN].tolist()
    lost = [found.paths[index] for index in worst if found.paths[index] not in place]
    if lost:
        raise CnncliError(f"--sheet {path}: {lost[0]} is not in {data} any more")
    names = found.class_names
    images = [
        LabelledImage(
            place[found.paths[index]],
            names[found.targets[index]],
            names[proposed],
            float(found.probabilities[index, proposed]),
        )
        for index, proposed in zip(worst, suspects.proposed[:DRAWN].tolist(), strict=True)
    ]
    count = len(suspects.indices)
    title = f"the {len(worst)} most suspect of {count_of(count, 'label')}"
    if len(worst) == count:
        title = f"all suspect labels ({count}), the worst first"
    title += " (label, \N{RIGHTWARDS ARROW} class proposed, its probability, file)"
    if draw_images(path, samples, images, checkpoint.preprocess, reporter, title, word="label"):
        reporter.note(f"suspect labels drawn: {path}")
