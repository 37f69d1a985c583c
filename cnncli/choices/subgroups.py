"""What ``--subgroup`` says: columns of a table or properties of files, and the ends of bands."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass

from cnncli.errors import CnncliError, did_you_mean

# What is known of every image: the format of its file, its height and width, and how light it is.
FILE_PROPERTIES = ("format", "size", "brightness")
# In front of a property that a table has a column of the same name for.
FILE_PREFIX = "file:"
_FLAG = "--subgroup"
_WITH_EDGES = re.compile(r"(.+?)\s*=\s*([-+\d.eE]+(?:\s*/\s*[-+\d.eE]+)*)")


@dataclass(frozen=True)
class SubgroupColumn:
    """Something by which the images of an evaluation are divided.

    Attributes:
        name: Name of a column of the table, or of a property of files.
        is_file: Whether the property is meant even where the table has such a column.
        edges: Where one band of numbers ends and the next one begins, ascending; empty for bands
            with equally many images.
    """

    name: str
    is_file: bool = False
    edges: tuple[float, ...] = ()


def parse_subgroups(text: str) -> tuple[SubgroupColumn, ...]:
    """Parse ``age,sex``, ``age=40/60``, ``file:size``; a name with a comma stands in quotes.

    Raises:
        CnncliError: If a name is missing or given twice, if a property of files is unknown, or if
            the ends of bands do not ascend.
    """
    try:
        (parts,) = csv.reader([text.replace("\n", " ")], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):
        raise CnncliError(f"{_FLAG} {text}: write the names with commas between them") from None
    found = tuple(_parse_one(part.strip()) for part in parts or [""])
    names = [(column.name, column.is_file) for column in found]
    twice = [name for name, is_file in names if names.count((name, is_file)) > 1]
    if twice:
        raise CnncliError(f"{_FLAG} {text}: {twice[0]!r} is named twice")
    return found


def _parse_one(part: str) -> SubgroupColumn:
    match = _WITH_EDGES.fullmatch(part)
    name, edges = (match[1].strip(), _parse_edges(match[2], part)) if match else (part, ())
    is_file = name.lower().startswith(FILE_PREFIX)
    if is_file:
        name = name[len(FILE_PREFIX) :].strip().lower()
        if name not in FILE_PROPERTIES:
            known = ", ".join(FILE_PREFIX + known for known in FILE_PROPERTIES)
            near = did_you_mean(name, FILE_PROPERTIES, count=1)
            raise CnncliError(f"{_FLAG} {part}: must be one of {known}{near}")
    if name == "format" and edges:
        raise CnncliError(f"{_FLAG} {part}: a format is no number that could be in bands")
    if not name:
        raise CnncliError(
            f"{_FLAG}: a name is missing; name columns of the table, or "
            f"{', '.join(FILE_PROPERTIES)} of the files"
        )
    return SubgroupColumn(name, is_file, edges)


def _parse_edges(text: str, part: str) -> tuple[float, ...]:
    try:
        edges = tuple(float(edge) for edge in text.split("/"))
    except ValueError:
        edges = (math.nan,)
    if not all(map(math.isfinite, edges)) or list(edges) != sorted(set(edges)):
        raise CnncliError(
            f"{_FLAG} {part}: the ends of bands are ascending numbers, as in age=40/60"
        )
    return edges
