"""Delete the folder of a run, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

from cnncli.errors import RUNTIME_FAILURE, CnncliError
from cnncli.files import (
    BEST_FILE,
    CONFIG_FILE,
    LAST_FILE,
    LOCK_FILE,
    METRICS_FILE,
    REPORT_FILE,
    SPLITS_FILE,
)
from cnncli.run.lock import find_holder, lock_run
from cnncli.training.find_run import is_run_folder, list_run_folders

# A folder with one of these alone may be anything: many programs have a config.yaml.
_FILES = (CONFIG_FILE, SPLITS_FILE, METRICS_FILE, BEST_FILE, LAST_FILE, REPORT_FILE)
_FEWEST = 2


def check_deletable(path: Path) -> None:
    """Refuse to delete a folder that may be something else than a run, or a run in use.

    Raises:
        CnncliError: If it is no folder, a link, no run, holds other runs, or if a process trains
            it or may train it.
    """
    if path.is_symlink():
        raise CnncliError(f"{path}: a link to {path.readlink()}; delete the link yourself")
    if not path.is_dir():
        raise CnncliError(f"{path}: no such run folder")
    found = [name for name in _FILES if (path / name).is_file()]
    if not is_run_folder(path) or len(found) < _FEWEST:
        only = f"of a run it has only {found[0]}" if found else "it has no file of a run"
        raise CnncliError(f"{path}: not deleted, it may not be a run ({only}); delete it yourself")
    inside = list_run_folders(path)
    if inside:
        raise CnncliError(f"{path}: not deleted, another run lies in it ({inside[0].name})")
    lock = path / LOCK_FILE
    if lock.is_symlink() or (lock.exists() and not lock.is_file()):
        raise CnncliError(f"{path}: not deleted, {LOCK_FILE} in it is no file of a run")
    holder = find_holder(path)
    if holder is None or (holder.is_visible() and holder.is_gone()):
        return
    who = f"process {holder.pid} on {holder.host}"
    if holder.is_visible():
        raise CnncliError(f"{path}: {who} is training it; end that first (kill {holder.pid})")
    raise CnncliError(
        f"{path}: {who} has it, and from here nobody can see whether that still runs; if it does "
        f"not, delete {lock} first"
    )


def delete_run(path: Path) -> None:
    """Delete the folder of a run; a link in it is deleted, and what it leads to is not.

    Raises:
        CnncliError: As `check_deletable` does, or if the system refuses.
    """
    check_deletable(path)
    try:
        with lock_run(path, lambda text: None):  # nobody resumes it meanwhile
            shutil.rmtree(path)
    except OSError as error:
        raise CnncliError(
            f"{path}: cannot be deleted: {error.strerror} ({error.filename})",
            exit_code=RUNTIME_FAILURE,
        ) from None
    except CnncliError as error:
        text = str(error).removeprefix("--resume ")
        raise CnncliError(text, exit_code=error.exit_code) from None
