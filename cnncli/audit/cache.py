"""Looks at files that have not changed since: one SQLite file per user.

A cache may be slow, full, damaged or used by several processes at once: then files are looked at
anew, and nothing is said.
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

# Raise it when a look at the same file would differ: each version has a cache file of its own.
VERSION = 2

_DAYS_KEPT = 180
_PATIENCE = 5.0  # seconds, while another process writes
_BATCH = 500

_SCHEMA = """
CREATE TABLE IF NOT EXISTS looks (
    path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, day INTEGER, look TEXT, thumbnail BLOB
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class FileKey:
    """By what a sample's files are known again: absolute paths, sizes and times of change."""

    path: str
    size: int
    mtime_ns: int


def find_cache_folder() -> Path:
    """Return ``$CNNCLI_CACHE``, else ``cnncli`` in the folder where the system keeps caches."""
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
    """Return the key of a sample's files; raises OSError."""
    states = [os.stat(path) for path in paths]
    return FileKey(
        "\n".join(str(Path(path).absolute()) for path in paths),
        sum(state.st_size for state in states),
        max(state.st_mtime_ns for state in states),
    )


class LookCache:
    """Keeps looks by file; a damaged file is made anew, a closed folder is done without."""

    def __init__(self, folder: Path | None) -> None:
        self._connection = (
            None if folder is None else _open(folder / f"check-data-{VERSION}.sqlite")
        )
        self._waiting: list[tuple[object, ...]] = []

    def load(self, keys: Iterable[FileKey]) -> dict[str, tuple[FileFacts, Array]]:
        """Return what is known of files, by the path in their key."""
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

    def save(self, key: FileKey, look: FileFacts, thumbnail: Array) -> None:
        """Keep a look; written in batches, and by ``close``."""
        packed = zlib.compress(thumbnail.tobytes(), 1)
        fields = json.dumps(look.fields(), ensure_ascii=False)
        self._waiting.append((key.path, key.size, key.mtime_ns, _today(), fields, packed))
        if len(self._waiting) >= _BATCH:
            self._write()

    def close(self) -> None:
        """Write what waits and forget what is old."""
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
            except sqlite3.Error:  # full, or held by another for too long
                self._connection.close()
                self._connection = None


def _today() -> int:
    return int(time.time() // 86_400)


def _open(path: Path) -> sqlite3.Connection | None:
    for _ in range(2):
        connection = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=_PATIENCE)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(_SCHEMA)
            connection.execute("SELECT path, look FROM looks LIMIT 1").fetchone()
        except sqlite3.OperationalError:  # locked, read-only, full: not ours to mend
            _close(connection)
            return None
        except sqlite3.DatabaseError:  # not a database, or a torn page
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
    try:
        look = FileFacts(*json.loads(fields))
        pixels = np.frombuffer(zlib.decompress(packed), np.uint8)
        return look, pixels.reshape(THUMBNAIL, THUMBNAIL)
    except (ValueError, TypeError, zlib.error):
        return None
