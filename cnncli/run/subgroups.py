"""The figures of an evaluation for each part of its images: by age, by hospital, by file format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.choices.subgroups import FILE_PROPERTIES, SubgroupColumn
from cnncli.data.samples import Samples
from cnncli.data.store import map_in_threads
from cnncli.errors import CnncliError
from cnncli.evaluation.intervals import FEW
from cnncli.evaluation.report import build_report
from cnncli.evaluation.subgroups import (
    MOST_NUMBERS,
    MOST_TEXTS,
    Parts,
    divide_numbers,
    divide_texts,
    find_gap,
)
from cnncli.images.formats import read_header
from cnncli.images.intensity import mean_fraction
from cnncli.images.preprocess import Preprocess
from cnncli.run.evaluation import Evaluation
from cnncli.training.cores import count_cpus

_FLAG = "--subgroup"
_FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "auroc")


def add_subgroups(
    evaluation: Evaluation, asked: Sequence[SubgroupColumn], brightness: Array | None = None
) -> None:
    """Add ``subgroups`` to the report: for each column, the figures of each of its parts.

    Args:
        evaluation: The images, with the columns' texts in ``samples.extra``.
        asked: What the images are divided by, each alone.
        brightness: As in `divide_images`.

    Raises:
        CnncliError: If a column holds too many texts, or texts where numbers are to be divided.
    """
    if not asked or not evaluation.world.is_first:
        return
    preprocess = evaluation.checkpoint.preprocess
    divided = divide_images(evaluation.samples, preprocess, asked, brightness)
    evaluation.report["subgroups"] = [
        {
            "by": column.name,
            "of": "column" if _is_column(evaluation.samples, column) else "file",
            "bands": parts.are_bands,
            **_report_parts(evaluation, parts),
        }
        for column, parts in zip(asked, divided, strict=True)
    ]


def check_subgroups(samples: Samples, asked: Sequence[SubgroupColumn]) -> None:
    """Refuse columns that do not divide the images, before these are judged.

    Raises:
        CnncliError: If a column holds too many texts, or texts where numbers are to be divided.
    """
    for column in asked:
        if _is_column(samples, column):
            _divide_column(samples, column)


def divide_images(
    samples: Samples,
    preprocess: Preprocess,
    asked: Sequence[SubgroupColumn],
    brightness: Array | None = None,
) -> list[Parts]:
    """Divide images by each of several columns or properties of their files.

    Where a table has a column with the name of a property, the column is meant.

    Args:
        samples: N images that can be read.
        preprocess: Turns the files of an image into what the network gets, which is how light it
            is.
        asked: What they are divided by.
        brightness: (N,) how light each image is to the network, 0–1; None decodes them for it.

    Raises:
        CnncliError: If a column holds too many texts, or texts where numbers are to be divided.
    """
    properties = {column.name for column in asked if not _is_column(samples, column)}
    known = _read_properties(samples, preprocess, properties, brightness) if properties else {}
    return [
        _divide_column(samples, column)
        if _is_column(samples, column)
        else _divide_property(column, known[column.name])
        for column in asked
    ]


def _divide_column(samples: Samples, column: SubgroupColumn) -> Parts:
    parts = divide_texts([str(text) for text in samples.extra[column.name]], column.edges)
    if not isinstance(parts, int):
        return parts
    if column.edges:
        raise CnncliError(f"{_FLAG} {column.name}: holds texts, and no numbers to put into bands")
    raise CnncliError(
        f"{_FLAG} {column.name}: {parts} different texts for {len(samples):,} images, where at "
        f"most {MOST_TEXTS} make subgroups; name a column with fewer, or join some of them in a "
        "column of your own"
    )


def _is_column(samples: Samples, column: SubgroupColumn) -> bool:
    return column.name in samples.extra and not column.is_file


def _read_properties(
    samples: Samples, preprocess: Preprocess, names: set[str], brightness: Array | None
) -> dict[str, list[Any]]:
    """Return the properties of the images' files, of a sample with several those of the first."""

    def read(index: int) -> dict[str, Any]:
        files = samples.source.read(index)
        header = read_header(files[0], 0)
        found: dict[str, Any] = {"format": header.format, "size": (header.width, header.height)}
        if "brightness" in names:
            found["brightness"] = (
                mean_fraction(preprocess(files)) if brightness is None else float(brightness[index])
            )
        return found

    rows = list(map_in_threads(read, range(len(samples)), count_cpus()))
    return {name: [row[name] for row in rows] for name in FILE_PROPERTIES if name in names}


