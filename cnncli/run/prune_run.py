"""What of a finished run can go: the state to train on from, and kept epochs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cnncli.errors import RUNTIME_FAILURE, CnncliError
from cnncli.files import EPOCHS_FOLDER, LAST_FILE
from cnncli.run.lock import lock_run
from cnncli.training.find_run import list_folds

_PART = ".part"  # what a write that was killed leaves; see `files.write_atomically`


def list_prunable(run_dir: Path, *, all_: bool = False) -> list[Path]:
    """Return the files of a finished run, or of all runs of a cross-validation, that can go.

    Args:
        run_dir: The run's folder.
        all_: Whether the checkpoints of kept epochs go too; the best one stays in any case.
    """
    folds = [file for fold in list_folds(run_dir) for file in list_prunable(fold, all_=all_)]
    names = (LAST_FILE, LAST_FILE + _PART)
    found = [run_dir / name for name in names if os.path.lexists(run_dir / name)]
    epochs = run_dir / EPOCHS_FOLDER
    if all_:
        found += [path for path in sorted(run_dir.glob(f"*{_PART}")) if path not in found]
        if epochs.is_dir() and not epochs.is_symlink():
            kept = [*epochs.glob("*.safetensors"), *epochs.glob(f"*{_PART}")]
            found += sorted(path for path in kept if path.name.split(".")[0].isdecimal())
    return [*(path for path in found if path.is_file() or path.is_symlink()), *folds]


def measure_files(paths: Sequence[Path]) -> int:
    """Return the bytes of files; a link counts as itself, and one that is gone as nothing."""
    total = 0
    for path in paths:
        with suppress(OSError):
            total += path.lstat().st_size
    return total


def prune_run(run_dir: Path, paths: Sequence[Path]) -> None:
    """Delete files of a finished run, which nobody may train meanwhile.

    Args:
        run_dir: The run's folder.
        paths: What `list_prunable` returned.

    Raises:
        CnncliError: If a process has the run, or if the system refuses.
    """
    try:
        with lock_run(run_dir, lambda text: None):
            for path in paths:
                path.unlink(missing_ok=True)
            for folder in (run_dir, *list_folds(run_dir)):
                with suppress(OSError):  # there is none, or something else lies in it
                    (folder / EPOCHS_FOLDER).rmdir()
    except OSError as error:
        raise CnncliError(
            f"{error.filename}: cannot be deleted: {error.strerror}", exit_code=RUNTIME_FAILURE
        ) from None
    except CnncliError as error:
        text = str(error).removeprefix("--resume ")
        raise CnncliError(text, exit_code=error.exit_code) from None
