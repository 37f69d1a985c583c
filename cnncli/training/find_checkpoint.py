"""Which file ``--checkpoint`` names.

Light: ``predict`` looks for its file before it knows whether torch is needed.
"""

from __future__ import annotations

import os
from pathlib import Path

from cnncli.data.walk import holds_image
from cnncli.errors import CnncliError
from cnncli.files import BEST_FILE, expand_path
from cnncli.training.find_run import (
    LAST,
    find_named,
    find_newest,
    is_run_folder,
    list_run_folders,
    suggest_runs,
    tell_runs_inside,
)


def find_checkpoint(
    given: str | None, output: str = "runs", *, flag: str = "--checkpoint "
) -> tuple[Path, str]:
    """Find the checkpoint that ``--checkpoint`` names.

    Args:
        given: Path of a run folder or of a file; the name of a run in ``output``, or a part of it
            that no other run has; ``last`` for the newest run with a checkpoint. None for the
            newest finished run, or for the newest with a checkpoint if none is finished.
        output: The folder that holds the run folders.
        flag: What stands in front of it in an error; empty where it is an argument.

    Returns:
        The file, and how it was chosen; empty if the path was given.

    Raises:
        CnncliError: If there is none, or if more than one run could be meant.
    """
    if given in (None, LAST):
        return _find_newest(Path(output), any_state=given == LAST)
    path, how = expand_path(given), ""
    if not os.path.lexists(path):
        runs = list_run_folders(path.parent if os.sep in given else Path(output))
        named = find_named(path.name, runs, f"{flag}{given}")
        if named is None:
            near = suggest_runs(path.name, runs) or "; cnncli runs lists the runs in runs/"
            place = "" if str(path) == given else f" ({path})"
            raise CnncliError(f"{flag}{given}: no such run folder or file{place}{near}")
        path, how = named, f"the run that {given} names"
    if path.is_dir():
        inside = tell_runs_inside(path)
        if inside:
            raise CnncliError(f"{flag}{given}: {inside}")
        if is_run_folder(path) and not os.path.lexists(path / BEST_FILE):
            raise CnncliError(
                f"{flag}{given}: a run without a checkpoint yet; its first finished epoch "
                f"writes {path / BEST_FILE}"
            )
        if not os.path.lexists(path / BEST_FILE) and holds_image(path):
            raise CnncliError(
                f"{flag}{given}: a folder of images, and a run is wanted here; cnncli runs lists "
                "the runs in runs/"
            )
        path = path / BEST_FILE
    if path.exists() and not path.is_file():
        raise CnncliError(f"{flag}{given}: not a file but a pipe or a device ({path})")
    if not path.is_file():
        raise CnncliError(f"{flag}{given}: no such run folder or file ({path})")
    return path, how


def _find_newest(output: Path, *, any_state: bool) -> tuple[Path, str]:
    chosen, how = find_newest(output, any_state=any_state, with_folds=False)
    if chosen is None:
        for run in list_run_folders(output):
            if told := tell_runs_inside(run):
                raise CnncliError(f"{run}: {told}")
        raise CnncliError(
            f"no run in {output}/: train one (cnncli train --data FOLDER) or name one with "
            "--checkpoint"
        )
    return chosen / BEST_FILE, how
