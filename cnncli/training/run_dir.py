"""Run folders: made once, never over another."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from cnncli.errors import CnncliError
from cnncli.training.checkpoint import BEST
from cnncli.training.interrupt import Stopped


@contextmanager
def new_run_dir(output: str, model: str) -> Iterator[Path]:
    """Make ``output/<date>_<time>_<model>``; if nothing was trained, take it away again.

    So are folders above it that were made for it. A run that was asked to stop has saved what it
    has, be it a step, and stays.

    Raises:
        CnncliError: If it cannot be made.
    """
    name = f"{datetime.now():%Y-%m-%d_%H%M%S}_{model}"
    folder = Path(output).expanduser()
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    path = _make(folder, name)
    try:
        yield path
    except Stopped:
        raise
    except BaseException:
        if not (path / BEST).exists():
            shutil.rmtree(path, ignore_errors=True)
            with suppress(OSError):  # no longer empty: another run is in it
                for parent in made:
                    parent.rmdir()
        raise


def _make(output: Path, name: str) -> Path:
    try:
        output.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1000):
            path = output / (name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir()
            except FileExistsError:  # two runs in one second
                continue
            return path
    except OSError as error:
        raise CnncliError(
            f"--output {output}: no run folder can be made there ({error.strerror})"
        ) from None
    raise CnncliError(f"--output {output}: no free name for {name}")
