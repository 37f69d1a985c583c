"""The images of the page: where their probabilities come from, and their pictures."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.data.samples import Samples
from cnncli.data.store import map_in_threads
from cnncli.errors import CnncliError
from cnncli.files import MOST_OF_TABLE, PREDICTIONS_FILE, check_regular
from cnncli.images.header import ImageError
from cnncli.images.preprocess import Preprocess
from cnncli.page.pictures import picture_uri
from cnncli.plots.grid import to_picture
from cnncli.reporting import Reporter
from cnncli.run.draw_sample import draw_sample
from cnncli.training.device import count_cpus

# Bytes of all pictures together that keep the page below 5 MB.
PICTURE_BYTES = 2_800_000


@dataclass(frozen=True)
class Answers:
    """N images with their probabilities, wherever they come from.

    Attributes:
        paths: N paths, as ``splits.csv`` has them.
        files: N paths that open, where known.
        targets: (N,) class numbers.
        probabilities: (N, K).
        class_names: K names.
    """

    paths: Sequence[str]
    files: Sequence[str | None]
    targets: Array
    probabilities: Array
    class_names: Sequence[str]


def read_predictions(path: Path) -> Answers | None:
    """Return what ``evaluate --output`` wrote; None if there is no such file.

    Raises:
        CnncliError: If the file is not what ``evaluate`` wrote.
    """
    if not path.is_file():
        return None
    prefix = "probability_"
    try:
        check_regular(path, most=MOST_OF_TABLE)
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = csv.DictReader(file)
            columns = [name for name in rows.fieldnames or () if name.startswith(prefix)]
            names = [name.removeprefix(prefix) for name in columns]
            number = {name: index for index, name in enumerate(names)}
            paths, files, targets, values = [], [], [], []
            for row in rows:
                paths.append(row["path"])
                files.append(row.get("file") or None)
                targets.append(number[row["target"]])
                values.append([float(row[name]) for name in columns])
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise CnncliError(
            f"{path}: not the {PREDICTIONS_FILE} of evaluate --output ({error!r})"
        ) from None
    if not paths or len(names) < 2:
        raise CnncliError(f"{path}: names no image")
    return Answers(paths, files, np.array(targets), np.array(values), names)


def draw_pictures(
    samples: Samples, order: Array, preprocess: Preprocess, reporter: Reporter, *, most: int | None
) -> dict[int, str]:
    """Return pictures as data URIs, by the images' numbers.

    Args:
        samples: The images.
        order: (M,) their numbers, those that matter most first.
        preprocess: How the network gets its images.
        reporter: Gets the progress, and how many cannot be read any more.
        most: Number of pictures; None takes as many as `PICTURE_BYTES` hold.
    """
    wanted = order[: len(order) if most is None else most].tolist()

    def draw(index: int) -> str | None:
        try:
            return picture_uri(to_picture(draw_sample(samples, index, preprocess)))
        except (ImageError, OSError):
            return None

    pictures: dict[int, str] = {}
    lost = 0
    with reporter.progress("pictures", len(wanted)) as advance:
        for index, uri in zip(wanted, _draw_all(draw, wanted), strict=False):
            advance(1)
            if uri is None:
                lost += 1
                continue
            pictures[index] = uri
            if most is None and sum(map(len, pictures.values())) > PICTURE_BYTES:
                break
    if lost:
        reporter.warn(f"{lost} images cannot be read any more; the page has no picture of them")
    return pictures


def _draw_all(draw: object, wanted: Sequence[int]) -> Iterator[str | None]:
    return map_in_threads(draw, wanted, count_cpus())  # type: ignore[arg-type]
