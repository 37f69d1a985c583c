"""The terminal: answers on stdout in every format, everything else on stderr."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TextIO

from cnncli.errors import CnncliError
from cnncli.reporting import UNSEEN_CHARACTERS, SilentReporter, TableLayout, show_controls
from cnncli.shell.cells import CUT, wrap_words
from cnncli.shell.columns import Row
from cnncli.shell.csv_text import list_csv
from cnncli.shell.growing_table import choose_columns, head_of_rows, line_of_row
from cnncli.shell.tables import draw_table, find_width
from cnncli.torchrun import is_follower

if TYPE_CHECKING:  # rich costs 50 ms, and conv-size never needs it
    from rich.console import Console

    from cnncli.reporting import Advance, Reporter


def choose_format(chosen: str | None, *, piped: str) -> str:
    """Return ``chosen``, or ``"table"`` on a terminal and ``piped`` in a pipe."""
    return chosen or ("table" if sys.stdout.isatty() else piped)


def print_rows(
    rows: Iterable[Row],
    columns: Sequence[str],
    output_format: str,
    *,
    csv_safe: bool = False,
    layout: TableLayout = TableLayout(whole="--format csv"),  # noqa: B008 - it never changes
) -> None:
    """Write rows to stdout as they come, each at once; see :func:`print_batches`."""
    batches = ([row] for row in rows)
    print_batches(batches, columns, output_format, csv_safe=csv_safe, layout=layout)


def print_batches(
    batches: Iterable[Sequence[Row]],
    columns: Sequence[str],
    output_format: str,
    *,
    csv_safe: bool = False,
    layout: TableLayout = TableLayout(whole="--format csv"),  # noqa: B008 - it never changes
) -> None:
    """Write rows to stdout as they come (``table`` and ``json`` need them all first).

    The rows of a batch are written together, at once: a reader down the pipe sees them, and they
    stay where the process is killed. An error before the first row leaves stdout empty.

    Args:
        batches: Rows: mappings with the ``columns`` as keys; ``None`` is an empty field.
        columns: The header, in order; jsonl and json keep a row's other keys too.
        output_format: ``table``, ``csv``, ``json`` or ``jsonl``.
        csv_safe: Whether no cell of a CSV may be a formula for a spreadsheet.
        layout: What of a table may be cut, wrapped or left out on a narrow terminal.
    """
    if output_format == "csv":
        _write_each(list_csv(batches, columns, csv_safe=csv_safe))
    elif output_format == "jsonl":
        _write_each("".join(map(_format_json, batch)) for batch in batches)
    elif output_format == "json":
        print_json([dict(row) for batch in batches for row in batch])
    else:
        rows = chain.from_iterable(batches)
        sys.stdout.write(_show_table(sys.stdout, rows, columns, layout))
        sys.stdout.flush()


def print_json(value: object) -> None:
    """Write one indented JSON document to stdout; NaN is a bug, not a value."""
    encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, indent=2)
    pieces = encoder.iterencode(value)  # it may be hundreds of megabytes, a number each
    while text := "".join(islice(pieces, 10_000)):
        sys.stdout.write(_escape_json(text))
    print_line("")


def print_array(array: Any) -> None:
    """Write an array to stdout as a .npy file, for ``numpy.load`` to read from a pipe.

    Raises:
        CnncliError: If stdout is a terminal, which cannot show it.
    """
    import numpy as np

    if sys.stdout.isatty():
        raise CnncliError("--format npy: binary numbers; send them to a file: > numbers.npy")
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    sys.stdout.flush()
    sys.stdout.buffer.write(content.getvalue())
    sys.stdout.buffer.flush()


def _escape_json(text: str) -> str:
    r"""Escape what stdout's encoding lacks, bytes that are no text, and control characters.

    They can only stand in strings of the document, where ``\u202e`` means the same.
    """
    text = UNSEEN_CHARACTERS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    if can_print(text):
        return text
    return "".join(c if c < "\x80" else json.dumps(c)[1:-1] for c in text)


def can_print(text: str) -> bool:
    """Return whether stdout's encoding has all characters of a text."""
    return _can_write(sys.stdout, text)


