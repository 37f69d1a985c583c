"""The check of all pixels, as ``check-data`` makes it, within a bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cnncli.audit.findings import Finding
from cnncli.config import RunConfig, load_recorded
from cnncli.errors import CnncliError
from cnncli.files import CONFIG_FILE, EXCLUDED_FILE, SPLITS_FILE
from cnncli.reporting import Advance, Reporter, SilentReporter

# The job of check-data, which is handed to the report.
Check = Callable[[RunConfig, Reporter], Sequence[Finding]]
SECONDS = 10.0  # that it may take


class TooSlowError(Exception):
    """The check has not finished in its time."""


def check_fully(run_dir: Path, check: Check, reporter: Reporter) -> Sequence[Finding] | None:
    """Check the images of a run as they are today, in its own splits.

    What was found out of single files is kept by the check, so that the next one goes on there.

    Args:
        run_dir: The run's folder.
        check: The check.
        reporter: Gets the progress.

    Returns:
        The findings; None if the images are not there, or not those of the run.

    Raises:
        TooSlowError: If it takes too long.
    """
    own = {
        key: str(run_dir / name)
        for key, name in (("splits", SPLITS_FILE), ("exclude", EXCLUDED_FILE))
        if (run_dir / name).is_file()
    }
    try:
        config = load_recorded(str(run_dir / CONFIG_FILE))
        config = config.model_copy(update={"exclude": None, "fold": None, **own})
        return check(config, _Bounded(reporter, time.monotonic() + SECONDS))
    except CnncliError:
        return None


class _Bounded(SilentReporter):
    """A reporter that shows the progress alone, and ends the work when its time is over."""

    def __init__(self, reporter: Reporter, end: float) -> None:
        self._reporter, self._end = reporter, end

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Advance]:
        with self._reporter.progress(label, total) as advance:

            def advance_in_time(count: int = 1, text: str = "") -> None:
                if time.monotonic() > self._end:
                    raise TooSlowError
                advance(count, text)

            yield advance_in_time
