"""Delete the folder of a run, and nothing else."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from cnncli.errors import RUNTIME_FAILURE, CnncliError, shorten
from cnncli.files import BEST_FILE, EPOCHS_FOLDER, LAST_FILE, LOCK_FILE, METRICS_FILE
from cnncli.run.lock import find_holder, lock_run
from cnncli.training.find_run import list_folds

# Training alone writes these; a settings file and a split may stand in anybody's project.
_OF_TRAINING = (METRICS_FILE, BEST_FILE, LAST_FILE)
# All that a run, its evaluation and its logs write; of the folders, all that is in them.
_OWN = re.compile(
    r"(config\.yaml|splits\.csv|(bad_images|excluded)\.csv|metrics\.csv|best\.safetensors|last\.pt"
    r"|data_check\.json|run\.lock|note\.txt|decision\.json|curves\.png|report\.json|(val_)?predictions\.csv"
    r"|confusion_matrix\.(csv|png)"
    r"|mlflow\.db|(mlflow|wandb)_run_id\.txt)(\.part)?|features-\w+"
    r"|report\.html(\.part)?|best(\.int8)?\.(onnx|xml|bin)(\.part)?|reference_preprocess\.py(\.part)?"
)
_OWN_FOLDERS = (EPOCHS_FOLDER, "tensorboard", "mlflow_artifacts", "wandb")
_MOST_NAMED = 3


def list_foreign(path: Path) -> list[str]:
    """Return the names of what a run's folder holds beside the run; those of folders end in /.

    The runs of a cross-validation belong to it, and what is foreign in them is named too.
    """
    names = []
    folds = list_folds(path)
    for entry in sorted(path.iterdir()):
        is_folder = entry.is_dir() and not entry.is_symlink()
        if is_folder and entry in folds:
            names += [f"{entry.name}/{name}" for name in list_foreign(entry)]
            continue
        known = entry.name in _OWN_FOLDERS if is_folder else _OWN.fullmatch(entry.name)
        if not known:
            names.append(entry.name + "/" * is_folder)
    return names


def check_deletable(path: Path) -> None:
    """Refuse to delete a folder that may be something else than a run, or a run in use.

    Raises:
        CnncliError: If it is no folder, a link, no run, holds what is not the run's or the current
            folder, or if a process trains it or may train it.
    """
    if path.is_symlink():
        raise CnncliError(f"{path}: a link to {path.readlink()}; delete the link yourself")
    if not path.is_dir():
        raise CnncliError(f"{path}: no such run folder")
    folders = [path, *list_folds(path)]
    if not any((folder / name).is_file() for folder in folders for name in _OF_TRAINING):
        raise CnncliError(
            f"{path}: not deleted, it may not be a run (it has no {METRICS_FILE}, {BEST_FILE} or "
            f"{LAST_FILE}); delete it yourself"
        )
    whole = path.resolve()
    if whole == Path.cwd().resolve() or whole in Path.cwd().resolve().parents:
        raise CnncliError(f"{path}: not deleted, you are in it; go to another folder first")
    foreign = list_foreign(path)
    if foreign:
        named = shorten(foreign, _MOST_NAMED)
        raise CnncliError(
            f"{path}: not deleted, it holds what no run writes ({named}); move that elsewhere first"
        )
    for folder in folders:
        _check_free(folder)


def _check_free(path: Path) -> None:
    """Refuse a folder that a process has, or may have."""
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
