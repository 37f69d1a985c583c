"""Moves files out of a folder of images into another one: all or none where it can be foreseen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cnncli.errors import RUNTIME_FAILURE, CnncliError, count_of


def check_apart(root: Path, target: Path, where: str) -> None:
    """Refuse a target folder that shares files with the folder of images.

    Args:
        root: The folder of images.
        target: The folder to move files into; it need not exist.
        where: What the message calls the target.

    Raises:
        CnncliError: If one is the other or lies in it, links followed, or the target is no folder.
    """
    inner, outer = Path(os.path.realpath(target)), Path(os.path.realpath(root))
    if inner.is_relative_to(outer):
        raise CnncliError(f"{where}: lies in the folder of the images; name one outside {root}")
    if outer.is_relative_to(inner):
        raise CnncliError(f"{where}: holds the folder of the images; name one beside {root}")
    there = next(folder for folder in (inner, *inner.parents) if os.path.lexists(folder))
    if not there.is_dir():
        raise CnncliError(f"{where}: {there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise CnncliError(f"{where}: the folder {there} cannot be written to")


def move_out(root: Path, names: Sequence[str], target: Path, where: str) -> None:
    """Move files of one folder into another one, with the folders they lie in.

    No file is overwritten. What can be foreseen is refused before the first file is moved.

    Args:
        root: The folder of images.
        names: Paths of the files relative to it.
        target: The folder to move them into. It is made if there is something to move.
        where: What messages call the target.

    Raises:
        CnncliError: If a file is a link or lies outside ``root`` by one, if there is a file of its
            name in ``target``, or if it cannot be moved.
    """
    check_apart(root, target, where)
    pairs = [(root / name, target / name) for name in names]
    for source, goal in pairs:
        _check_move(root, source, goal, where)
    done = 0
    try:
        for source, goal in pairs:
            goal.parent.mkdir(parents=True, exist_ok=True)
            _move_file(source, goal)
            done += 1
    except OSError as error:
        before = f"{count_of(done, 'file')} before it moved" if done else "none moved"
        raise CnncliError(
            f"{where}: {pairs[done][0]} cannot be moved to {pairs[done][1]} "
            f"({error.strerror}); {before}",
            exit_code=RUNTIME_FAILURE,
        ) from None


def _check_move(root: Path, source: Path, goal: Path, where: str) -> None:
    """Refuse a move that would overwrite a file, or touch a file outside the folder of images."""
    inside = os.path.realpath(root)
    if source.is_symlink() or not Path(os.path.realpath(source)).is_relative_to(inside):
        raise CnncliError(
            f"{where}: {source} is a link or lies behind one, so nothing is moved; "
            "--fix-list FILE lists what to leave out"
        )
    if os.path.lexists(goal):
        raise CnncliError(f"{where}: {goal} is there already, so nothing is moved")
    if Path(os.path.realpath(goal)).is_relative_to(inside):
        raise CnncliError(f"{where}: {goal.parent} leads back into {root}, so nothing is moved")
    if not os.access(source.parent, os.W_OK | os.X_OK):
        raise CnncliError(f"{where}: no file can be taken out of {source.parent} (read-only)")


def _move_file(source: Path, goal: Path) -> None:
    """Move a file, to another device too; never over another file.

    A rename would replace a file that another program has just made there. A link or a file opened
    for exclusive creation does not.

    Raises:
        OSError: If the file cannot be moved; it is then where it was, and there is no part of it
            at ``goal``.
    """
    try:
        os.link(source, goal)
    except FileExistsError:
        raise
    except OSError:  # another device, or a file system without hard links
        _copy_file(source, goal)
    try:
        source.unlink()
    except OSError:
        goal.unlink()
        raise


def _copy_file(source: Path, goal: Path) -> None:
    """Copy a file with its times and rights to a path at which there is none, and flush it."""
    with source.open("rb") as old, goal.open("xb") as new:
        try:
            shutil.copyfileobj(old, new)
            new.flush()
            os.fsync(new.fileno())
        except BaseException:
            new.close()
            goal.unlink()
            raise
    with suppress(OSError):  # a file system that keeps no rights
        shutil.copystat(source, goal)
