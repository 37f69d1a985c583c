"""The images that a classifier gets wrong, the surest first: as a list and as a picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.data.samples import SEPARATOR, Samples, find_files
from cnncli.images.header import ImageError
from cnncli.images.preprocess import Preprocess
from cnncli.reporting import Reporter

# Pictures of mistakes where their number is not given.
DRAWN = 25
# A picture of more would be hundreds of megabytes.
MOST_DRAWN = 500
# Longest side of a picture that is kept until all are drawn, in pixels.
_SIDE = 320


@dataclass(frozen=True)
class LabelledImage:
    """An image with a label that a network does not agree with.

    Attributes:
        index: Number of the image among the samples.
        label: Name of its class.
        taken_for: Name of the class that the network names.
        probability: Probability of that class.
    """

    index: int
    label: str
    taken_for: str
    probability: float


def sort_mistakes(targets: Array, probabilities: Array, predictions: Array) -> Array:
    """Return the images that are classified wrongly, the surest first.

    Args:
        targets: (N,) class numbers.
        probabilities: (N, K).
        predictions: (N,) the classes that the images were given.

    Returns:
        (M,) their numbers; equally sure ones stay in their order.
    """
    wrong = np.flatnonzero(predictions != targets)
    return wrong[np.argsort(-probabilities[wrong, predictions[wrong]], kind="stable")]


def file_of(samples: Samples, index: int) -> str | None:
    """Return the absolute path of a sample's file; None for an image that is part of an array.

    Several files of a sample are joined as in its ``path``.
    """
    return SEPARATOR.join(map(os.path.abspath, find_files(samples.source, index))) or None


def list_mistakes(
    samples: Samples, probabilities: Array, count: int, predictions: Array | None = None
) -> list[dict[str, Any]]:
    """Return the surest mistakes as rows, with the names that ``predictions.csv`` has.

    Args:
        samples: N images.
        probabilities: (N, K).
        count: Number of rows, at most.
        predictions: (N,) the classes that the images were given; None for the most probable.

    Returns:
        Rows of path, file, target, label, and the probability of the label.
    """
    names = samples.class_names
    predictions = probabilities.argmax(axis=1) if predictions is None else predictions
    rows = []
    for index in sort_mistakes(samples.targets, probabilities, predictions)[:count].tolist():
        label = int(predictions[index])
        rows.append(
            {
                "path": str(samples.paths[index]),
                "file": file_of(samples, index),
                "target": names[samples.targets[index]],
                "label": names[label],
                "probability": round(float(probabilities[index, label]), 6),
            }
        )
    return rows


def draw_mistakes(
    path: Path,
    samples: Samples,
    probabilities: Array,
    preprocess: Preprocess,
    reporter: Reporter,
    *,
    count: int,
    split: str,
    predictions: Array | None = None,
) -> None:
    """Draw the surest mistakes into a picture.

    Args:
        path: File to write, in a folder that exists.
        samples: N images.
        probabilities: (N, K).
        preprocess: How the network gets its images.
        reporter: Is told if there is nothing to draw, and of images that cannot be read any more.
        count: Number of images, at most.
        split: What the images are called in the picture.
        predictions: (N,) the classes that the images were given; None for the most probable.

    Raises:
        OSError: If the file cannot be written.
    """
    predictions = probabilities.argmax(axis=1) if predictions is None else predictions
    mistakes = sort_mistakes(samples.targets, probabilities, predictions)
    chosen = mistakes[: min(count, MOST_DRAWN)]
    if not len(chosen):
        reporter.note(f"no mistake to draw: {path} is not written")
        return
    names = samples.class_names
    images = [
        LabelledImage(
            index,
            names[samples.targets[index]],
            names[predictions[index]],
            float(probabilities[index, predictions[index]]),
        )
        for index in chosen.tolist()
    ]
    title = f"{split}: the {len(chosen):,} surest of {len(mistakes):,} mistakes"
    if len(chosen) == len(mistakes):
        title = f"{split}: all mistakes ({len(mistakes):,}), the surest first"
    title += " (class, \N{RIGHTWARDS ARROW} predicted class, its probability, file)"
    if draw_images(path, samples, images, preprocess, reporter, title):
        reporter.note(f"mistakes drawn: {path}")


def draw_images(
    path: Path,
    samples: Samples,
    images: Sequence[LabelledImage],
    preprocess: Preprocess,
    reporter: Reporter,
    title: str,
    *,
    word: str = "true",
) -> bool:
    """Draw images with their labels and the classes that they are taken for.

    Args:
        path: File to write, in a folder that exists.
        samples: N images.
        images: What is drawn, in this order.
        preprocess: How the network gets its images.
        reporter: Is told of images that cannot be read any more.
        title: One line above the grid.
        word: What stands in front of an image's label.

    Returns:
        Whether the file was written, since an image could be read.

    Raises:
        OSError: If the file cannot be written.
    """
    from cnncli.plots.lettering import drawable_names
    from cnncli.plots.mistakes import MistakePicture, save_mistakes

    # A class whose name the fonts lack has its number in place of boxes.
    shown = dict(
        zip(samples.class_names, drawable_names(samples.class_names, longest=60)[0], strict=True)
    )
    pictures = []
    for item in images:
        name = str(samples.paths[item.index])
        try:
            image = _shrink(_draw(samples, item.index, preprocess))
        except (ImageError, OSError) as error:
            reporter.warn(f"{name}: {error}; it is not in the picture")
            continue
        label, taken_for = (shown.get(n, n) for n in (item.label, item.taken_for))
        pictures.append(MistakePicture(image, label, taken_for, item.probability, _short(name)))
    if pictures:
        save_mistakes(path, pictures, title, word=word)
    return bool(pictures)


def _short(path: str) -> str:
    """Return the name of a file, or of the first of several, without its folders."""
    first, *others = path.split(SEPARATOR)
    return first.rsplit("/", 1)[-1] + f" (+{len(others)})" * bool(others)


def _draw(samples: Samples, index: int, preprocess: Preprocess) -> Array:
    from cnncli.plots.grid import to_picture
    from cnncli.run.draw_sample import draw_sample

    return to_picture(draw_sample(samples, index, preprocess))


def _shrink(image: Array) -> Array:
    """Return a picture (H, W, 3) uint8 no larger than it is drawn."""
    from PIL import Image

    picture = Image.fromarray(image)
    picture.thumbnail((2 * _SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(picture)
