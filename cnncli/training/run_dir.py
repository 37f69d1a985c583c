"""Run folders: made once, never over another."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from cnncli.errors import CnncliError
from cnncli.training.checkpoint import BEST


@contextmanager
def new_run_dir(output: str, model: str) -> Iterator[Path]:
    """Make ``output/<date>_<time>_<model>`` and take it away again if nothing was trained.

    Raises:
        CnncliError: If it cannot be made.
    """
    name = f"{datetime.now():%Y-%m-%d_%H%M%S}_{model}"
    path = _make(Path(output).expanduser(), name)
    try:
        yield path
    except BaseException:
        if not (path / BEST).exists():
            shutil.rmtree(path, ignore_errors=True)
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
