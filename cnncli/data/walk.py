"""Walks through folders: which files are images, and which folders hold none of the user's."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from cnncli.errors import CnncliError
from cnncli.files import (
    BEST_FILE,
    CONFIG_FILE,
    CURVES_FILE,
    LAST_FILE,
    METRICS_FILE,
    PREDICTIONS_FILE,
    REPORT_FILE,
    SPLITS_FILE,
)
from cnncli.images.formats import HEAD_BYTES, IMAGE_SUFFIXES, is_image

# Folders that systems make: of macOS's archives and file servers, Windows, Linux, the network
# drives of Synology, QNAP and others, and Python. What lies in them is none of the data.
_SYSTEM_FOLDERS = {
    *("__macosx", "network trash folder", "temporary items", "thevolumesettingsfolder"),
    *("$recycle.bin", "recycler", "recycled", "system volume information", "found.000"),
    *("lost+found", "@eadir", "#recycle", "@recycle", "@recently-snapshot", "#snapshot"),
    *("@sharebin", "@tmp", "__pycache__"),
}

# The files by which a folder of cnncli's own results is known.
_OWN_PICTURES = {CURVES_FILE, "confusion_matrix.png"}
_RESULTS = ((CONFIG_FILE, SPLITS_FILE), (REPORT_FILE, PREDICTIONS_FILE))
# What a run has beside its settings as soon as it trains, and a cross-validation: its first fold.
_OF_RUNS = (BEST_FILE, LAST_FILE, METRICS_FILE, f"fold1/{CONFIG_FILE}")


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is left out: its name begins with a dot, or a system made it.

    Args:
        name: The last part of its path.
    """
    return name.startswith(".") or name.lower() in _SYSTEM_FOLDERS


def check_names(root: Path, names: Iterable[str]) -> None:
    """Refuse file names that are not valid UTF-8.

    They can be written neither to splits.csv nor to a terminal.

    Args:
        root: The folder that ``--data`` names, for the message.
        names: File names or paths below it.

    Raises:
        CnncliError: If a name is not valid UTF-8.
    """
    for name in names:
        # Python represents bytes that are not UTF-8 by these surrogates.
        if not name.isascii() and any("\ud800" <= letter <= "\udfff" for letter in name):
            raise CnncliError(
                f"--data {root}: the file name {os.fsencode(name)!r} is not UTF-8; rename it"
            )


def walk_files(
    folder: Path, unreadable: Callable[[str, OSError], object] | None = None
) -> Iterator[str]:
    """Yield the files at any depth below a folder, as sorted relative paths with ``/``.

    Files and folders whose names begin with a dot are left out, and so are folders of the system,
    such as those of thumbnails. Symbolic links are followed, except those that lead back to a
    folder above.

    Args:
        folder: The folder.
        unreadable: Is called with the path of each folder that cannot be read, which is then left
            out; None raises in its place.

    Raises:
        CnncliError: If a folder cannot be read.
    """
    yield from _walk(str(folder), "", frozenset(), unreadable or _refuse)


def _refuse(folder: str, error: OSError) -> NoReturn:
    raise CnncliError(f"{folder}: the folder cannot be read ({error.strerror})") from None


def _walk(
    folder: str,
    prefix: str,
    above: frozenset[tuple[int, int]],
    unreadable: Callable[[str, OSError], object],
) -> Iterator[str]:
    """Yield the files below a folder.

    Args:
        folder: The folder.
        prefix: What is put in front of each path: the folder's own path below the root and ``/``.
        above: Device and inode number of each folder above this one.
        unreadable: Is called with a folder that cannot be read.
    """
    try:
        status = os.stat(folder)
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            return
        folders, files = _list(folder)
    except OSError as error:
        unreadable(folder, error)
        return
    inside = set(folders)
    for name in sorted(folders + files):
        if name in inside:
            path = os.path.join(folder, name)
            yield from _walk(path, f"{prefix}{name}/", above | {identity}, unreadable)
        else:
            yield prefix + name


def list_folder(folder: Path) -> tuple[list[str], list[str]]:
    """Return the sorted names of the folders and of the files in a folder, but hidden ones.

    Raises:
        CnncliError: If the folder cannot be read.
    """
    try:
        folders, files = _list(str(folder))
    except OSError as error:
        _refuse(str(folder), error)
    return sorted(folders), sorted(files)


def is_result(folder: str) -> bool:
    """Return whether cnncli wrote into a folder: settings and splits, or a report.

    ``evaluate photos/test --output photos/test`` writes one among the images. The pictures of
    cnncli in such a folder are no data; whatever else lies in it is.
    """
    return any(
        all(os.path.isfile(os.path.join(folder, name)) for name in names) for names in _RESULTS
    )


def is_run(folder: str) -> bool:
    """Return whether a folder is that of a run or of a cross-validation: no file in it is data.

    More is asked for than settings and splits, which may lie beside somebody's images.
    """
    if not os.path.isfile(os.path.join(folder, CONFIG_FILE)):
        return False
    return any(os.path.isfile(os.path.join(folder, name)) for name in _OF_RUNS)


def _list(folder: str) -> tuple[list[str], list[str]]:
    """Return the names of the folders and of the files in a folder; raises OSError.

    Hidden ones are left out, all files of a run, and pictures among other results of cnncli.
    """
    folders, files = [], []
    with os.scandir(folder) as entries:  # only names are kept: a million entries are 400 MB
        for entry in entries:
            kind = "" if is_hidden(entry.name) else _kind(entry)
            if kind == "folder":
                folders.append(entry.name)
            elif kind:
                files.append(entry.name)
    if CONFIG_FILE in files and is_run(folder):
        return folders, []
    if not _OWN_PICTURES.isdisjoint(files) and is_result(folder):
        files = [name for name in files if name not in _OWN_PICTURES]
    return folders, files


def _kind(entry: os.DirEntry[str]) -> str:
    """Return ``file``, ``folder``, or an empty text for what is neither.

    What is neither (a symbolic link to nothing, a pipe, a device) counts as a file if its name is
    that of an image, so that it is reported as an image that cannot be read.
    """
    with suppress(OSError):  # a symbolic link to itself
        if entry.is_file():
            return "file"
        if entry.is_dir():
            return "folder"
    return "file" if has_image_suffix(entry.name) else ""


def has_image_suffix(path: str) -> bool:
    """Return whether the name of a file ends like that of an image."""
    return path[path.rfind(".") :].lower() in IMAGE_SUFFIXES


def looks_like_image(path: str) -> bool:
    """Return whether a file is meant to be an image; one that cannot be read is none.

    Args:
        path: Its path. By the ending of its name it is an image without being read.
    """
    try:
        return read_whether_image(path)
    except OSError:
        return False


def read_whether_image(path: str) -> bool:
    """Return whether a file is meant to be an image: by its name's ending, or its first bytes.

    Raises:
        OSError: If its name does not say so, and it cannot be read.
    """
    if has_image_suffix(path):
        return True
    if Path(path).name.upper() == "DICOMDIR":  # the table of contents of a DICOM disc
        return False
    with open(path, "rb") as file:
        return is_image(file.read(HEAD_BYTES))


def holds_image(folder: Path) -> bool:
    """Return whether there is an image at any depth below a folder; it stops at the first."""
    return any(looks_like_image(os.path.join(folder, path)) for path in walk_files(folder))
