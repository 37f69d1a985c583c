"""A sample submission: a CSV that says with which columns, ids and words to answer.

Competitions hand one out beside the test images. It has a row for each id, and either one column
for the class (by its name, or by a number) or a column for each class (its probability).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cnncli.data.label_text import whole_number
from cnncli.data.relabelled import match_labels
from cnncli.data.table_columns import IMAGE_COLUMNS, LABEL_COLUMNS, choose_column, find_usual
from cnncli.data.table_rows import open_table, read_header, read_records
from cnncli.errors import CnncliError, did_you_mean, shorten
from cnncli.files import check_table, open_csv_writer

_FRACTION = re.compile(r"\d*\.\d+|\d+(\.\d*)?e-?\d+", re.IGNORECASE)


@dataclass(frozen=True)
class Sample:
    """A sample submission.

    Attributes:
        path: Path of the CSV.
        delimiter: What separates its fields.
        header: Names of the columns.
        rows: The N rows, each as long as the header.
        id_place: Number of the column of ids.
    """

    path: Path
    delimiter: str
    header: list[str]
    rows: list[list[str]]
    id_place: int

    @property
    def ids(self) -> list[str]:
        """The N ids, no two of them the same."""
        return [row[self.id_place] for row in self.rows]


@dataclass(frozen=True)
class Answers:
    """What a submission says of an image.

    Attributes:
        words: What is written for each class in the column of the class; None where the columns
            hold probabilities.
        classes: The class whose probability a column holds, by the number of the column; where
            ``words`` are given, the number of their column, with no class.
        told: A sentence on how the sample was understood; empty where there is nothing to say.
    """

    words: dict[str, str] | None
    classes: dict[int, str]
    told: str = ""

    def fill(self, row: list[str], label: str, probabilities: Mapping[str, float]) -> None:
        """Write an answer into a row of the sample.

        Args:
            row: The row; its cells beside the id are replaced.
            label: Name of the predicted class.
            probabilities: Those of all classes, by name.
        """
        for place, name in self.classes.items():
            row[place] = f"{probabilities[name]:.6f}" if self.words is None else self.words[label]

    def clear(self, row: list[str]) -> None:
        """Empty the cells of a row that has no answer, so that none is taken for one."""
        for place in self.classes:
            row[place] = ""


def read_sample(path: Path, flag: str, id_col: str | None, *, may_lack_it: bool = False) -> Sample:
    """Read a sample submission and find its column of ids.

    Args:
        path: Path of the CSV.
        flag: The flag by which it was given, for messages.
        id_col: Name of the column of ids; None looks for a usual one, else takes the first column.
        may_lack_it: Whether ``id_col`` may be the name of another table's column alone.

    Raises:
        CnncliError: If the file is no CSV, no column can be the id, or an id is empty or twice
            there.
    """
    where = f"{flag} {path}"
    if not path.is_file():
        raise CnncliError(f"{where}: no such file")
    check_table(path, where)
    header = read_header(path)
    if may_lack_it and id_col not in header:
        id_col = None
    with open_table(path) as (_, delimiter, _):
        pass
    rows, lines = [], []
    for line, fields in read_records(path):
        if len(fields) != len(header):
            raise CnncliError(
                f"{where}, line {line}: {len(fields)} fields where the header has {len(header)}"
            )
        rows.append([field.strip() for field in fields])
        lines.append(line)
    rows, lines = rows[1:], lines[1:]
    if not rows:
        raise CnncliError(f"{where}: no rows below the header")
    sample = Sample(path, delimiter, header, rows, _find_id(where, header, rows, id_col))
    if len(header) == 1:
        raise CnncliError(f"{where}: has the column {header[0]!r} alone, and none for the answer")
    seen: dict[str, int] = {}
    for line, name in zip(lines, sample.ids, strict=True):
        if not name:
            raise CnncliError(f"{where}, line {line}: the id is empty")
        if name in seen:
            raise CnncliError(
                f"{where}, line {line}: id {name!r} stands in line {seen[name]} already"
            )
        seen[name] = line
    return sample


def _find_id(where: str, header: list[str], rows: list[list[str]], id_col: str | None) -> int:
    """Return the number of the column of ids."""
    if id_col is not None:
        return header.index(choose_column(Path(where), header, id_col, "--image-col", ()))
    usual = find_usual(header, IMAGE_COLUMNS)
    if usual:
        return header.index(usual[0])
    first = [row[0] for row in rows]
    is_label = find_usual(header[:1], LABEL_COLUMNS)
    if not is_label and len(set(first)) == len(first) and not all(map(_FRACTION.fullmatch, first)):
        return 0
    raise CnncliError(
        f"{where}: no column can be the id; it has {shorten(header, 12)}: name one with --image-col"
    )


def choose_answers(sample: Sample, flag: str, class_names: Sequence[str]) -> Answers:
    """Decide what the columns of a sample hold.

    Args:
        sample: The sample.
        flag: The flag by which it was given, for messages.
        class_names: The K classes of the network, in their order.

    Raises:
        CnncliError: If the columns or their values are not the network's classes.
    """
    where = f"{flag} {sample.path}"
    places = [place for place in range(len(sample.header)) if place != sample.id_place]
    names = [sample.header[place] for place in places]
    found = match_labels(names, class_names)
    if len(places) == 1:
        if found[0] >= 0 and len(class_names) == 2:
            return Answers(None, {places[0]: class_names[found[0]]})
        return _choose_words(sample, where, places[0], class_names)
    unknown = [name for name, number in zip(names, found, strict=True) if number < 0]
    if unknown:
        raise CnncliError(
            f"{where}: column {unknown[0]!r} is no class of the network, which knows "
            f"{shorten(class_names)}{did_you_mean(unknown[0], class_names)}"
        )
    missing = [name for number, name in enumerate(class_names) if number not in found]
    if missing:
        raise CnncliError(f"{where}: no column for the class {shorten(missing)}")
    if len(set(found)) < len(found):
        raise CnncliError(f"{where}: two columns are of one class; rename or remove one")
    return Answers(
        None, {place: class_names[number] for place, number in zip(places, found, strict=True)}
    )


def _choose_words(sample: Sample, where: str, place: int, class_names: Sequence[str]) -> Answers:
    """Decide from the values of a single column how classes are written in it."""
    column = sample.header[place]
    values = list(dict.fromkeys(row[place] for row in sample.rows if row[place]))
    numbers = [whole_number(value) for value in values]
    by_name = Answers({name: name for name in class_names}, {place: ""})
    if min(match_labels(values, class_names), default=0) >= 0:
        return by_name
    if len(class_names) == 2 and any(map(_FRACTION.fullmatch, values)) and _are_numbers(values):
        told = f"column {column!r} gets the probability of {class_names[1]!r}"
        return Answers(None, {place: class_names[1]}, told)
    if None not in numbers and None not in map(whole_number, class_names):
        return by_name  # the sample has a number that stands for nothing, such as 0
    known = f"the network knows {shorten(class_names)}"
    if None in numbers:
        odd = values[numbers.index(None)]
        raise CnncliError(
            f"{where}: {odd!r} in column {column!r} is no class; {known}"
            f"{did_you_mean(odd, class_names)}"
        )
    most = len(class_names) - 1
    outside = [value for value, n in zip(values, numbers, strict=True) if not 0 <= (n or 0) <= most]
    if outside:
        raise CnncliError(
            f"{where}: {outside[0]} in column {column!r} is no class; {known}, with the numbers 0 "
            f"to {most}"
        )
    words = {name: str(number) for number, name in enumerate(class_names)}
    listed = shorten([f"{number} {name}" for name, number in words.items()], 12)
    return Answers(words, {place: ""}, f"column {column!r} gets the classes' numbers: {listed}")


def _are_numbers(values: Sequence[str]) -> bool:
    return all(_FRACTION.fullmatch(v) or whole_number(v) is not None for v in values)


def match_ids(sample: Sample, flag: str, paths: Sequence[str]) -> list[int | None]:
    """Find the image of each id: the id is its file's name, with or without the ending.

    Args:
        sample: The sample, with N ids. One with folders in it is the end of a path.
        flag: The flag by which it was given, for messages.
        paths: Paths of the images, no two of them the same.

    Returns:
        For each of the N ids the number of its image; None for an id without one.

    Raises:
        CnncliError: If an id means several images, two ids mean one, or no id has an image.
    """
    where = f"{flag} {sample.path}"
    plain = [_plain(path) for path in paths]
    whole: dict[str, list[int]] = {}
    stems: dict[str, list[int]] = {}
    for number, path in enumerate(plain):
        name = path.rpartition("/")[2]
        whole.setdefault(_with_small_ending(name), []).append(number)
        stems.setdefault(_stem(name), []).append(number)
    owner: dict[int, str] = {}
    found: list[int | None] = []
    for given in sample.ids:
        name = _plain(given)
        last = name.rpartition("/")[2]
        numbers = whole.get(_with_small_ending(last)) or stems.get(last) or []
        if last != name:
            ends = f"/{name}"
            numbers = [
                n
                for n in numbers
                if _with_small_ending(f"/{plain[n]}").endswith(_with_small_ending(ends))
                or _stem(f"/{plain[n]}").endswith(ends)
            ]
        if len(numbers) > 1:
            raise CnncliError(
                f"{where}: id {given!r} is ambiguous: {shorten([paths[n] for n in numbers], 3)}"
            )
        for number in numbers:
            if number in owner:
                raise CnncliError(
                    f"{where}: ids {owner[number]!r} and {given!r} are both {paths[number]}"
                )
            owner[number] = given
        found.append(numbers[0] if numbers else None)
    if not owner:
        raise CnncliError(
            f"{where}: none of its {len(found)} ids is the name of an image given, with or "
            f"without its ending (the first id is {sample.ids[0]!r}, the first image {paths[0]})"
            f"{_hint_at_zeros(sample.ids, stems)}"
        )
    return found


def _hint_at_zeros(ids: Sequence[str], stems: Mapping[str, object]) -> str:
    """Return what is the matter where ids and names have the same numbers; else nothing."""
    numbers = {int(stem) for stem in stems if stem.isdecimal()}
    if any(_stem(name).isdecimal() and int(_stem(name)) in numbers for name in ids):
        return "; leading zeros differ, which Excel takes away"
    return ""


def _plain(path: str) -> str:
    return unicodedata.normalize("NFC", path).replace("\\", "/")


def _with_small_ending(name: str) -> str:
    """Return a file's name with its ending in small letters: ``x.JPG`` is ``x.jpg``."""
    stem, dot, ending = name.rpartition(".")
    return f"{stem}{dot}{ending.lower()}" if dot else name


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def save_submission(part: Path, sample: Sample) -> None:
    """Write a sample's header and rows as they stand."""
    with open_csv_writer(part, delimiter=sample.delimiter) as writer:
        writer.writerow(sample.header)
        writer.writerows(sample.rows)
