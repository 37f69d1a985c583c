"""Run folders by name: the newest that is not finished, and whether one is. Light."""

from __future__ import annotations

from pathlib import Path

from cnncli.errors import CnncliError

REPORT = "report.json"
_CONFIG = "config.yaml"


def find_unfinished(given: str, output: str) -> Path:
    """Find the run that ``--resume`` names.

    Args:
        given: A run folder, or ``last`` for the newest unfinished run.
        output: The folder of run folders.

    Raises:
        CnncliError: If there is none.
    """
    if given != "last":
        return Path(given).expanduser()
    configs = sorted(Path(output).expanduser().glob(f"*/{_CONFIG}"), key=_time)
    unfinished = [c.parent for c in configs if not (c.parent / REPORT).exists()]
    if not unfinished:
        raise CnncliError(f"--resume last: no unfinished run in {output}/")
    return unfinished[-1]


def _time(path: Path) -> float:
    return path.stat().st_mtime


def check_unfinished(run_dir: Path) -> bool:
    """Tell whether a run is still to be gone on with.

    Raises:
        CnncliError: If the folder is no run's.
    """
    if not (run_dir / _CONFIG).is_file():
        raise CnncliError(f"--resume {run_dir}: no run folder (it has no {_CONFIG})")
    return not (run_dir / REPORT).exists()
