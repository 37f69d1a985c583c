"""The names of a run folder's files, checks before writing, and writing without half files."""

from __future__ import annotations

import codecs
import csv
import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from cnncli.errors import RUNTIME_FAILURE, CnncliError

# The files of a run folder; docs/run-folder.md says what each of them holds.
CONFIG_FILE = "config.yaml"
SPLITS_FILE = "splits.csv"
BAD_IMAGES_FILE = "bad_images.csv"
EXCLUDED_FILE = "excluded.csv"
DATA_CHECK_FILE = "data_check.json"  # what was warned of before epoch 1
CANDIDATES_FILE = "candidates.csv"  # the networks that --model auto judged
METRICS_FILE = "metrics.csv"
BEST_FILE = "best.safetensors"
LAST_FILE = "last.pt"
LOCK_FILE = "run.lock"  # only while a process trains the run
NOTE_FILE = "note.txt"  # of a person, by `cnncli runs note`
CURVES_FILE = "curves.png"
REPORT_FILE = "report.json"
PREDICTIONS_FILE = "predictions.csv"  # of the images that the report is of
VAL_PREDICTIONS_FILE = "val_predictions.csv"  # where the report is of test
DECISION_FILE = "decision.json"  # beside the weights, by `cnncli evaluate`
STUDIES_FOLDER = "tune"  # beside runs: a folder for each study, with one for each trial in it
OUT_OF_FOLD = "out of fold"  # the split in the report of a cross-validation
EPOCHS_FOLDER = "epochs"  # of checkpoints 0000.safetensors, 0005.safetensors …
REPORT_PAGE = "report.html"  # of `cnncli report`
ONNX_FILE = "best.onnx"  # beside the weights, at the end of a run and by `cnncli export`
INT8_FILE = "best.int8.onnx"  # by `cnncli export --int8`
OPENVINO_FILE = "best.xml"  # by `cnncli export --format openvino`

# The greatest files that are read, in bytes. An image of the most pixels that are decoded has 3 GiB
# as 32-bit colour; a table of ten million images has one.
MOST_OF_IMAGE = 4 * 2**30
MOST_OF_TABLE = 2 * 2**30
MOST_OF_WEIGHTS = 2**40

# The endings of a picture's file name.
PICTURES = (".png", ".jpg", ".jpeg")


def run_dir_of(checkpoint: Path) -> Path:
    """Return the run folder in which a checkpoint lies, be it the best or one of a kept epoch."""
    folder = checkpoint.parent
    return folder.parent if folder.name == EPOCHS_FOLDER else folder


def expand_path(given: str | Path) -> Path:
    """Return a path in which ``~`` and ``~name`` at the beginning stand for a home folder.

    Raises:
        CnncliError: If there is no user of that name, the home folder is not known, or the text
            cannot be a path.
    """
    if "\0" in str(given):
        raise CnncliError(f"{given!r}: a path has no character with the number 0")
    try:
        return Path(given).expanduser()
    except RuntimeError:
        user = Path(given).parts[0]
        raise CnncliError(
            f"{given}: {user} is no home folder of this computer; write ./{user} for a folder of "
            "that name, or the whole path"
        ) from None


def check_regular(path: str | Path, *, most: int) -> int:
    """Return the size of a file, or refuse what cannot be read to its end; links are followed.

    A pipe may never end, and a device such as ``/dev/zero`` does not. A folder passes: reading it
    fails with the system's own words.

    Args:
        path: Path of the file.
        most: Number of bytes that such a file has at most.

    Raises:
        OSError: If there is no such file, or it is a pipe, a device, a socket or larger than
            ``most``; ``strerror`` says so.
    """
    facts = os.stat(path)
    kind, size, reason = stat.S_IFMT(facts.st_mode), facts.st_size, ""
    if kind == stat.S_IFIFO:
        reason = "a pipe, not a file; write what comes out of it to a file first"
    elif kind not in (stat.S_IFREG, stat.S_IFDIR):
        reason = "a device or a socket, not a file"
    elif kind == stat.S_IFREG and size > most:
        reason = f"larger than {most / 2**20:,.0f} MiB, the most that is read of such a file"
    if reason:
        raise OSError(errno.EINVAL, reason, str(path))
    return size


def check_table(path: Path, where: str, *, most: int = MOST_OF_TABLE) -> None:
    """Refuse a table that cannot be read to its end.

    Args:
        path: Path of the table.
        where: What stands in front of the reason in the error.
        most: Number of bytes that such a file has at most.

    Raises:
        CnncliError: If `check_regular` refuses it.
    """
    try:
        check_regular(path, most=most)
    except OSError as error:
        raise CnncliError(f"{where}: cannot be read ({error.strerror})") from None


def read_file(path: str | Path, *, most: int) -> bytes:
    """Return the content of a regular file.

    Args:
        path: Path of the file.
        most: Number of bytes that such a file has at most.

    Raises:
        OSError: As `check_regular` does, and if the file cannot be read.
    """
    size = check_regular(path, most=most)
    with open(path, "rb", buffering=0) as file:  # a buffer takes long to make
        content = file.read(size + 1)
    if len(content) == size:
        return content
    with open(path, "rb") as file:  # it grows, or the system does not tell its size
        return file.read(most)


def decode_text(content: bytes) -> str:
    """Return bytes as text: UTF-8, or what a byte order mark at their beginning says.

    PowerShell writes UTF-16 with such a mark, Excel and Notepad UTF-8 with one.

    Raises:
        UnicodeDecodeError: If the bytes are no such text.
    """
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return content.decode("utf-32")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    return content.decode("utf-8-sig")


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


@contextmanager
def open_csv_writer(path: Path, *, delimiter: str = ",") -> Iterator[Any]:
    """Open a file for a table whose every text reads back as it was, and give its ``csv.writer``.

    Rows end in a line feed. A name of bytes that are no UTF-8 is written as these bytes.

    Args:
        path: The file to write.
        delimiter: What separates the fields.
    """
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        yield csv.writer(_LineFeeds(file), delimiter=delimiter, lineterminator="\r\n")


class _LineFeeds:
    """A text file in which rows of a CSV end in a line feed.

    Python's writer puts quotes around a text with a carriage return only if rows end in one too;
    and its reader ends a row at one without quotes.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, row: str) -> int:
        """Write a whole row, which ends in a carriage return and a line feed."""
        return self._file.write(f"{row[:-2]}\n")


def protect_cell(value: object) -> object:
    """Return a cell of a CSV so that a spreadsheet does not take it for a formula.

    A text that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return gets a ``'``.
    Numbers stay as they are.

    Source: https://owasp.org/www-community/attacks/CSV_Injection
    """
    formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if formula else value


def protect_column(name: str) -> str:
    """Return the name of a CSV's column as `protect_cell` would have it.

    The column of a class's probability has the class as it stands in the cells, so that a label
    names its column.
    """
    begin = "probability_" if name.startswith("probability_") else ""
    return f"{begin}{protect_cell(name[len(begin) :])}"


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
    path = expand_path(given)
    if suffixes and path.suffix.lower() not in suffixes:
        known = " or ".join(filter(None, (", ".join(suffixes[:-1]), suffixes[-1])))
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
    folder = expand_path(given)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CnncliError(f"{flag} {given}: cannot be made ({error.strerror})") from None
    if not os.access(folder, os.W_OK):
        raise CnncliError(f"{flag} {given}: the folder {folder} cannot be written to")
    return folder
