"""A run that is given where images are wanted: known as such, and never read as images."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from cnncli.data.walk import is_run, list_folder, looks_like_image
from cnncli.errors import CnncliError, shorten
from cnncli.files import CONFIG_FILE, EPOCHS_FOLDER, STUDIES_FOLDER

_WEIGHTS = (".safetensors", ".onnx", ".pt", ".pth", ".ckpt")
_TABLES = (".csv", ".tsv", ".npz")


def names_run(path: Path) -> bool:
    """Return whether a path is a run, a folder of runs or a file of weights, and so no images."""
    # By os.path, since a path that is too long or may not be entered is told where it is read.
    if path.suffix.lower() in _WEIGHTS and os.path.isfile(path):
        return True
    return os.path.isdir(path) and (is_run(str(path)) or bool(_list_runs(path)))


def refuse_run(path: Path, where: str) -> None:
    """Refuse a run, a folder of runs or a file of weights in place of images.

    Args:
        path: What was given.
        where: What stands in front of the error.

    Raises:
        CnncliError: If it is one of these; the error names the run's own data.
    """
    if not names_run(path):
        return
    if path.is_file():
        raise CnncliError(
            f"{where}: holds the weights of a network, and no images{_tell_data(_find_run(path))}"
        )
    if is_run(str(path)):
        raise CnncliError(f"{where}: a run, and no images{_tell_data(path)}")
    raise CnncliError(f"{where}: a folder of runs ({shorten(_list_runs(path))}), and no images")


def _find_run(weights: Path) -> Path:
    """Return the folder of the run that a file of weights lies in."""
    folder = weights.parent
    return folder.parent if folder.name == EPOCHS_FOLDER else folder


def _list_runs(folder: Path) -> list[str]:
    """Return the names of the runs in a folder that holds nothing else; else none.

    Beside images or a table, runs are what somebody has trained in the folder of the data.
    """
    try:
        folders, files = list_folder(folder)
    except CnncliError:  # it cannot be read, which is told where it is read
        return []
    inside = [name for name in folders if name != STUDIES_FOLDER]
    if not all(is_run(os.path.join(folder, name)) for name in inside):
        return []
    is_data = any(
        name.lower().endswith(_TABLES) or looks_like_image(os.path.join(folder, name))
        for name in files
    )
    return [] if is_data else inside


def _tell_data(run_dir: Path) -> str:
    """Return what a run was trained on, as the end of an error; empty if it does not say so."""
    from cnncli.yaml_text import read_yaml  # predict starts without it

    with suppress(CnncliError, KeyError, TypeError):
        data = read_yaml(run_dir / CONFIG_FILE, {"data": False})["data"]
        return f"; the images that it was trained on are --data {data}"
    return ""
