"""The flags by which ``predict`` answers the images of a folder as they arrive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cnncli.errors import CnncliError, did_you_mean
from cnncli.shell.flags import flag
from cnncli.torchrun import read_place

Watch = flag(
    str,
    "Answer the images of a folder as they arrive, in place of INPUT: a row of --output each, "
    "until Ctrl-C.",
    metavar="FOLDER",
)
Interval = flag(
    float, "Seconds between two looks into the folder of --watch [1].", metavar="SECONDS"
)
_ENDINGS = (".csv", ".jsonl")


@dataclass(frozen=True)
class Watched:
    """What is to be watched.

    Attributes:
        folder: The folder, as an absolute path without symbolic links and ``..``.
        rows: The file of rows.
        interval: Seconds between two looks into the folder.
    """

    folder: Path
    rows: Path
    interval: float

    @property
    def form(self) -> str:
        """The form of the rows: ``csv`` or ``jsonl``."""
        return self.rows.suffix.lower()[1:]


def take_watch(
    folder: str | None,
    interval: float | None,
    output: str | None,
    inputs: Sequence[str],
    output_format: str | None,
    others: Mapping[str, object],
) -> Watched | None:
    """Return what is to be watched; None without ``--watch``.

    Args:
        folder: The folder as it was given.
        interval: What ``--interval`` says.
        output: The file of rows as it was given.
        inputs: The images that were given.
        output_format: What ``--format`` says.
        others: Flags that do not go with ``--watch``, and whether they were given.

    Raises:
        CnncliError: If one of them cannot be followed, or no image is given at all.
    """
    if folder is None:
        if interval is not None:
            raise CnncliError(f"--interval {interval:g}: has no effect without --watch FOLDER")
        if not inputs:
            raise CnncliError(
                "predict: name the images: files, folders, globs or tables; or --watch FOLDER"
            )
        return None
    where = f"--watch {folder}"
    for name, given in (("INPUT " + " ".join(inputs[:1]), inputs), *others.items()):
        if given:
            raise CnncliError(f"{name}: has no effect with --watch; leave one of them out")
    if read_place() is not None:
        raise CnncliError(f"{where}: is one process's work; start it without torchrun")
    if output is None:
        raise CnncliError(f"{where}: name the file of rows with --output ROWS.csv or ROWS.jsonl")
    if interval is not None and not 0 < interval < float("inf"):
        raise CnncliError(f"--interval {interval:g}: must be more than 0 seconds")
    rows = _check_rows(output, output_format)
    from cnncli.files import expand_path

    path = expand_path(folder)
    if not path.is_dir():
        raise CnncliError(f"{where}: {_tell_missing(path)}")
    # One folder has one path, in whatever way it is named: the rows are known by it. A shell that
    # stands in a folder behind a link names it without the link too.
    return Watched(path.resolve(), rows, 1.0 if interval is None else interval)


def _check_rows(output: str, output_format: str | None) -> Path:
    """Return the path of the file of rows, or refuse it."""
    from cnncli.files import check_output_file

    rows = check_output_file(output, suffixes=_ENDINGS)
    if rows.exists() and not rows.is_file():
        raise CnncliError(f"--output {output}: is no regular file")
    if output_format not in (None, rows.suffix.lower()[1:]):
        raise CnncliError(
            f"--format {output_format}: the ending of --output {output} says its form: .csv or "
            ".jsonl"
        )
    return rows


def _tell_missing(path: Path) -> str:
    """Return why a path is no folder, and which one may be meant."""
    if path.exists():
        return "is no folder; name the one in which images arrive"
    beside = [each.name for each in path.parent.glob("*") if each.is_dir()]
    return f"no such folder{did_you_mean(path.name, beside)}"