def _can_write(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _write_each(texts: Iterable[str]) -> None:
    """Write texts to stdout as they come."""
    for text in texts:
        sys.stdout.write(text)
        sys.stdout.flush()


def _format_json(row: Row) -> str:
    return _escape_json(json.dumps(dict(row), ensure_ascii=False, allow_nan=False)) + "\n"


def print_text(text: str) -> None:
    """Write one line for a person to stdout, with control characters made visible."""
    print_line(show_controls(text))


def print_sentence(text: str) -> None:
    """Write a text for a person to stdout, wrapped at spaces where stdout has a width."""
    width = find_width(sys.stdout)
    text = show_controls(text)
    print_line(text if width is None else "\n".join(wrap_words(text, width)))


def print_line(text: str) -> None:
    """Write one line to stdout at once, so that a reader down the pipe sees it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_error(text: str) -> None:
    """Write one line to stderr; line breaks inside ``text`` are folded."""
    lines = _wrap_for_stderr("Error: " + " ".join(re.split(r"\r?\n", text)))
    _write_to_stderr("\n".join(lines) + "\n")


def _console(stream: TextIO) -> Console:
    from rich.console import Console
    from rich.theme import Theme

    plain = _is_plain(stream)
    return Console(
        file=stream,
        force_terminal=not plain,
        color_system=None if plain else "auto",
        highlight=False,
        emoji=False,
        # A pipe has no width: rich would cut cells at 80 columns.
        width=None if stream.isatty() else 10_000,
        # rich's cyan is hardly seen on a light ground; these are the terminal's own colours.
        theme=Theme(dict.fromkeys(("progress.download", "progress.remaining"), "none")),
    )


def _is_plain(stream: TextIO) -> bool:
    """Return whether a stream is to get text alone: no colour and no moving bar."""
    return not stream.isatty() or bool(os.environ.get("NO_COLOR"))


def _show_table(
    stream: TextIO,
    rows: Iterable[Row],
    columns: Sequence[str],
    layout: TableLayout | None,
    title: str = "",
) -> str:
    """Return a table as it fits a stream, with an empty line behind it."""
    mark, line = (CUT, "─") if _can_write(stream, CUT + "─") else ("...", "-")
    lines = draw_table(
        rows, columns, width=find_width(stream), layout=layout, title=title, mark=mark, line=line
    )
    return "".join(f"{text}\n" for text in lines) + "\n"


class TerminalReporter:
    """Notes, warnings, tables and bars on stderr; plain when it is not a terminal."""

    def __init__(self) -> None:
        self._live: Any = None
        self._growing: dict[str, int] = {}  # columns of the rows so far, and their widths
        self._columns: set[str] = set()  # of these rows, also those that have no room

    def note(self, text: str) -> None:
        self._print(text)

    def warn(self, text: str) -> None:
        self._print("Warning: " + text)

    def table(self, title: str, rows: Sequence[Row], layout: TableLayout | None = None) -> None:
        if rows:
            text = _show_table(sys.stderr, rows, list(rows[0]), layout, title)
            self._print_lines([*[""] * bool(self._growing), *text.splitlines()])
            self._growing = {}

    def row(self, cells: Mapping[str, str], text: str, *, drop: Sequence[str] = ()) -> None:
        width = find_width(sys.stderr) if sys.stderr.isatty() else None
        if width is None:
            self._print(text)
            return
        if not self._growing or not cells.keys() <= self._columns:
            begin, line = [""] * bool(self._growing), "─" if _can_write(sys.stderr, "─") else "-"
            self._growing, self._columns = choose_columns(cells, drop, width), set(cells)
            self._print_lines([*begin, *head_of_rows(self._growing, line)])
        self._print_lines([line_of_row(cells, self._growing)])

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Advance]:
        if _is_plain(sys.stderr):
            yield _no_bar
            return
        from rich import progress as bars

        columns = (
            bars.TextColumn("{task.description}", markup=False),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            bars.TimeRemainingColumn(),
            bars.TextColumn("{task.fields[text]}", markup=False),
        )
        with bars.Progress(*columns, console=_console(sys.stderr), transient=True) as live:
            self._live = live
            task = live.add_task(show_controls(label), total=total, text="")

            def advance(count: int = 1, text: str = "") -> None:
                live.update(task, advance=count, text=show_controls(text))

            try:
                yield advance
                live.update(task, completed=total)  # fewer where a run stops early
            finally:
                self._live = None

    def _print(self, text: str) -> None:
        self._print_lines(_wrap_for_stderr(text))

    def _print_lines(self, lines: Sequence[str]) -> None:
        text = "\n".join(lines)
        if self._live is not None:  # keeps the bar below the line
            self._live.console.print(text, markup=False, soft_wrap=True)
        else:
            _write_to_stderr(text + "\n")


def _wrap_for_stderr(text: str) -> list[str]:
    """Return the lines of a message: wrapped at spaces on a terminal, one line in a pipe."""
    text = show_controls(text)
    width = find_width(sys.stderr) if sys.stderr.isatty() else None
    return [text] if width is None else wrap_words(text, width, indent="  ")


def _write_to_stderr(text: str) -> None:
    """Write at once; go on with the work, and keep the exit code, where nobody reads any more."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        with suppress(OSError):  # a stderr that is no file
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def choose_reporter() -> Reporter:
    """Return a reporter for the terminal; a silent one in all but the first torchrun process."""
    return SilentReporter() if is_follower() else TerminalReporter()


def tell_begin(text: str) -> None:
    """Say on a terminal what is begun, before torch is loaded: that takes some seconds."""
    if sys.stderr.isatty():
        choose_reporter().note(text)


def _no_bar(count: int = 1, text: str = "") -> None: ...
