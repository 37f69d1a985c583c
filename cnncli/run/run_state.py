"""How far a run has come: finished, running, stopped or damaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnncli.errors import CnncliError
from cnncli.run.lock import find_holder
from cnncli.run.read_folder import RunRecord
from cnncli.training.find_run import is_finished, is_trial, list_folds


@dataclass(frozen=True)
class State:
    """How far a run has come.

    Attributes:
        word: finished, running, perhaps running, stopped or damaged.
        done: Number of the epochs that are complete; of the folds, for a cross-validation.
        of: Number of epochs that were asked for; None if the settings do not say it.
        why: What is known beside that; empty for nothing.
        unit: What is counted: epoch, or fold.
    """

    word: str
    done: int = 0
    of: int | None = None
    why: str = ""
    unit: str = "epoch"

    def describe(self) -> str:
        """Return the state in words: ``"stopped at epoch 16 of 33"``."""
        of = "" if self.of is None else f" of {self.of}"
        at = f" at {self.unit} {self.done}{of}" if self.word == "stopped" and self.done else ""
        if self.word == "stopped" and not self.done:
            at = f" before the end of {self.unit} 1"
        if self.word.endswith("running"):
            at = f", {self.done}{of} {self.unit}{'s' * ((self.of or self.done) != 1)} done"
        return self.word + at + (f": {self.why}" if self.why else "")

    def abbreviate(self) -> str:
        """Return the state for a narrow column: ``"stopped 16/33"``."""
        if self.word in ("finished", "damaged"):
            return self.word
        word = "running?" if self.word == "perhaps running" else self.word
        return f"{word} {self.done}/{'?' if self.of is None else self.of}"


def find_state(record: RunRecord, faults: Sequence[CnncliError]) -> State:
    """Return how far a run has come, by the files in its folder and its lock.

    Args:
        record: What the files say.
        faults: What is wrong with them.
    """
    epochs = record.settings.get("epochs")
    of = epochs if isinstance(epochs, int) and not isinstance(epochs, bool) else None
    done = len(record.epochs)
    unit = "epoch"
    if folds := list_folds(record.path):
        done, of, unit = sum(map(is_finished, folds)), len(folds), "fold"
    holder = find_holder(record.path)
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        why = f"{faults[0]}{more}".removeprefix(f"{record.path}/")
        return State("damaged", done, of, why, unit)
    if record.report is not None and is_finished(record.path):
        return State("finished", done, of, unit=unit)
    if (
        holder is None
        and is_trial(record.path)
        and (is_finished(record.path) or (of is not None and done >= of))
    ):
        return State("finished", done, of, "a trial of tune, not judged on the test images")
    if holder is None:
        why = "not evaluated" if of is not None and done >= of else ""
        return State("stopped", done, of, why, unit)
    if not holder.is_visible():
        return State("perhaps running", done, of, f"process {holder.pid} on {holder.host}", unit)
    if holder.is_gone():
        why = "its process ended without a word, as if it was killed"
        return State("stopped", done, of, why, unit)
    return State("running", done, of, unit=unit)
