"""The names of a run folder's files, checks before writing, and writing without half files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
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
LOCK_FILE = "run.lock"  # only while a process trains the run
CURVES_FILE = "curves.png"
REPORT_FILE = "report.json"
PREDICTIONS_FILE = "predictions.csv"

# The endings of a picture's file name.
PICTURES = (".png", ".jpg", ".jpeg")


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under a temporary name, flush it to disk, then rename it.

    Args:
        path: The file's final path. What a symbolic link names is replaced, not the link. A device
            such as ``/dev/stdout`` is written to as it is.
        write: Called with the temporary path, in the same folder, to write the content.

    Raises:
        CnncliError: If the disk is full or the folder cannot be written; ``path`` is unchanged.
    """
    given, path = path, path.resolve() if path.is_symlink() else path
    temporary = path.with_name(path.name + ".part")
    try:
        if path.exists() and not path.is_file():
            write(path)
            return
        temporary.touch()
        mode = temporary.stat().st_mode
        write(temporary)
        temporary.chmod(mode)  # safetensors writes files that only their owner can read
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CnncliError(
            f"{given}: cannot be written: {reason}", exit_code=RUNTIME_FAILURE
        ) from error
    finally:  # also after Ctrl-C
        with suppress(OSError):
            temporary.unlink()


def _flush_folder(folder: Path) -> None:
    """Flush a folder to disk, so that a renamed file keeps its new name after a power cut."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_output_file(
    given: str, flag: str = "--output", *, suffixes: Sequence[str] = (), overwrite: bool = True
) -> Path:
    """Return the path of a file that is to be written, or refuse it before the work begins.

    Args:
        given: The path as the user gave it; ``~`` is the home folder.
        flag: The flag it was given by, for the message.
        suffixes: The endings that the name may have, such as ``.png``; empty for any.
        overwrite: Whether a file that exists may be replaced.

    Raises:
        CnncliError: If the file cannot be written there, or its name has another ending.
    """
    path = Path(given).expanduser()
    if suffixes and path.suffix.lower() not in suffixes:
        known = f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"
        raise CnncliError(f"{flag} {given}: must end in {known}")
    if path.is_dir():
        raise CnncliError(f"{flag} {given}: is a folder; name a file in it")
    if path.exists() and not overwrite:
        raise CnncliError(f"{flag} {given}: is there already; --force writes over it")
    if not path.parent.is_dir():
        raise CnncliError(f"{flag} {given}: there is no folder {path.parent}")
    is_device = path.exists() and not path.is_file()  # such as /dev/stdout
    if not is_device and not os.access(path.parent, os.W_OK):
        raise CnncliError(f"{flag} {given}: the folder {path.parent} cannot be written to")
    return path


def make_output_folder(given: str, flag: str = "--output") -> Path:
    """Make a folder that results are to be written into, or refuse it before the work begins.

    Args:
        given: The path as the user gave it; ``~`` is the home folder. Folders above it are made
            too, and it may exist.
        flag: The flag it was given by, for the message.

    Raises:
        CnncliError: If the folder cannot be made or written to.
    """
    folder = Path(given).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CnncliError(f"{flag} {given}: cannot be made ({error.strerror})") from None
    if not os.access(folder, os.W_OK):
        raise CnncliError(f"{flag} {given}: the folder {folder} cannot be written to")
    return folder
