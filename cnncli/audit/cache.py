"""A cache of the facts on files that have not changed, in one SQLite database per user.

A cache may be slow, full, damaged or in use by several processes at once. None of this is an
error: the files are read again, without a message.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.audit.file_facts import THUMBNAIL, FileFacts

# Raise it when `read_file_facts` returns something else for the same file, or when the fields of
# `FileFacts` change. Each version has a database of its own.
VERSION = 4

# Facts that were last read from a file more days ago than this are deleted.
_DAYS_KEPT = 180
# Seconds to wait while another process writes.
_PATIENCE = 5.0
# Facts are written to the database when so many have been collected.
_BATCH = 500

# A "look" is what the first version called the facts on a file.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS looks (
    path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, day INTEGER, look TEXT, thumbnail BLOB
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class FileKey:
    """What identifies the unchanged files of a sample.

    Attributes:
        path: Absolute paths of the files, separated by line breaks.
        size: Size of all the files together in bytes.
        mtime_ns: Time of the latest change of any of the files, in nanoseconds since 1970.
    """

    path: str
    size: int
    mtime_ns: int


def find_cache_folder() -> Path | None:
    """Return ``$CNNCLI_CACHE`` if it is set, else ``cnncli`` in the system's folder for caches.

    Returns:
        The folder; None where the home folder is not known.
    """
    try:
        return _find_cache_folder()
    except RuntimeError:
        return None


def _find_cache_folder() -> Path:
    own = os.environ.get("CNNCLI_CACHE")
    if own:
        return Path(own)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cnncli"


def make_key(paths: Sequence[str]) -> FileKey:
    """Return the key of a sample's files.

    Raises:
        OSError: If a file does not exist or its folder cannot be read.
    """
    states = [os.stat(path) for path in paths]
    return FileKey(
        "\n".join(str(Path(path).absolute()) for path in paths),
        sum(state.st_size for state in states),
        max(state.st_mtime_ns for state in states),
    )


class FactsCache:
    """Facts and thumbnails of files, kept from one run of the check to the next.

    A damaged database is replaced by a new one. Where the folder cannot be written to, nothing is
    found and nothing is kept.
    """

    def __init__(self, folder: Path | None) -> None:
        """Open the database in a folder, or none at all if the folder is None."""
        self._connection = (
            None if folder is None else _open(folder / f"check-data-{VERSION}.sqlite")
        )
        self._waiting: list[tuple[object, ...]] = []

    def load(self, keys: Iterable[FileKey]) -> dict[str, tuple[FileFacts, Array]]:
        """Return facts and thumbnail of each file that is known and unchanged, by ``key.path``."""
        known = {}
        if self._connection is not None:
            with suppress(sqlite3.Error):
                for key in keys:
                    row = self._connection.execute(
                        "SELECT look, thumbnail FROM looks"
                        " WHERE path = ? AND size = ? AND mtime_ns = ?",
                        (key.path, key.size, key.mtime_ns),
                    ).fetchone()
                    found = None if row is None else _unpack(*row)
                    if found is not None:
                        known[key.path] = found
        return known

    def save(self, key: FileKey, facts: FileFacts, thumbnail: Array) -> None:
        """Keep the facts on a file and its thumbnail.

        They are written to disk in batches; ``close`` writes the last one.

        Args:
            key: The file.
            facts: What was found out about it.
            thumbnail: (64, 64) uint8.
        """
        packed = zlib.compress(thumbnail.tobytes(), 1)
        fields = json.dumps(facts.fields(), ensure_ascii=False)
        self._waiting.append((key.path, key.size, key.mtime_ns, _today(), fields, packed))
        if len(self._waiting) >= _BATCH:
            self._write()

    def close(self) -> None:
        """Write what is not yet on disk, delete what is old, and close the database."""
        self._write()
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.execute(
                    "DELETE FROM looks WHERE day < ?", (_today() - _DAYS_KEPT,)
                )
                self._connection.commit()
            self._connection.close()
            self._connection = None

    def _write(self) -> None:
        rows, self._waiting = self._waiting, []
        if self._connection is not None and rows:
            try:
                with self._connection:
                    self._connection.executemany(
                        "INSERT OR REPLACE INTO looks VALUES (?, ?, ?, ?, ?, ?)", rows
                    )
            except sqlite3.Error:  # the disk is full, or another process wrote for too long
                self._connection.close()
                self._connection = None


def _today() -> int:
    """Return the number of days since 1970."""
    return int(time.time() // 86_400)


def _open(path: Path) -> sqlite3.Connection | None:
    """Open the database; None if that cannot be done. A damaged one is deleted and made anew."""
    for _ in range(2):
        connection = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=_PATIENCE)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(_SCHEMA)
            connection.execute("SELECT path, look FROM looks LIMIT 1").fetchone()
        except sqlite3.OperationalError:  # locked, read-only or full: a new one would be no better
            _close(connection)
            return None
        except sqlite3.DatabaseError:  # not a database, or a damaged page
            _close(connection)
            with suppress(OSError):
                path.unlink()
        except OSError:
            return None
        else:
            return connection
    return None


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        connection.close()


def _unpack(fields: str, packed: bytes) -> tuple[FileFacts, Array] | None:
    """Return the facts and the (64, 64) thumbnail of a row; None if the row is damaged."""
    try:
        facts = FileFacts(*json.loads(fields))
        pixels = np.frombuffer(zlib.decompress(packed), np.uint8)
        return facts, pixels.reshape(THUMBNAIL, THUMBNAIL)
    except (ValueError, TypeError, zlib.error):
        return None
