"""What a classifier confuses, as a person reads it on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnncli.reporting import show_controls
from cnncli.shell.cells import CUT, cell_width, cut_middle, pad
from cnncli.shell.tables import find_width
from cnncli.shell.terminal import can_print, print_line, print_rows, print_sentence

# Columns of text where stdout is no terminal, and of a class's name in a table.
_WIDTH, _NAME, _SHORT_NAME = 200, 32, 12
_LARGEST = 10  # confusions that are listed where the matrix does not fit
_GAP = "  "


def print_confusions(report: Mapping[str, Any]) -> None:
    """Print the confusion matrix of a report, or its largest confusions if it does not fit.

    Args:
        report: As ``report.json`` holds it.
    """
    width = find_width(sys.stdout) or _WIDTH
    names = [show_controls(name) for name in report["class_names"]]
    matrix = report["confusion_matrix"]
    lines = _fit_matrix(names, matrix, width)
    if lines is not None:
        print_sentence(
            "Confusion matrix: rows are true classes, columns predicted ones; . is no image"
        )
        for line in ("", *lines):
            print_line(line)
        return
    pairs = sorted(_list_confusions(names, matrix), key=lambda row: -row["images"])
    print_sentence(
        f"The confusion matrix of {len(names):,} classes is wider than the {width} columns here;"
        "\n--output DIR writes it whole, and --format json has it."
    )
    if not pairs:
        print_line("No class is taken for another.")
        return
    few = f"The {min(_LARGEST, len(pairs))} largest of {len(pairs):,} confusions"
    print_sentence(f"{few}, with their share of the true class:")
    print_line("")
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
    longest = max(map(cell_width, names))
    if longest <= _SHORT_NAME:
        lines = _draw_matrix("predicted", names, names, cells)
        if max(map(cell_width, lines)) <= width:
            return lines
    for limit in range(min(longest, _NAME), min(longest, _SHORT_NAME) - 1, -1):
        rows = [
            f"{number:>{len(numbers[-1])}}  {cut_middle(name, limit, _mark())}"
            for number, name in zip(numbers, names, strict=True)
        ]
        lines = _draw_matrix("predicted, by the number of the row", rows, numbers, cells)
        if max(map(cell_width, lines)) <= width:
            return lines
    return None


def _draw_matrix(
    above: str, rows: Sequence[str], columns: Sequence[str], cells: Sequence[Sequence[str]]
) -> list[str]:
    """Return the lines of a matrix whose numbers stand at the right of their columns."""
    first = max(len("true"), *map(cell_width, rows))
    widths = [max(map(cell_width, column)) for column in zip(columns, *cells, strict=True)]

    def draw(name: str, texts: Sequence[str]) -> str:
        padded = (pad(text, wide, right=True) for text, wide in zip(texts, widths, strict=True))
        return f"{pad(name, first)}{_GAP}{_GAP.join(padded)}"

    head = draw("true", columns)
    rule = ("─" if can_print("─") else "-") * cell_width(head)
    body = (draw(name, row) for name, row in zip(rows, cells, strict=True))
    return [f"{' ' * first}{_GAP}{above}", head, rule, *body]


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
        print_sentence(f"No mistake among {report['images']:,} images")
        return
    listed = f"The {len(mistakes):,} surest of {wrong:,} mistakes"
    if len(mistakes) == wrong:
        listed = "The only mistake" if wrong == 1 else f"All {wrong:,} mistakes, the surest first"
    print_sentence(listed)
    print_line("")
    head = ("probability", "true", "predicted", "file")
    rows = [
        (
            f"{row['probability']:.4f}",
            cut_middle(show_controls(row["target"]), _NAME, _mark()),
            cut_middle(show_controls(row["label"]), _NAME, _mark()),
            show_controls(path_from_here(row["file"]) or row["path"]),
        )
        for row in mistakes
    ]
    width = find_width(sys.stdout) or _WIDTH
    columns = list(zip(head, *rows, strict=True))
    widths = [max(map(cell_width, column)) for column in columns]
    fits = sum(widths) + 3 * len(_GAP) <= width
    for number, (probability, true, predicted, path) in enumerate((head, *rows)):
        start = f"{pad(probability, widths[0], right=True)}{_GAP}"
        line = f"{start}{pad(true, widths[1])}{_GAP}{pad(predicted, widths[2])}"
        print_line(f"{line}{_GAP}{path}" if fits else f"{line.rstrip()}\n{' ' * len(start)}{path}")
        if number == 0:
            rule = sum(widths) + 3 * len(_GAP) if fits else cell_width(line)
            print_line(("─" if can_print("─") else "-") * rule)
    if any(row["file"] is None for row in mistakes):
        print_sentence(
            "The images are parts of an array: the number in a name is the place in it, from 0."
        )


def path_from_here(file: str | None) -> str | None:
    """Return an absolute path relative to the working folder if it lies below it."""
    if file is None:
        return None
    here = f"{Path.cwd()}{os.sep}"
    return file.removeprefix(here).replace(f"|{here}", "|")


def _mark() -> str:
    """Return what stands for a piece that was cut out, as far as stdout's encoding has it."""
    return CUT if can_print(CUT) else "..."
