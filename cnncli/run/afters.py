"""What is made from a run when it has finished, such as its page; the run does not depend on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cnncli.choices import parse_duration
from cnncli.data.samples import Samples
from cnncli.errors import CnncliError
from cnncli.reporting import Reporter


@dataclass(frozen=True)
class FinishedRun:
    """A run, or a cross-validation, whose report is written.

    Attributes:
        folder: Its folder.
        started: When it was begun, by ``time.monotonic``; for one that was resumed, so much earlier
            as it took before.
        limit: Seconds that it may take, by ``--time-limit``; None for no limit.
        samples: Its images; None if they are not at hand.
    """

    folder: Path
    started: float
    limit: float | None = None
    samples: Samples | None = None

    @property
    def seconds(self) -> float:
        """The seconds that it has taken until now."""
        return time.monotonic() - self.started

    @property
    def left(self) -> float | None:
        """The seconds that are left of ``--time-limit`` now, 0 or more; None for no limit."""
        return None if self.limit is None else max(0.0, self.limit - self.seconds)


@dataclass(frozen=True)
class After:
    """A file that is made from a finished run.

    Attributes:
        name: The file, for messages.
        command: What makes it later, with ``{folder}`` for the run's folder.
        make: Makes it, and says so in one line; or says in one line why there is no time for it.
    """

    name: str
    command: str
    make: Callable[[FinishedRun, Reporter], None]


def finish_run(
    folder: Path,
    started: float,
    time_limit: str | None,
    samples: Samples,
    before: float = 0.0,
) -> FinishedRun:
    """Return a run that has finished just now.

    Args:
        folder: Its folder.
        started: From when on its time counts, by ``time.monotonic``.
        time_limit: The time that it may take, such as ``"30m"``; None for no limit.
        samples: Its images.
        before: Seconds that it took before it was resumed.
    """
    limit = None if time_limit is None else parse_duration(time_limit)
    return FinishedRun(folder, started - before, limit, samples)


def make_afters(afters: Sequence[After], run: FinishedRun, reporter: Reporter) -> None:
    """Make files from a finished run, one after the other; of several processes, in rank 0 only.

    What fails is one warning, whatever the reason: the run is as good without the file.

    Args:
        afters: The files.
        run: The run.
        reporter: Gets the warnings, and what the makers say.
    """
    commands = [after.command.replace("{folder}", str(run.folder)) for after in afters]
    for place, after in enumerate(afters):
        later = f"to make it: {commands[place]}"
        try:
            after.make(run, reporter)
        except (CnncliError, OSError) as error:
            reporter.warn(f"{after.name} was not made: {error}; {later}")
        except Exception as error:  # a bug there must not cost a run of many hours
            reason = f"{type(error).__name__}: {error}".split("\n")[0]
            reporter.warn(f"{after.name} was not made ({reason}); {later}")
        except BaseException:  # a signal; those that follow are not made either
            names = [each.name for each in afters[place:]]
            were, them = ("was", "it") if len(names) == 1 else ("were", "them")
            reporter.note(
                f"{run.folder} is finished; {' and '.join(names)} {were} not made; to make {them}: "
                + " && ".join(commands[place:])
            )
            raise
