"""Files: the names of those in a run folder, whether one may be written, and how it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cnncli.errors import RUNTIME_FAILURE, CnncliError

# The files of a run folder; docs/run-folder.md says what each of them holds.
CONFIG_FILE = "config.yaml"
SPLITS_FILE = "splits.csv"
BAD_IMAGES_FILE = "bad_images.csv"
METRICS_FILE = "metrics.csv"
BEST_FILE = "best.safetensors"
LAST_FILE = "last.pt"
CURVES_FILE = "curves.png"
REPORT_FILE = "report.json"
PREDICTIONS_FILE = "predictions.csv"


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make a file beside ``path``, flush it to disk, then put it in its place.

    Raises:
        CnncliError: If the disk is full or the folder cannot be written; ``path`` is as before.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        write(temporary)
        temporary.chmod(mode)  # safetensors makes files that only their owner can read
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CnncliError(
            f"{path}: cannot be written: {reason}", exit_code=RUNTIME_FAILURE
        ) from error
    finally:  # also when interrupted
        with suppress(OSError):
            temporary.unlink()


def _flush_folder(folder: Path) -> None:
    """Make a file's new name last over a power cut, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_picture(output: str) -> Path:
    """Return the picture's path; tell before the runs are read what would stop it.

    Raises:
        CnncliError: If it cannot be written there.
    """
    path = Path(output).expanduser()
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise CnncliError(f"--output {output}: must end in .png or .jpg")
    if path.is_dir() or not path.parent.is_dir():
        what = "is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise CnncliError(f"--output {output}: {what}")
    return path
