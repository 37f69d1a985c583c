"""The file of rows that ``predict --watch`` adds to; what stands in it is done."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cnncli.errors import RUNTIME_FAILURE, CnncliError, clip, shorten
from cnncli.files import check_table, protect_cell, protect_column
from cnncli.recipes.watch.arrivals import State
from cnncli.recipes.watch.lines import ENCODING, csv_line, end_of_records, json_line

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# What a row of the file has behind the columns of ``predict``: the state of the file that was
# answered, and by what. The last one has the same text in every row, so that a row is known to be
# whole by its end.
NETWORK = "network"
OWN_COLUMNS = ("size", "modified", NETWORK)


class RowsFile:
    """A CSV, or a file of JSON lines, that grows by a row for each image.

    A row is added in one piece. One that was cut, because the machine stopped, is taken away as the
    file is opened, and its image counts as not answered.

    Attributes:
        path: The file.
        columns: Names of the columns of a row.
        done: The state in which each image was answered last, by its path.
        count: The number of rows.
        mended: Whether the last line was cut.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[str],
        network: str,
        labels: Collection[str],
        *,
        csv_safe: bool = False,
    ) -> None:
        """Open the file, or make it.

        Args:
            path: Its path, which ends in ``.csv`` or ``.jsonl``.
            columns: Names of the columns that ``predict`` writes.
            network: What tells the network and its decision from all others.
            labels: What may stand as a label.
            csv_safe: Whether no cell of a CSV may be a formula for a spreadsheet.

        Raises:
            CnncliError: If the file is not of these columns, this network or these labels, another
                process writes it, or it cannot be read or written.
        """
        self.path = path
        self.columns = [*columns, *OWN_COLUMNS]
        self.done: dict[str, State] = {}
        self.count = 0
        self.mended = False
        self._where = f"--output {path}"
        self._network = network
        self._labels = {str(protect_cell(label)) if csv_safe else label for label in labels}
        self._csv_safe = csv_safe
        self._header = [protect_column(name) for name in self.columns] if csv_safe else self.columns
        self._is_csv = path.suffix.lower() == ".csv"
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            self._file = os.open(path, flags, 0o666)
        except OSError as error:
            raise CnncliError(f"{self._where}: cannot be opened ({error.strerror})") from None
        try:
            self._lock()
            self._take_up()
        except BaseException:
            os.close(self._file)
            raise

    def close(self) -> None:
        """Flush the file to the disk and close it."""
        with suppress(OSError):
            os.fsync(self._file)
        os.close(self._file)

    def append(self, row: Mapping[str, object], state: State) -> None:
        """Add the row of an image.

        Args:
            row: The row as ``predict`` gives it.
            state: The state of the image's file as it was read.

        Raises:
            CnncliError: If the file cannot be written, or somebody else changed it.
        """
        whole = {**row, **dict(zip(OWN_COLUMNS, (*state, self._network), strict=True))}
        if self._is_csv:
            cells = [whole.get(name) for name in self.columns]
            if self._csv_safe:
                cells = [protect_cell(cell) for cell in cells]
            self._write(csv_line(["" if cell is None else cell for cell in cells]))
        else:
            self._write(json_line(whole))
        self.done[str(row["path"])] = state
        self.count += 1

    def _lock(self) -> None:
        """Let no other process write the file; the system takes the lock away as this one ends."""
        if fcntl is not None:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CnncliError(
                    f"{self._where}: another process watches a folder and writes this file; end "
                    "it first, or name another file"
                ) from None
            except OSError:  # some network file systems have no such locks
                pass

    def _take_up(self) -> None:
        """Read what stands in the file, take away a cut last line, and write a missing header."""
        check_table(self.path, self._where)
        content = self.path.read_bytes()
        self._end = len(content)
        header = csv_line(self._header) if self._is_csv else b""
        end = end_of_records(content, quotes=self._is_csv)
        last = content[end:]
        if self._is_csv and f",{self._network}\n".encode() in last:  # no cut row: whole ones
            raise CnncliError(
                f"{self._where}, line {content[:end].count(10) + 1} or one before it: has a quote "
                "that never ends; mend the line, or remove it"
            )
        if last and end == 0 and self._is_csv and not header.startswith(last):
            raise CnncliError(
                f"{self._where}: {self._other_columns([clip(last.decode(**ENCODING))])}"
            )
        if last and (end or not self._is_csv) and self._is_whole(last):
            content += b"\n"
            end = len(content)
        self._read(content[:end])
        if end > self._end:
            self._write(b"\n")
        elif end < self._end:
            self.mended = True
            os.ftruncate(self._file, end)
            self._end = end
        if not self._end:
            self._write(header)

    def _is_whole(self, last: bytes) -> bool:
        """Return whether a last line lacks nothing but its end."""
        if not self._is_csv:
            try:
                return isinstance(json.loads(last), dict)
            except ValueError:
                return False
        return last.endswith(f",{self._network}".encode())

    def _read(self, content: bytes) -> None:
        """Note the rows that stand in the file.

        Raises:
            CnncliError: If they are none of this command's.
        """
        text = content.decode(**ENCODING).removeprefix("\ufeff")
        for line, row in self._rows_of_csv(text) if self._is_csv else self._rows_of_json(text):
            where = f"{self._where}, line {line}"
            if row[NETWORK] != self._network:
                raise CnncliError(
                    f"{where}: was answered by network {clip(str(row[NETWORK]), 20)}, and this is "
                    f"{self._network}: another checkpoint, decision, --tta or --precision; give "
                    "the one that the file was begun with, or name another file"
                )
            label = row["label"]
            if label and label not in self._labels:
                raise CnncliError(
                    f"{where}: {clip(str(label))!r} is no class of this network; name another file"
                )
            try:
                self.done[str(row["path"])] = int(str(row["size"])), str(row["modified"])
            except ValueError:
                raise CnncliError(
                    f"{where}: {clip(str(row['size']))!r} is no number of bytes; mend the line, "
                    "or remove it"
                ) from None
            self.count += 1

    def _rows_of_csv(self, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Yield the rows of a CSV, each with the number of its last line."""
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        wanted = self._header
        try:
            header = next(reader, wanted)
            if header != wanted:
                raise CnncliError(f"{self._where}: {self._other_columns(header)}")
            for fields in filter(None, reader):
                if len(fields) != len(wanted):
                    raise CnncliError(
                        f"{self._where}, line {reader.line_num}: {len(fields)} fields where the "
                        f"header has {len(wanted)}; mend the line, or remove it"
                    )
                yield reader.line_num, dict(zip(self.columns, fields, strict=True))
        except csv.Error as error:
            raise CnncliError(
                f"{self._where}, line {reader.line_num}: is no CSV ({error}); mend the line, or "
                "remove it"
            ) from None

    def _rows_of_json(self, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Yield the rows of JSON lines, each with the number of its line."""
        for line, part in enumerate(text.split("\n"), start=1):
            if not part.strip():
                continue
            try:
                row = json.loads(part)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                raise CnncliError(
                    f"{self._where}, line {line}: is no JSON object; mend the line, or remove it"
                )
            if set(row) != set(self.columns):
                raise CnncliError(f"{self._where}, line {line}: {self._other_columns(list(row))}")
            yield line, row

    def _other_columns(self, found: Sequence[str]) -> str:
        """Return what is wrong with the columns of the file."""
        lacking = [name for name in self.columns if name not in found]
        extra = [name for name in found if name not in self.columns]
        parts = [f"lacks {shorten(lacking)}"] * bool(lacking)
        parts += [f"has {clip(shorten(extra))}"] * bool(extra)
        return (
            f"has other columns than are written now ({'; '.join(parts) or 'another order'}); give "
            "the flags that it was begun with, or name another file"
        )

    def _write(self, content: bytes) -> None:
        """Add bytes to the file, all of them or none."""
        self._check_ours()
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, self._end)
            raise CnncliError(
                f"{self.path}: cannot be written: {error.strerror}", exit_code=RUNTIME_FAILURE
            ) from None
        self._end += len(content)

    def _check_ours(self) -> None:
        """Refuse to write where the rows would be lost, or would stand behind a stranger's."""
        mine = os.fstat(self._file)
        try:
            is_there = os.path.samestat(mine, os.stat(self.path))
        except OSError:
            is_there = False
        if not is_there or mine.st_size != self._end:
            raise CnncliError(
                f"{self.path}: somebody else {'changed' if is_there else 'removed or replaced'} it "
                "meanwhile; start again, and what stands in it then is done",
                exit_code=RUNTIME_FAILURE,
            )
