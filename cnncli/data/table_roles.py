"""Which columns of a CSV are those of the images, labels, splits and groups: each another one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from cnncli.data.samples import CsvColumns
from cnncli.data.table_columns import (
    LABEL_COLUMNS,
    choose_column,
    choose_image_columns,
    find_usual,
)
from cnncli.errors import CnncliError

_SPLIT = ("split", "subset", "set")
# Usual names of columns of groups. Such a column is not used unless --group-col names it, but the
# user is warned of it.
_GROUPS = (
    *("patient_id", "patientid", "patient", "subject_id", "subjectid", "subject"),
    *("lesion_id", "case_id", "participant_id", "person_id", "specimen_id"),
)


@dataclass(frozen=True)
class Roles:
    """The columns of a CSV by what they hold; an empty text where there is no such column.

    Attributes:
        images: The column of images, or the several whose files are the channels of one sample.
        label: The column of labels.
        split: The column of splits.
        group: The column of groups that the user named.
        maybe_group: A column that seems to hold groups, where none is named.
    """

    images: list[str]
    label: str
    split: str
    group: str
    maybe_group: str


@dataclass(frozen=True)
class _Role:
    """The columns of one role.

    Attributes:
        holds: What the columns hold.
        flag: The flag that names them.
        given: What the user gave; None if they were found by their usual names.
        names: The columns.
    """

    holds: str
    flag: str
    given: str | None
    names: list[str]


def choose_roles(path: Path, header: list[str], columns: CsvColumns) -> Roles:
    """Choose the columns of a CSV.

    Raises:
        CnncliError: If there is no such column, or if one column would have two roles.
    """
    images = choose_image_columns(path, header, columns.image)
    label = choose_column(path, header, columns.label, "--label-col", LABEL_COLUMNS)
    split = choose_column(path, header, columns.split, "--split-col", _SPLIT, needed=False)
    group = choose_column(path, header, columns.group, "--group-col", (), needed=False)
    roles = (
        _Role("images", "--image-col", columns.image, images),
        _Role("labels", "--label-col", columns.label, [label]),
        _Role("splits", "--split-col", columns.split, [split]),
        _Role("groups", "--group-col", columns.group, [group]),
    )
    for one, other in combinations(roles, 2):
        both = [name for name in other.names if name and name in one.names]
        if both:
            raise _two_roles_error(one, other, both[0])
    others = [name for name in find_usual(header, _GROUPS) if name not in (*images, label, split)]
    maybe_group = others[0] if others and not group else ""
    return Roles(images, label, split, group, maybe_group)


def _two_roles_error(one: _Role, other: _Role, name: str) -> CnncliError:
    """Return the error that a column has two roles, about the flag that the user gave last."""
    blamed, first = (one, other) if other.given is None else (other, one)
    column = "" if blamed.given == name else f"column {name!r} "
    told = f"{blamed.flag} {blamed.given}: {column}is the column of the {first.holds}"
    if (first.holds, blamed.holds) == ("images", "groups"):
        return CnncliError(f"{told}; without --group-col each image stands alone already")
    if first.given is not None:
        return CnncliError(f"{told}; name another")
    if first.holds == "splits":  # which may be the only one that there is
        return CnncliError(f"{told}, by its name; name another, or rename it")
    return CnncliError(f"{told}; name another, or that of the {first.holds} with {first.flag}")