def _divide_property(column: SubgroupColumn, values: list[Any]) -> Parts:
    if column.name == "format":
        formats = sorted(set(values))
        return Parts(tuple(formats), np.array([formats.index(value) for value in values]))
    if column.name == "brightness":
        levels = np.array([float(round(100 * value)) for value in values])
        parts = divide_numbers(levels, column.edges, always_bands=True)
        return parts.with_unit("%")
    sizes = sorted(set(values), key=lambda size: (size[0] * size[1], size))
    if len(sizes) <= MOST_NUMBERS and not column.edges:
        names = tuple(f"{width}×{height}" for width, height in sizes)
        return Parts(names, np.array([sizes.index(size) for size in values]))
    # The side of a square with as many pixels.
    sides = np.array([float(round((width * height) ** 0.5)) for width, height in values])
    return divide_numbers(sides, column.edges, always_bands=True).with_unit("px")


def _report_parts(evaluation: Evaluation, parts: Parts) -> dict[str, Any]:
    """Return the figures of each part, and the largest gap between two of them."""
    positive = None if evaluation.decision is None else evaluation.decision.positive_target
    rows = [
        {"value": name, **_report_part(evaluation, np.flatnonzero(parts.numbers == part), positive)}
        for part, name in enumerate(parts.names)
    ]
    occurring = len(np.unique(evaluation.targets))
    if positive is not None:
        figure = "sensitivity"
    elif all(row["classes"] == occurring for row in rows):
        figure = "balanced_accuracy"
    else:  # of parts that have other classes, the mean recall is of other things
        figure = "accuracy"
    return {"parts": rows, "largest_gap": _tell_gap(rows, figure)}


def _report_part(evaluation: Evaluation, chosen: Array, positive: int | None) -> dict[str, Any]:
    groups = None if evaluation.groups is None else evaluation.groups[chosen]
    if groups is not None:
        groups = np.unique(groups, return_inverse=True)[1]
    report, _ = build_report(
        evaluation.targets[chosen],
        evaluation.probabilities[chosen],
        evaluation.checkpoint.class_names,
        split=evaluation.split,
        ordered=evaluation.checkpoint.ordered,
        groups=groups,
        predictions=evaluation.predictions[chosen],
    )
    count = report["images"] if groups is None else report["groups"]
    row = {
        "images": report["images"],
        "groups": report["groups"],
        "small": count < FEW,
        "classes": sum(row["images"] > 0 for row in report["per_class"]),
        **{name: report[name] for name in _FIGURES},
    }
    if evaluation.checkpoint.ordered:
        row["quadratic_kappa"] = report["quadratic_kappa"]
    if positive is not None:
        of_class = report["per_class"][positive]
        row |= {"sensitivity": of_class["recall"], "specificity": of_class["specificity"]}
    return row


def _tell_gap(rows: Sequence[dict[str, Any]], figure: str) -> dict[str, Any] | None:
    count: Callable[[dict[str, Any]], int] = lambda row: row["groups"] or row["images"]  # noqa: E731
    gap = find_gap([row[figure] for row in rows], [count(row) for row in rows])
    if gap is None:
        return None
    low, high = (None, None) if gap.ends is None else gap.ends
    return {
        "figure": figure,
        "lowest": rows[gap.low]["value"],
        "highest": rows[gap.high]["value"],
        "value": gap.value,
        "low": low,
        "high": high,
        "pairs": gap.pairs,
        "may_be_chance": gap.may_be_chance,
    }
