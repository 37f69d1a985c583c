"""Which folders are runs, and which run is the newest.

Light: this module is imported before torch, and must not import it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from cnncli.files import BEST_FILE, CONFIG_FILE, LAST_FILE, METRICS_FILE

# A folder with one of these files is a run, or what is left of one. Others have splits.csv and
# report.json too: split and evaluate --output write them.
_OF_RUNS = (CONFIG_FILE, METRICS_FILE, BEST_FILE, LAST_FILE)


def is_run_folder(path: Path) -> bool:
    """Return whether a folder holds a file that only runs have."""
    return any(os.path.lexists(path / name) for name in _OF_RUNS)


def list_run_folders(output: Path) -> list[Path]:
    """Return the run folders in a folder, the newest first.

    A run is as new as its best epoch, or, before there is one, as its settings.

    Args:
        output: The folder that holds the run folders; it need not exist.
    """
    try:
        found = [path for path in output.iterdir() if path.is_dir() and is_run_folder(path)]
    except OSError:
        return []
    return sorted(found, key=lambda path: (_time_of(path), path.name), reverse=True)


def _time_of(run_dir: Path) -> float:
    for name in (BEST_FILE, CONFIG_FILE, "."):
        with suppress(OSError):  # it may be removed meanwhile
            return (run_dir / name).stat().st_mtime
    return 0.0
