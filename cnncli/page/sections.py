"""Sections of the page as texts: check of the data, subgroups, one answer for each group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnncli.errors import count_of, shorten
from cnncli.evaluation.tell_subgroups import tell_parts
from cnncli.page.tables import spell, with_interval

Row = Mapping[str, Any]

# Keys of a part in report.json that are no figures of it.
_NO_FIGURES = ("value", "images", "groups", "small", "classes")


@dataclass(frozen=True)
class DataSection:
    """What a check found in the images of a run.

    Attributes:
        verdict: Whether a result on these images is to be trusted, in a sentence.
        spoiled: Whether something was found that spoils a result.
        how: Which check it was, and which one says more.
        findings: ``severity``, ``kind``, ``text`` and ``images`` of each, those that spoil a result
            first.
        warnings: What else was warned of while the images were read.
        hidden: What is not told of them, so that no file is named; empty if all is told.
        hidden_warnings: Number of warnings that are not told.
    """

    verdict: str
    spoiled: bool
    how: str
    findings: Sequence[Row] = ()
    warnings: Sequence[str] = ()
    hidden: str = ""
    hidden_warnings: int = 0


def is_spoiled(findings: Sequence[Row]) -> bool:
    """Return whether a finding spoils a result."""
    return any(row["severity"] == "spoils" for row in findings)


def tell_verdict(findings: Sequence[Row]) -> str:
    """Return in a sentence what findings mean for a result."""
    spoiling = sum(row["severity"] == "spoils" for row in findings)
    notes = len(findings) - spoiling
    also = f"; {count_of(notes, 'note')} besides" if notes else ""
    if spoiling:
        it = "it makes" if spoiling == 1 else "they make"
        faults = count_of(spoiling, "fault")
        return f"{faults} found: {it} a result wrong, or better than on new images{also}."
    return f"No fault found that would spoil a result{also}."


@dataclass(frozen=True)
class PartsTable:
    """The figures of the parts that the images are divided into by one property.

    Attributes:
        by: The property.
        kind: Where it stands: in a column of the table, or in the files.
        names: The figures' names.
        rows: ``value`` of each part, and ``cells``: its figures with their intervals, as texts.
        told: Sentences to stand below.
    """

    by: str
    kind: str
    names: Sequence[str]
    rows: Sequence[Row]
    told: Sequence[str]


def parts_table(subgroups: Row) -> PartsTable:
    """Return the figures of the parts of images.

    Args:
        subgroups: One of the ``subgroups`` of ``report.json``.
    """
    parts = subgroups["parts"]
    figures = [name for name in parts[0] if name not in _NO_FIGURES]
    grouped = parts[0]["groups"] is not None
    rows = [
        {
            "value": part["value"],
            "cells": [
                (f"{part['images']:,}", ""),
                *([(f"{part['groups']:,}", "")] if grouped else []),
                (f"{_count_wrong(part):,}", ""),
                *(with_interval(part[name]) for name in figures),
            ],
        }
        for part in parts
    ]
    return PartsTable(
        subgroups["by"],
        "a column of the table" if subgroups["of"] == "column" else "the files",
        ["images", *(["groups"] if grouped else []), "wrong", *map(spell, figures)],
        rows if len(parts) > 1 else [],
        [*tell_parts(subgroups["by"], parts, subgroups["largest_gap"]), *_tell_undefined(parts)]
        if len(parts) > 1
        else [f"All images have the same {subgroups['by']}: {parts[0]['value']}."],
    )


def _tell_undefined(parts: Sequence[Row]) -> list[str]:
    """Return why figures of parts are undefined."""
    lacking = [
        (part["value"], spell(name))
        for part in parts
        for name, figure in part.items()
        if name not in _NO_FIGURES and figure is None
    ]
    if not lacking:
        return []
    names, figures = (list(dict.fromkeys(part)) for part in zip(*lacking, strict=True))
    return [
        f"Undefined: {', '.join(figures)} of {shorten(names, 8)}. It takes images of the class and "
        "of others, and these parts lack one of them."
    ]


def _count_wrong(part: Row) -> int:
    """Return the number of images that accuracy says are wrong."""
    return int(part["images"] - round(part["accuracy"]["value"] * part["images"]))


@dataclass(frozen=True)
class GroupFigures:
    """The figures with one answer for each group.

    Attributes:
        how: How the answers of a group's images become one.
        rows: The figures, as `figure_rows` returns them.
        undefined: Why there are none, or why some are undefined.
    """

    how: str = ""
    rows: Sequence[Row] = ()
    undefined: Sequence[str] = ()


_AGGREGATES = {
    "mean": "the mean of its images’ probabilities",
    "max": "the largest probability of each class among its images, divided by their sum",
    "vote": "the class that most of its images are called",
}


def tell_aggregate(by_group: Row) -> str:
    """Return how many groups have one answer, and by what rule.

    Args:
        by_group: ``by_group`` of ``report.json``.
    """
    left = by_group["left_out"]
    lacks = f" {count_of(left, 'group')} with images of several classes are left out." * bool(left)
    return (
        f"Here each of {count_of(by_group['groups'], 'group')} has one answer, by "
        f"{_AGGREGATES[by_group['aggregate']]}.{lacks}"
    )
