"""What a classifier confuses, as a person reads it on a terminal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnncli.reporting import show_controls
from cnncli.shell.terminal import can_print, print_line, print_rows

# Columns of text where stdout is no terminal, and of a class's name in a table.
_WIDTH, _NAME, _SHORT_NAME = 200, 32, 12
_LARGEST = 10  # confusions that are listed where the matrix does not fit
_GAP = "  "


def print_confusions(report: Mapping[str, Any]) -> None:
    """Print the confusion matrix of a report, or its largest confusions if it does not fit.

    Args:
        report: As ``report.json`` holds it.
    """
    width = shutil.get_terminal_size((_WIDTH, 24)).columns
    names = [show_controls(name) for name in report["class_names"]]
    matrix = report["confusion_matrix"]
    lines = _fit_matrix(names, matrix, width)
    if lines is not None:
        print_line(
            " Confusion matrix: rows are true classes, columns predicted ones; . is no image"
        )
        for line in ("", *lines):
            print_line(line)
        return
    pairs = sorted(_list_confusions(names, matrix), key=lambda row: -row["images"])
    print_line(
        f" The confusion matrix of {len(names):,} classes is wider than the {width} columns here;"
        "\n --output DIR writes it whole, and --format json has it."
    )
    if not pairs:
        print_line(" No class is taken for another.")
        return
    few = f"The {min(_LARGEST, len(pairs))} largest of {len(pairs):,} confusions"
    print_line(f" {few}, with their share of the true class:")
    print_rows(pairs[:_LARGEST], ["true", "predicted", "images", "share"], "table")


def _list_confusions(
    names: Sequence[str], matrix: Sequence[Sequence[int]]
) -> Iterator[dict[str, Any]]:
    for true, counts in enumerate(matrix):
        for predicted, count in enumerate(counts):
            if count and true != predicted:
                share = count / sum(counts)
                yield {
                    "true": names[true],
                    "predicted": names[predicted],
                    "images": count,
                    "share": share,
                }


def _fit_matrix(
    names: Sequence[str], matrix: Sequence[Sequence[int]], width: int
) -> list[str] | None:
    """Return the lines of a confusion matrix; None if no form of it is narrow enough.

    Columns have the names of their classes if these are short, and else the number of the row.
    """
    cells = [[f"{count:,}" if count else "." for count in row] for row in matrix]
    numbers = [str(number) for number in range(1, len(names) + 1)]
    longest = max(map(_width, names))
    if longest <= _SHORT_NAME:
        lines = _draw_matrix("predicted", names, names, cells)
        if max(map(_width, lines)) <= width:
            return lines
    for limit in range(min(longest, _NAME), min(longest, _SHORT_NAME) - 1, -1):
        rows = [
            f"{number:>{len(numbers[-1])}}  {cut_middle(name, limit)}"
            for number, name in zip(numbers, names, strict=True)
        ]
        lines = _draw_matrix("predicted, by the number of the row", rows, numbers, cells)
        if max(map(_width, lines)) <= width:
            return lines
    return None


def _draw_matrix(
    above: str, rows: Sequence[str], columns: Sequence[str], cells: Sequence[Sequence[str]]
) -> list[str]:
    """Return the lines of a matrix whose numbers stand at the right of their columns."""
    first = max(len("true"), *map(_width, rows))
    widths = [max(map(_width, column)) for column in zip(columns, *cells, strict=True)]

    def draw(name: str, texts: Sequence[str]) -> str:
        padded = (_pad(text, wide, right=True) for text, wide in zip(texts, widths, strict=True))
        return f" {_pad(name, first)}{_GAP}{_GAP.join(padded)}"

    head = draw("true", columns)
    rule = ("─" if can_print("─") else "-") * (_width(head) - 1)
    body = (draw(name, row) for name, row in zip(rows, cells, strict=True))
    return [f" {' ' * first}{_GAP}{above}", head, f" {rule}", *body]


def print_mistakes(report: Mapping[str, Any]) -> None:
    """Print the surest mistakes of a report, each with a path that opens from here.

    A path is never cut: where the line would be too long, it has a line of its own.

    Args:
        report: As `evaluate_run` returns it, with ``mistakes``.
    """
    mistakes = report["mistakes"]
    matrix = report["confusion_matrix"]
    wrong = report["images"] - sum(matrix[index][index] for index in range(len(matrix)))
    print_line("")
    if not mistakes:
        print_line(f" No mistake among {report['images']:,} images")
        return
    listed = f"The {len(mistakes):,} surest of {wrong:,} mistakes"
    if len(mistakes) == wrong:
        listed = "The only mistake" if wrong == 1 else f"All {wrong:,} mistakes, the surest first"
    print_line(f" {listed}")
    print_line("")
    head = ("probability", "true", "predicted", "file")
    rows = [
        (
            f"{row['probability']:.4f}",
            cut_middle(show_controls(row["target"]), _NAME),
            cut_middle(show_controls(row["label"]), _NAME),
            show_controls(path_from_here(row["file"]) or row["path"]),
        )
        for row in mistakes
    ]
    width = shutil.get_terminal_size((_WIDTH, 24)).columns
    columns = list(zip(head, *rows, strict=True))
    widths = [max(map(_width, column)) for column in columns]
    fits = 1 + sum(widths) + 3 * len(_GAP) <= width
    for number, (probability, true, predicted, path) in enumerate((head, *rows)):
        start = f" {_pad(probability, widths[0], right=True)}{_GAP}"
        line = f"{start}{_pad(true, widths[1])}{_GAP}{_pad(predicted, widths[2])}"
        print_line(f"{line}{_GAP}{path}" if fits else f"{line.rstrip()}\n{' ' * len(start)}{path}")
        if number == 0:
            rule = 1 + sum(widths) + 3 * len(_GAP) if fits else _width(line)
            print_line(" " + ("─" if can_print("─") else "-") * (rule - 1))
    if any(row["file"] is None for row in mistakes):
        print_line(" The images are parts of an array: the number is the place in it, from 0.")


def path_from_here(file: str | None) -> str | None:
    """Return an absolute path relative to the working folder if it lies below it."""
    if file is None:
        return None
    here = f"{Path.cwd()}{os.sep}"
    return file.removeprefix(here).replace(f"|{here}", "|")


def cut_middle(text: str, width: int) -> str:
    """Return a text without its middle where it is wider than so many columns of a terminal."""
    if _width(text) <= width:
        return text
    dots = "…" if can_print("…") else "..."
    room = width - len(dots)
    start = _take(text, room - room // 2)
    end = _take(text[::-1], room // 2)[::-1]
    return f"{start}{dots}{end}"


def _take(text: str, width: int) -> str:
    """Return the beginning of a text that is at most so wide."""
    taken = ""
    for letter in text:
        if _width(taken + letter) > width:
            break
        taken += letter
    return taken


def _width(text: str) -> int:
    """Return the columns of a terminal that a text takes; a Chinese letter takes two."""
    from rich.cells import cell_len

    return cell_len(text)


def _pad(text: str, width: int, *, right: bool = False) -> str:
    spaces = " " * (width - _width(text))
    return spaces + text if right else text + spaces
