"""Which of several pretrained networks a run fine-tunes, judged on folds of train."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnncli.choices import parse_duration
from cnncli.config import RunConfig, list_candidates
from cnncli.errors import CnncliError, count_of, shorten
from cnncli.files import CANDIDATES_FILE, open_csv_writer, write_atomically
from cnncli.models.registry import names_several, short_name
from cnncli.reporting import Reporter, TableLayout
from cnncli.run.fold import Fold
from cnncli.run.judge_network import (
    Candidate,
    check_weights,
    judge_network,
    take_part,
    tell_network,
)
from cnncli.training.device import Compute
from cnncli.training.head_fit import is_better

# A smaller network is taken whose loss is not higher by more than so many standard errors.
_ERRORS = 1.0
# Share of --time-limit after which no other network is begun.
_TIME_SHARE = 0.5
_LAYOUT = TableLayout(
    paths=("weights",),
    short=("parameters", "macs"),
    drop=("seconds", "macs", "size", "parameters"),
    drop_equal=False,
)


@dataclass(frozen=True)
class NetworkChoice:
    """What was chosen, and among what.

    Attributes:
        config: The settings with the network and its weights.
        rows: A row of ``candidates.csv`` for each network that was judged; none where one was
            named.
    """

    config: RunConfig
    rows: Sequence[dict[str, object]] = ()

    def save(self, run_dir: Path) -> None:
        """Write ``candidates.csv``, if there was a choice."""
        if not self.rows:
            return

        def write(part: Path) -> None:
            with open_csv_writer(part) as writer:
                writer.writerow(self.rows[0])
                writer.writerows(row.values() for row in self.rows)

        write_atomically(run_dir / CANDIDATES_FILE, write)


def choose_network(
    config: RunConfig,
    compute: Compute,
    reporter: Reporter,
    *,
    started: float,
    fold: Fold | None = None,
) -> NetworkChoice:
    """Return the settings of a run with the network that ``--model`` leaves open.

    The head of each network is fitted to its frozen features, and judged on folds inside train, the
    same images and folds for all. The network with the lowest loss is taken, or the cheapest one
    whose loss is not higher by more than one standard error of the difference.

    Args:
        config: The settings that the user gave.
        compute: Device and processes.
        reporter: Gets progress, a table of the networks, and a line that says what won and why.
        started: When the run began, by ``time.monotonic``.
        fold: The fold of a cross-validation that the run is of; None for a run of its own.

    Raises:
        CnncliError: If weights are wrong, or if the networks cannot be judged on these images.
    """
    candidates = list_candidates(config)
    if not names_several(config.model):
        return NetworkChoice(config)
    if compute.world.size > 1:
        raise CnncliError(
            f"--model {config.model}: one process judges the networks, and {compute.world.size} "
            "train together here; name one network"
        )
    licences = [check_weights(one) for one in candidates]
    if len(candidates) == 1:
        (one,) = candidates
        reporter.note(
            f"--model {config.model}: {tell_network(one)}, the only one (licence {licences[0]})"
        )
        return NetworkChoice(one)
    part = take_part(config, fold)
    limit = parse_duration(config.time_limit) if config.time_limit else None
    limit = limit if fold is None else fold.share()
    judged: list[Candidate] = []
    with reporter.progress("networks", len(candidates) * len(part.samples)) as advance:
        for number, (one, licence) in enumerate(zip(candidates, licences, strict=True)):
            if number and limit and time.monotonic() - started > _TIME_SHARE * limit:
                left = [tell_network(other) for other in candidates[number:]]
                reporter.warn(
                    f"--time-limit {config.time_limit}: half of the time"
                    f"{'' if fold is None else ' for this fold'} is over; these networks are not "
                    f"judged: {shorten(left)}"
                )
                break
            found = judge_network(one, licence, part, compute, reporter, advance)
            judged += [found] if found else []
    best, why = _choose(judged, config.model)
    ranked = sorted(judged, key=lambda one: one.judgement.loss)
    title = f"networks, on {count_of(len(part.samples), 'image')} of train"
    reporter.table(title, [one.row() for one in ranked], _LAYOUT)
    reporter.note(f"--model {config.model}: {tell_network(best.config)}, {why}")
    return NetworkChoice(best.config, [{**one.row(), "chosen": one is best} for one in ranked])


def _choose(judged: Sequence[Candidate], named: str) -> tuple[Candidate, str]:
    """Return the network to take, and why."""
    if not judged:
        raise CnncliError(f"--model {named}: none of the networks can be judged; name one network")
    first = min(judged, key=lambda one: one.judgement.loss)
    near = [
        one
        for one in judged
        if one is first or not is_better(first.judgement, one.judgement, errors=_ERRORS)
    ]
    by_macs = all(one.macs is not None for one in near)
    best = min(
        near,
        key=lambda one: ((one.macs or 0) if by_macs else one.parameters, one.judgement.loss),
    )
    if best is first:
        return best, f"the lowest loss on folds of train, {first.judgement.loss:.4f}"
    other = short_name(first.config.model)
    least = "multiply-adds" if by_macs else "parameters"
    return best, (
        f"the fewest {least} of the {len(near)} whose loss on folds of train is within one "
        f"standard error of the lowest, {first.judgement.loss:.4f} of {other}"
    )
